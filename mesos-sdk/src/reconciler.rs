//! Reconciliation as a routine, as logic without io
//! (`docs/reconciliation.md`): after each subscription the tasks whose fate is
//! open are asked for, a batch at a time and with growing patience, until each
//! is answered; from then on everything is asked for now and then.
//!
//! Silence is a legal answer: a master that waits for an agent says nothing of
//! its tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::scheduler::call::reconcile;

use crate::session::Now;

/// How patient a reconciler is.
#[derive(Debug, Clone)]
pub struct ReconcilerConfig {
    /// The wait before tasks that were not answered are asked for again; it
    /// doubles from then on.
    pub shortest_backoff: Duration,
    /// The longest wait.
    pub longest_backoff: Duration,
    /// How many tasks are asked for at once. It bounds how many answers can
    /// wait to be handled.
    pub batch: usize,
    /// How often everything is asked for once all is answered.
    pub implicit_interval: Duration,
}

impl Default for ReconcilerConfig {
    fn default() -> Self {
        Self {
            shortest_backoff: Duration::from_secs(2),
            longest_backoff: Duration::from_secs(300),
            batch: 1000,
            implicit_interval: Duration::from_secs(900),
        }
    }
}

/// A RECONCILE to send; without tasks it asks for all.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask(pub Vec<reconcile::Task>);

/// What is known of the fate of tasks.
#[derive(Debug)]
pub struct Reconciler {
    config: ReconcilerConfig,
    /// Tasks that are not known to have ended, and where they were launched.
    tasks: BTreeMap<String, Option<v1::AgentId>>,
    /// Tasks to ask for in this round.
    waiting: BTreeSet<String>,
    /// Tasks that were asked for and not answered yet.
    asked: BTreeSet<String>,
    is_subscribed: bool,
    /// How often the open fates were asked for in vain.
    rounds: u32,
    /// Whether fates were open since the last time all was settled.
    is_open: bool,
    /// When what was asked is asked again, or everything is.
    next: Option<Now>,
}

impl Reconciler {
    /// A reconciler that knows no task.
    #[must_use]
    pub fn new(config: ReconcilerConfig) -> Self {
        Self {
            config,
            tasks: BTreeMap::new(),
            waiting: BTreeSet::new(),
            asked: BTreeSet::new(),
            is_subscribed: false,
            rounds: 0,
            is_open: false,
            next: None,
        }
    }

    /// A task has been launched, or is known from before. Its fate is open.
    pub fn track(&mut self, task_id: &v1::TaskId, agent_id: Option<v1::AgentId>) {
        self.tasks.insert(task_id.value.clone(), agent_id);
    }

    /// A task needs no reconciliation any more: it has ended.
    pub fn settle(&mut self, task_id: &v1::TaskId) {
        self.tasks.remove(&task_id.value);
        self.answer(task_id);
    }

    /// The master has said something of a task.
    pub fn answer(&mut self, task_id: &v1::TaskId) {
        self.waiting.remove(&task_id.value);
        self.asked.remove(&task_id.value);
    }

    /// How many tasks are tracked.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.tasks.len()
    }

    /// Whether each tracked task has been answered since the subscription.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty()
    }

    /// A subscription has begun: every fate is open again.
    pub fn subscribed(&mut self, now: Now) {
        self.is_subscribed = true;
        self.rounds = 0;
        self.waiting = self.tasks.keys().cloned().collect();
        self.asked.clear();
        self.next = Some(now);
    }

    /// There is nobody to ask.
    pub fn disconnected(&mut self) {
        self.is_subscribed = false;
        self.next = None;
    }

    /// What is to be asked now, if anything.
    pub fn step(&mut self, now: Now) -> Option<Ask> {
        if !self.is_subscribed {
            return None;
        }
        let is_due = self.next.is_some_and(|next| next <= now);
        if self.asked.is_empty() && !self.waiting.is_empty() {
            return Some(self.ask(now));
        }
        if !is_due {
            if self.is_settled() && self.is_open {
                // All is answered: from now on, everything now and then.
                self.is_open = false;
                self.rounds = 0;
                self.next = Some(now + self.config.implicit_interval);
            }
            return None;
        }
        if !self.asked.is_empty() {
            self.rounds += 1;
            let unanswered = std::mem::take(&mut self.asked);
            self.waiting.extend(unanswered);
            return Some(self.ask(now));
        }
        self.next = Some(now + self.config.implicit_interval);
        // A framework that tracks nothing has nothing to compare answers with.
        (!self.tasks.is_empty()).then(|| Ask(Vec::new()))
    }

    /// When [`Reconciler::step`] has something to do, apart from answers.
    #[must_use]
    pub fn wake_at(&self) -> Option<Now> {
        self.next
    }

    fn ask(&mut self, now: Now) -> Ask {
        let backoff = self
            .config
            .shortest_backoff
            .saturating_mul(1 << self.rounds.min(20))
            .min(self.config.longest_backoff);
        self.next = Some(now + backoff);
        self.is_open = true;
        while self.asked.len() < self.config.batch {
            let Some(task) = self.waiting.pop_first() else {
                break;
            };
            self.asked.insert(task);
        }
        let tasks = self.asked.iter().map(|task| reconcile::Task {
            task_id: crate::ids::task_id(task),
            agent_id: self.tasks.get(task).cloned().flatten(),
        });
        Ask(tasks.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::task_id;

    fn at(seconds: u64) -> Now {
        Duration::from_secs(seconds)
    }

    fn reconciler(tasks: usize, batch: usize) -> Reconciler {
        let mut reconciler = Reconciler::new(ReconcilerConfig {
            batch,
            ..ReconcilerConfig::default()
        });
        for task in 0..tasks {
            reconciler.track(&task_id(format!("t{task}")), None);
        }
        reconciler.subscribed(at(0));
        reconciler
    }

    fn ids(ask: Option<Ask>) -> Vec<String> {
        let Ask(tasks) = ask.expect("something is asked");
        tasks.into_iter().map(|task| task.task_id.value).collect()
    }

    #[test]
    fn asks_again_until_each_task_is_answered() {
        let mut reconciler = reconciler(2, 10);
        assert_eq!(ids(reconciler.step(at(0))), ["t0", "t1"]);
        reconciler.answer(&task_id("t0"));
        assert_eq!(reconciler.step(at(1)), None);
        assert_eq!(ids(reconciler.step(at(2))), ["t1"]);
        let next = reconciler.wake_at().unwrap();
        assert_eq!(next, at(2 + 4));
        assert_eq!(ids(reconciler.step(next)), ["t1"]);
        reconciler.answer(&task_id("t1"));
        assert_eq!(reconciler.step(next), None);
        assert!(reconciler.is_settled());
        assert_eq!(reconciler.wake_at(), Some(next + Duration::from_secs(900)));
        assert_eq!(
            reconciler.step(next + Duration::from_secs(900)),
            Some(Ask(vec![]))
        );
    }

    #[test]
    fn the_wait_is_truncated() {
        let mut reconciler = reconciler(1, 10);
        let mut now = at(0);
        for _ in 0..30 {
            reconciler.step(now);
            let next = reconciler.wake_at().unwrap();
            assert!(next - now <= Duration::from_secs(300));
            now = next;
        }
    }

    #[test]
    fn the_next_batch_waits_for_the_answers_of_the_last() {
        let mut reconciler = reconciler(5, 2);
        let mut seen = Vec::new();
        while let Some(ask) = reconciler.step(at(0)) {
            let ids = ids(Some(ask));
            assert!(ids.len() <= 2);
            for id in &ids {
                assert_eq!(reconciler.step(at(0)), None);
                reconciler.answer(&task_id(id));
            }
            seen.extend(ids);
        }
        assert_eq!(seen, ["t0", "t1", "t2", "t3", "t4"]);
    }

    #[test]
    fn a_new_subscription_opens_every_fate_again() {
        let mut reconciler = reconciler(1, 2);
        reconciler.step(at(0));
        reconciler.answer(&task_id("t0"));
        reconciler.disconnected();
        assert_eq!(reconciler.step(at(5)), None);
        reconciler.subscribed(at(6));
        assert_eq!(ids(reconciler.step(at(6))), ["t0"]);
        reconciler.settle(&task_id("t0"));
        assert_eq!(reconciler.tracked(), 0);
    }

    #[test]
    fn a_framework_without_tasks_asks_nothing_at_first() {
        let mut reconciler = reconciler(0, 2);
        assert_eq!(reconciler.step(at(0)), None);
    }

    proptest! {
        #[test]
        fn every_task_is_asked_for_until_it_is_answered(
            tasks in 1..40_usize, batch in 1..10_usize, answers in prop::collection::vec(any::<bool>(), 400),
        ) {
            let mut reconciler = reconciler(tasks, batch);
            let mut open: BTreeSet<String> = (0..tasks).map(|t| format!("t{t}")).collect();
            let mut now = at(0);
            let mut answers = answers.into_iter().chain(std::iter::repeat(true));
            for _ in 0..2000 {
                if open.is_empty() { break; }
                if let Some(Ask(asked)) = reconciler.step(now) {
                    for task in asked {
                        prop_assert!(open.contains(&task.task_id.value), "asked twice");
                        if answers.next() == Some(true) {
                            reconciler.answer(&task.task_id);
                            open.remove(&task.task_id.value);
                        }
                    }
                } else {
                    now = reconciler.wake_at().unwrap();
                }
            }
            prop_assert!(open.is_empty(), "never asked for: {open:?}");
            reconciler.step(now);
            prop_assert!(reconciler.is_settled());
        }
    }
}
