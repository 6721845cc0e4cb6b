//! Status updates on their way to frameworks, at least once and in order: one
//! stream a task, of which only the oldest update is on the wire until it is
//! acknowledged (`src/slave/task_status_update_manager.cpp`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mesos_sdk::v1;

use crate::agent::AgentLimits;
use crate::messages::FromAgent;
use crate::time::Timestamp;

/// A task of a framework: framework id, task id.
type TaskKey = (String, String);

/// Every stream of one agent.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    streams: BTreeMap<TaskKey, Stream>,
    /// When which stream's oldest update is sent again.
    retries: BTreeSet<(Timestamp, TaskKey)>,
    /// No master listens: nothing is sent, and nothing is due.
    is_paused: bool,
}

#[derive(Debug, Default)]
struct Stream {
    /// The front is on the wire.
    queue: VecDeque<v1::TaskStatus>,
    retry: Option<Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Timestamp,
    delay: Duration,
}

impl Updates {
    /// Starts without a master.
    pub(crate) fn new() -> Self {
        Self {
            is_paused: true,
            ..Self::default()
        }
    }

    /// Queues an update, and sends it when no older one waits.
    pub(crate) fn push(
        &mut self,
        now: Timestamp,
        framework_id: &str,
        status: v1::TaskStatus,
        limits: &AgentLimits,
        out: &mut Vec<FromAgent>,
    ) {
        let key = (framework_id.to_owned(), status.task_id.value.clone());
        let stream = self.streams.entry(key.clone()).or_default();
        stream.queue.push_back(status);
        if stream.queue.len() == 1 {
            self.send(now, &key, limits.update_retry_min, out);
        }
    }

    /// Takes the acknowledged update off its stream and sends the next one.
    /// `None` when that update is not the one that waits, as happens when an
    /// acknowledgement comes twice.
    pub(crate) fn acknowledge(
        &mut self,
        now: Timestamp,
        framework_id: &str,
        task_id: &str,
        uuid: &[u8],
        limits: &AgentLimits,
        out: &mut Vec<FromAgent>,
    ) -> Option<v1::TaskStatus> {
        let key = (framework_id.to_owned(), task_id.to_owned());
        let stream = self.streams.get_mut(&key)?;
        if stream.queue.front()?.uuid.as_deref() != Some(uuid) {
            return None;
        }
        let acknowledged = stream.queue.pop_front();
        if let Some(retry) = stream.retry.take() {
            self.retries.remove(&(retry.at, key.clone()));
        }
        if stream.queue.is_empty() {
            self.streams.remove(&key);
        } else {
            self.send(now, &key, limits.update_retry_min, out);
        }
        acknowledged
    }

    /// Sends again what was not acknowledged in time, each with twice the delay.
    pub(crate) fn due(&mut self, now: Timestamp, limits: &AgentLimits, out: &mut Vec<FromAgent>) {
        while let Some((at, _)) = self.retries.first()
            && *at <= now
        {
            let (at, key) = self.retries.pop_first().expect("it was there just now");
            let delay = self
                .streams
                .get(&key)
                .and_then(|stream| stream.retry)
                .filter(|retry| retry.at == at)
                .map_or(limits.update_retry_min, |retry| retry.delay * 2);
            self.send(now, &key, delay.min(limits.update_retry_max), out);
        }
    }

    /// The master has gone; acknowledgements are awaited no longer.
    pub(crate) fn pause(&mut self) {
        self.is_paused = true;
        self.retries.clear();
        for stream in self.streams.values_mut() {
            stream.retry = None;
        }
    }

    /// A master is there, or a framework is again: the oldest update of every stream is sent again.
    pub(crate) fn resume(
        &mut self,
        now: Timestamp,
        limits: &AgentLimits,
        out: &mut Vec<FromAgent>,
    ) {
        self.pause();
        self.is_paused = false;
        let keys: Vec<TaskKey> = self.streams.keys().cloned().collect();
        for key in keys {
            self.send(now, &key, limits.update_retry_min, out);
        }
    }

    /// Forgets a framework that nobody reports to any more.
    pub(crate) fn remove_framework(&mut self, framework_id: &str) {
        self.streams.retain(|(owner, _), _| owner != framework_id);
        self.retries.retain(|(_, (owner, _))| owner != framework_id);
    }

    /// Whether updates of the task wait for their acknowledgement.
    pub(crate) fn is_waiting(&self, framework_id: &str, task_id: &str) -> bool {
        self.streams
            .contains_key(&(framework_id.to_owned(), task_id.to_owned()))
    }

    /// When [`Updates::due`] has something to do.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.retries.first().map(|(at, _)| *at)
    }

    fn send(&mut self, now: Timestamp, key: &TaskKey, delay: Duration, out: &mut Vec<FromAgent>) {
        if self.is_paused {
            return;
        }
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let (Some(oldest), Some(newest)) = (stream.queue.front(), stream.queue.back()) else {
            return;
        };
        out.push(FromAgent::StatusUpdate {
            framework_id: v1::FrameworkId {
                value: key.0.clone(),
            },
            status: oldest.clone(),
            latest_state: newest.state(),
        });
        let at = now + delay;
        stream.retry = Some(Retry { at, delay });
        self.retries.insert((at, key.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn status(task: &str, state: v1::TaskState, uuid: u8) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: state.into(),
            uuid: Some(vec![uuid; 16].into()),
            ..Default::default()
        }
    }

    fn sent(out: &mut Vec<FromAgent>) -> Vec<(v1::TaskState, v1::TaskState)> {
        out.drain(..)
            .map(|message| match message {
                FromAgent::StatusUpdate {
                    status,
                    latest_state,
                    ..
                } => (status.state(), latest_state),
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    }

    struct Bench {
        updates: Updates,
        limits: AgentLimits,
        out: Vec<FromAgent>,
    }

    impl Bench {
        fn new() -> Self {
            let mut bench = Self {
                updates: Updates::new(),
                limits: AgentLimits::default(),
                out: Vec::new(),
            };
            bench.updates.resume(at(0), &bench.limits, &mut bench.out);
            bench
        }

        fn push(&mut self, secs: u64, status: v1::TaskStatus) {
            self.updates
                .push(at(secs), "f", status, &self.limits, &mut self.out);
        }

        fn acknowledge(&mut self, secs: u64, uuid: u8) -> bool {
            self.updates
                .acknowledge(at(secs), "f", "t", &[uuid; 16], &self.limits, &mut self.out)
                .is_some()
        }

        fn due(&mut self, secs: u64) {
            self.updates.due(at(secs), &self.limits, &mut self.out);
        }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1000) + SECOND * u32::try_from(secs).unwrap()
    }

    use v1::TaskState::{TaskFinished, TaskRunning, TaskStarting};

    #[test]
    fn sends_one_update_of_a_task_at_a_time() {
        let mut bench = Bench::new();
        bench.push(0, status("t", TaskStarting, 1));
        bench.push(0, status("t", TaskRunning, 2));
        assert_eq!(sent(&mut bench.out), [(TaskStarting, TaskStarting)]);
        assert!(bench.acknowledge(1, 1));
        assert_eq!(sent(&mut bench.out), [(TaskRunning, TaskRunning)]);
        assert!(!bench.acknowledge(1, 1), "acknowledged already");
        assert!(bench.acknowledge(1, 2));
        assert_eq!(bench.updates.wake_at(), None);
    }

    /// The times of the recorded scene `fault-updates-unacknowledged`.
    #[test]
    fn repeats_after_10_and_30_seconds_and_tells_the_latest_state() {
        let mut bench = Bench::new();
        bench.push(0, status("t", TaskStarting, 1));
        bench.push(0, status("t", TaskRunning, 2));
        bench.push(2, status("t", TaskFinished, 3));
        sent(&mut bench.out);
        assert_eq!(bench.updates.wake_at(), Some(at(10)));
        bench.due(9);
        assert!(bench.out.is_empty());
        bench.due(10);
        assert_eq!(sent(&mut bench.out), [(TaskStarting, TaskFinished)]);
        assert_eq!(bench.updates.wake_at(), Some(at(30)));
        bench.due(30);
        assert_eq!(bench.updates.wake_at(), Some(at(70)));
    }

    #[test]
    fn the_delay_ends_at_ten_minutes() {
        let mut bench = Bench::new();
        bench.push(0, status("t", TaskStarting, 1));
        let mut last = Duration::ZERO;
        for _ in 0..10 {
            let now = bench.updates.wake_at().unwrap();
            bench.updates.due(now, &bench.limits, &mut bench.out);
            last = bench.updates.wake_at().unwrap() - now;
        }
        assert_eq!(last, Duration::from_secs(600));
    }

    #[test]
    fn without_a_master_updates_wait_and_are_sent_when_one_comes() {
        let mut bench = Bench::new();
        bench.push(0, status("t", TaskStarting, 1));
        bench.updates.pause();
        bench.push(1, status("u", TaskStarting, 2));
        sent(&mut bench.out);
        assert_eq!(bench.updates.wake_at(), None);
        bench.updates.resume(at(5), &bench.limits, &mut bench.out);
        assert_eq!(sent(&mut bench.out).len(), 2);
        assert_eq!(bench.updates.wake_at(), Some(at(15)));
    }
}
