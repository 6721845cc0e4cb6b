//! A cluster that never fails: tasks run whether there is a Chronos or not, and
//! what became of them is told until it is acknowledged.

use std::collections::{BTreeMap, VecDeque};

use mesos_sdk::resources::Resources;
use mesos_sdk::v1::{self, TaskState, task_status};

use crate::status;

/// How many tasks a run of the job takes that fails at first.
pub(crate) const TRIES: usize = 3;

#[derive(Debug)]
struct Task {
    ends_at: i64,
    ends_as: TaskState,
    is_over: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Cluster {
    tasks: BTreeMap<String, Task>,
    /// How often each run was executed: by job, and the time in its tasks' ids.
    executions: BTreeMap<String, BTreeMap<i64, usize>>,
    updates: VecDeque<(String, TaskState)>,
    offers: u64,
    offered: Option<String>,
    pub(crate) is_wanted: bool,
}

impl Cluster {
    pub(crate) fn launch(&mut self, id: &str, now: i64) {
        let parts: Vec<&str> = id.split(':').collect();
        let (due, job) = (parts[1].parse().unwrap(), parts[3].to_owned());
        let executions = self.executions.entry(job.clone()).or_default();
        let count = executions.entry(due).or_default();
        *count += 1;
        let (takes, fails) = match job.as_str() {
            "flaky" => (300, *count < TRIES),
            "top" => (1000, false),
            _ => (200, false),
        };
        let task = Task {
            ends_at: now + takes,
            ends_as: match fails {
                true => TaskState::TaskFailed,
                false => TaskState::TaskFinished,
            },
            is_over: false,
        };
        let before = self.tasks.insert(id.to_owned(), task);
        assert!(before.is_none(), "{id} is launched a second time");
        self.updates
            .push_back((id.to_owned(), TaskState::TaskRunning));
    }

    pub(crate) fn is_running(&self, id: &str) -> bool {
        self.tasks.get(id).is_some_and(|task| !task.is_over)
    }

    pub(crate) fn executed(&self, job: &str) -> BTreeMap<i64, usize> {
        self.executions.get(job).cloned().unwrap_or_default()
    }

    pub(crate) fn next_end(&self) -> Option<i64> {
        let running = self.tasks.values().filter(|task| !task.is_over);
        running.map(|task| task.ends_at).min()
    }

    pub(crate) fn pass(&mut self, now: i64) {
        for (id, task) in &mut self.tasks {
            if !task.is_over && task.ends_at <= now {
                task.is_over = true;
                self.updates.push_back((id.clone(), task.ends_as));
            }
        }
    }

    /// What the master says when it is asked for a task.
    pub(crate) fn reconcile(&self, id: &str) -> v1::TaskStatus {
        let state = match self.tasks.get(id) {
            Some(task) if task.is_over => task.ends_as,
            Some(_) => TaskState::TaskRunning,
            None => TaskState::TaskGone,
        };
        let mut status = status(id, state);
        status.reason = Some(task_status::Reason::Reconciliation.into());
        status
    }

    /// The oldest update that is not acknowledged.
    pub(crate) fn next_update(&self) -> Option<v1::TaskStatus> {
        let (id, state) = self.updates.front()?;
        Some(status(id, *state))
    }

    pub(crate) fn acknowledged(&mut self) {
        self.updates.pop_front();
    }

    pub(crate) fn disconnected(&mut self) {
        self.offered = None;
        self.is_wanted = true;
    }

    pub(crate) fn used(&mut self, offers: &[String]) {
        for offer in offers {
            assert_eq!(Some(offer), self.offered.as_ref(), "it is not offered");
            self.offered = None;
        }
    }

    /// All there is, unless it is offered already.
    pub(crate) fn offer(&mut self) -> Option<v1::Offer> {
        if self.offered.is_some() || !self.is_wanted {
            return None;
        }
        self.offers += 1;
        let id = format!("O{}", self.offers);
        self.offered = Some(id.clone());
        let resources = Resources::parse("cpus:64;mem:65536;disk:65536", "*").unwrap();
        Some(v1::Offer {
            id: v1::OfferId { value: id },
            agent_id: v1::AgentId {
                value: "S0".to_owned(),
            },
            hostname: "agent-0".to_owned(),
            resources: resources.into_vec(),
            ..v1::Offer::default()
        })
    }
}
