//! What Mesos says of tasks.

use mesos_sdk::v1::{self, TaskState, task_status::Reason};

use crate::effects::Call;
use crate::run::{Launched, Phase, RunId};

use super::Step;
use super::finish::Ending;

impl Step<'_> {
    pub(super) fn update(&mut self, status: &v1::TaskStatus) {
        let Some(id) = self.state.tasks.get(&status.task_id.value).copied() else {
            return self.stranger(status);
        };
        let reason = status.reason.map(|_| status.reason());
        let message = match status.message() {
            "" => status.state().as_str_name(),
            message => message,
        };
        match status.state() {
            TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskKilling => {
                self.note(id, status, |_, _| {});
            }
            TaskState::TaskRunning => self.note(id, status, |launched, at| {
                launched.started_ms.get_or_insert(at);
            }),
            TaskState::TaskUnreachable => self.unreachable(id),
            TaskState::TaskLost if is_out_of_reach(reason) => self.unreachable(id),
            TaskState::TaskFinished => self.finished(id, status),
            TaskState::TaskKilled => {
                self.note(id, status, |_, _| {});
                self.killed(id, message, status);
            }
            TaskState::TaskDropped => self.dropped(id, message),
            TaskState::TaskGone | TaskState::TaskLost if self.is_unheard(id) => {
                self.dropped(id, message);
            }
            TaskState::TaskGoneByOperator if reason == Some(Reason::AgentDraining) => {
                self.drained(id, message);
            }
            TaskState::TaskFailed
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
            | TaskState::TaskUnknown => {
                self.note(id, status, |_, _| {});
                let at = self.when(status);
                self.end_or_told(id, Ending::Failure, message, at);
            }
        }
    }

    /// A task that is none of ours any more is to end.
    fn stranger(&mut self, status: &v1::TaskStatus) {
        let is_alive = matches!(
            status.state(),
            TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskRunning
        );
        // What awaits somebody's word has ended, and is not in this list.
        if is_alive {
            self.effects.calls.push(Call::Kill {
                task_id: status.task_id.value.clone(),
                agent_id: status.agent_id.as_ref().map(|id| id.value.clone()),
            });
        }
    }

    fn when(&self, status: &v1::TaskStatus) -> i64 {
        // The agent's clock, as long as it is not ahead of ours.
        let at = status.timestamp.map(|seconds| (seconds * 1000.0) as i64);
        at.filter(|at| *at > 0).unwrap_or(self.now).min(self.now)
    }

    /// Takes note that a task was heard of.
    fn note(&mut self, id: RunId, status: &v1::TaskStatus, how: impl FnOnce(&mut Launched, i64)) {
        let at = self.when(status);
        let Some(before) = self.state.runs.get(&id).cloned() else {
            return;
        };
        let mut run = (*before).clone();
        let Phase::Launched(launched) = &mut run.phase else {
            return;
        };
        launched.is_heard = true;
        launched.unreachable_ms = None;
        launched.asked_ms = None;
        let container = status.container_status.as_ref();
        let container = container.and_then(|it| it.container_id.as_ref());
        if let Some(container) = container {
            launched.container_id = Some(container.value.clone());
        }
        how(launched, at);
        if run != *before {
            self.put_run(id, run);
        }
    }

    fn unreachable(&mut self, id: RunId) {
        let Some(run) = self.state.runs.get(&id) else {
            return;
        };
        let mut run = (**run).clone();
        if let Phase::Launched(launched) = &mut run.phase
            && launched.unreachable_ms.is_none()
            && !launched.is_awaited
        {
            launched.unreachable_ms = Some(self.now);
            launched.asked_ms = Some(self.now);
            self.put_run(id, run);
        }
    }

    fn is_unheard(&self, id: RunId) -> bool {
        let launched = self.state.runs.get(&id).and_then(|run| run.launched());
        launched.is_some_and(|it| !it.is_heard && it.unreachable_ms.is_none())
    }

    /// The end of an asynchronous job's task says nothing of the job.
    fn finished(&mut self, id: RunId, status: &v1::TaskStatus) {
        self.note(id, status, |_, _| {});
        let at = self.when(status);
        let Some(run) = self.state.runs.get(&id).cloned() else {
            return;
        };
        let job = self.state.jobs.get(&run.job);
        let is_async = job.is_some_and(|job| job.is_async);
        let is_told = run.launched().is_some_and(|it| it.told.is_some());
        let is_killed = run.launched().is_some_and(|it| it.kill.is_some());
        if is_async && !is_told && !is_killed {
            let mut run = (*run).clone();
            if let Phase::Launched(launched) = &mut run.phase {
                launched.is_awaited = true;
            }
            return self.put_run(id, run);
        }
        self.end_or_told(id, Ending::Success, status.message(), at);
    }

    /// A task has ended; what somebody told of it counts more.
    fn end_or_told(&mut self, id: RunId, ending: Ending, message: &str, at: i64) {
        let run = self.state.runs.get(&id);
        let launched = run.and_then(|run| run.launched());
        if launched.is_some_and(|it| it.is_awaited) {
            return;
        }
        match launched.and_then(|it| it.told) {
            Some(0) => self.ended(id, Ending::Success, message, at),
            Some(status) => {
                let message = format!("it was told to have ended with status {status}");
                self.ended(id, Ending::Failure, &message, at);
            }
            None => self.ended(id, ending, message, at),
        }
    }

    fn killed(&mut self, id: RunId, message: &str, status: &v1::TaskStatus) {
        let reason = status.reason.map(|_| status.reason());
        match reason {
            Some(Reason::AgentDraining) => self.drained(id, message),
            _ => {
                let at = self.when(status);
                self.end_or_told(id, Ending::Killed, message, at);
            }
        }
    }

    /// An operator empties the agent: the task runs elsewhere.
    fn drained(&mut self, id: RunId, message: &str) {
        self.dropped(id, message);
    }
}

/// Whether a lost task may come back.
fn is_out_of_reach(reason: Option<Reason>) -> bool {
    matches!(
        reason,
        Some(Reason::AgentDisconnected | Reason::AgentRemoved)
    )
}
