//! Reconciliation as a routine, as logic without io
//! (`docs/reconciliation.md`): after each subscription the tasks whose fate is
//! open are asked for, a batch at a time and with growing patience, until each
//! is answered; and now and then everything is asked for.
//!
//! Silence is a legal answer: a master that waits for an agent says nothing of
//! its tasks. A task that is silent does not hold the others up. A task that was
//! launched and never heard of is asked for too: an ACCEPT can be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::scheduler::call::reconcile;

use crate::session::Now;

/// How patient a reconciler is.
#[derive(Debug, Clone)]
pub struct ReconcilerConfig {
    /// The wait before a task that was not answered is asked for again; it
    /// doubles from then on. The next batch waits for the answers of the last,
    /// but not longer than this.
    pub shortest_backoff: Duration,
    /// The longest wait.
    pub longest_backoff: Duration,
    /// How many tasks are asked for at once. It bounds how many answers can
    /// wait to be handled.
    pub batch: usize,
    /// How often everything is asked for.
    pub implicit_interval: Duration,
    /// How long nothing may be heard of a task that was launched.
    pub launch_patience: Duration,
}

impl Default for ReconcilerConfig {
    fn default() -> Self {
        Self {
            shortest_backoff: Duration::from_secs(2),
            longest_backoff: Duration::from_secs(300),
            batch: 1000,
            implicit_interval: Duration::from_secs(900),
            launch_patience: Duration::from_secs(60),
        }
    }
}

impl ReconcilerConfig {
    /// The same for operations, of which nothing is asked that was not tracked:
    /// few frameworks have any.
    pub(crate) fn explicit_only(&self) -> Self {
        /// A thousand years.
        const NEVER: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);
        Self {
            implicit_interval: NEVER,
            ..self.clone()
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
    /// Tasks that are not known to have ended.
    tasks: BTreeMap<Arc<str>, Fate>,
    /// Those of which something is to be heard, by when to ask.
    open: BTreeSet<(Now, Arc<str>)>,
    /// Those that are to be asked for after a wait that begins with the next
    /// step.
    later: Vec<(Arc<str>, Duration)>,
    /// Agents are few: their ids are kept once.
    agents: BTreeSet<Arc<str>>,
    /// The last batch, how many of it were not answered, and how long that
    /// holds the next one up.
    batch: u64,
    unanswered: usize,
    batch_until: Now,
    implicit_at: Now,
    is_subscribed: bool,
}

#[derive(Debug, Default)]
struct Fate {
    agent: Option<Arc<str>>,
    /// When to ask, while the fate is open.
    due: Option<Now>,
    /// How often it was asked for in vain.
    asked: u32,
    /// The batch in which it was asked for and not answered yet.
    batch: Option<u64>,
}

impl Reconciler {
    /// A reconciler that knows no task.
    #[must_use]
    pub fn new(config: ReconcilerConfig) -> Self {
        Self {
            config,
            tasks: BTreeMap::new(),
            open: BTreeSet::new(),
            later: Vec::new(),
            agents: BTreeSet::new(),
            batch: 0,
            unanswered: 0,
            batch_until: Now::ZERO,
            implicit_at: Now::ZERO,
            is_subscribed: false,
        }
    }

    /// A task is known from before; its fate is open, and it is asked for with
    /// the next step that finds a subscription.
    pub fn track(&mut self, task_id: &v1::TaskId, agent_id: Option<&v1::AgentId>) {
        let task = self.fate(&task_id.value, agent_id);
        self.set_due(&task, Some(Now::ZERO));
    }

    /// A task is being launched. It is asked for when nothing is heard of it.
    pub fn launched(&mut self, task_id: &v1::TaskId, agent_id: Option<&v1::AgentId>) {
        let task = self.fate(&task_id.value, agent_id);
        self.later.push((task, self.config.launch_patience));
    }

    /// The master has said something of a task, and it could not be kept: it is
    /// to be asked for again.
    pub fn unheard(&mut self, task_id: &v1::TaskId, agent_id: Option<&v1::AgentId>) {
        let task = self.fate(&task_id.value, agent_id);
        self.close(&task);
        self.later.push((task, self.config.shortest_backoff));
    }

    /// The master has said something of a task that goes on. Says whether the
    /// next step may have something to ask because of it.
    pub fn answer(&mut self, task_id: &v1::TaskId, agent_id: Option<&v1::AgentId>) -> bool {
        let task = self.fate(&task_id.value, agent_id);
        self.close(&task)
    }

    /// A task needs no reconciliation any more: it has ended, was never
    /// launched, or nobody knows it. Says whether the next step may have
    /// something to ask because of it.
    pub fn settle(&mut self, task_id: &v1::TaskId) -> bool {
        let Some((task, _)) = self.tasks.get_key_value(&*task_id.value) else {
            return false;
        };
        let task = Arc::clone(task);
        let goes_on = self.close(&task);
        self.tasks.remove(&task);
        goes_on
    }

    /// How many tasks are tracked.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is no tracked task of which something is to be heard.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// A subscription has begun: every fate is open again. `is_takeover`: of a
    /// framework that had its id before, so that the master may know of tasks
    /// that are not tracked here, and everything is asked for.
    pub fn subscribed(&mut self, now: Now, is_takeover: bool) {
        self.is_subscribed = true;
        self.unanswered = 0;
        self.later.clear();
        self.open.clear();
        for (task, fate) in &mut self.tasks {
            fate.asked = 0;
            fate.batch = None;
            fate.due = Some(now);
            self.open.insert((now, Arc::clone(task)));
        }
        self.implicit_at = if is_takeover {
            now
        } else {
            now + self.config.implicit_interval
        };
    }

    /// There is nobody to ask.
    pub fn disconnected(&mut self) {
        self.is_subscribed = false;
    }

    /// What is to be asked now, if anything. To be called until it is nothing.
    pub fn step(&mut self, now: Now) -> Option<Ask> {
        if !self.is_subscribed {
            return None;
        }
        for (task, wait) in std::mem::take(&mut self.later) {
            // It may have ended meanwhile, or been heard of.
            if self.tasks.get(&task).is_some_and(|fate| fate.due.is_none()) {
                self.set_due(&task, Some(now + wait));
            }
        }
        if self.unanswered > 0 && now < self.batch_until {
            return None;
        }
        let tasks = self.take_batch(now);
        if !tasks.is_empty() {
            return Some(Ask(tasks));
        }
        if now < self.implicit_at {
            return None;
        }
        self.implicit_at = now + self.config.implicit_interval;
        Some(Ask(Vec::new()))
    }

    /// When [`Reconciler::step`] has something to do, apart from answers.
    #[must_use]
    pub fn wake_at(&self) -> Option<Now> {
        if !self.is_subscribed {
            return None;
        }
        if !self.later.is_empty() {
            return Some(Now::ZERO);
        }
        let explicit = self.open.first().map(|(due, _)| *due);
        let due = explicit.map_or(self.implicit_at, |due| due.min(self.implicit_at));
        Some(if self.unanswered > 0 {
            due.max(self.batch_until)
        } else {
            due
        })
    }

    /// Takes the tasks that are due, the longest due ones first.
    fn take_batch(&mut self, now: Now) -> Vec<reconcile::Task> {
        let mut tasks = Vec::new();
        self.batch += 1;
        while tasks.len() < self.config.batch.max(1)
            && let Some((_, task)) = self.open.first().filter(|(due, _)| *due <= now)
        {
            let task = Arc::clone(task);
            let fate = self.tasks.get_mut(&task).expect("what is open is tracked");
            fate.batch = Some(self.batch);
            tasks.push(reconcile::Task {
                task_id: crate::ids::task_id(&*task),
                agent_id: fate.agent.as_deref().map(crate::ids::agent_id),
            });
            let backoff = self
                .config
                .shortest_backoff
                .saturating_mul(1 << fate.asked.min(20))
                .min(self.config.longest_backoff);
            fate.asked += 1;
            self.set_due(&task, Some(now + backoff));
        }
        self.unanswered = tasks.len();
        self.batch_until = now + self.config.shortest_backoff;
        tasks
    }

    /// The entry of a task, made when it is not there.
    fn fate(&mut self, task_id: &str, agent_id: Option<&v1::AgentId>) -> Arc<str> {
        let agent = agent_id.map(|agent_id| {
            let known = self.agents.get(&*agent_id.value).map(Arc::clone);
            known.unwrap_or_else(|| {
                let agent: Arc<str> = Arc::from(&*agent_id.value);
                self.agents.insert(Arc::clone(&agent));
                agent
            })
        });
        let known = self.tasks.get_key_value(task_id);
        let task = known.map_or_else(|| Arc::from(task_id), |(task, _)| Arc::clone(task));
        let fate = self.tasks.entry(Arc::clone(&task)).or_default();
        if agent.is_some() {
            fate.agent = agent;
        }
        task
    }

    /// Nothing more is to be heard of a task for now. Says whether this ended
    /// what the next batch waits for.
    fn close(&mut self, task: &Arc<str>) -> bool {
        self.set_due(task, None);
        let Some(fate) = self.tasks.get_mut(task) else {
            return false;
        };
        fate.asked = 0;
        if fate.batch.take() != Some(self.batch) || self.unanswered == 0 {
            return false;
        }
        self.unanswered -= 1;
        self.unanswered == 0
    }

    fn set_due(&mut self, task: &Arc<str>, due: Option<Now>) {
        let Some(fate) = self.tasks.get_mut(task) else {
            return;
        };
        if let Some(earlier) = std::mem::replace(&mut fate.due, due) {
            self.open.remove(&(earlier, Arc::clone(task)));
        }
        if let Some(due) = due {
            self.open.insert((due, Arc::clone(task)));
        }
    }
}

#[cfg(test)]
mod tests;
