//! What the master shows of itself: pure functions from a [`Snapshot`] to the
//! messages of the operator API and to the JSON of the older endpoints, in the
//! shapes that web pages and command lines of Mesos read.

pub(crate) mod legacy;
mod metrics;
pub(crate) mod model;
mod roles;

use std::collections::BTreeMap;
use std::sync::Arc;

use mesos_sdk::v1;
use mesos_sdk::v1::master::response::GetState;

use crate::master::OperatorReport;

use crate::security::{Acls, Action};
pub(crate) use legacy::{TasksQuery, frameworks, slaves, state, state_summary, tasks};
pub(crate) use metrics::metrics;
pub(crate) use roles::{role_messages, roles};

/// Everything the views show, taken from the master at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The build, as `/version` tells it.
    pub(crate) version: v1::VersionInfo,
    /// The name of the cluster.
    pub(crate) cluster: Option<String>,
    /// The master's flags by name.
    pub(crate) flags: BTreeMap<String, String>,
    /// The master, its addresses and capabilities.
    pub(crate) master: v1::MasterInfo,
    /// When it started, in seconds since the epoch.
    pub(crate) start_time: f64,
    /// When it became the leader, likewise.
    pub(crate) elected_time: f64,
    /// When the snapshot was taken, likewise.
    pub(crate) now: f64,
    /// Agents, frameworks, executors and tasks.
    pub(crate) state: GetState,
    /// What operators have set.
    pub(crate) operator: OperatorReport,
    /// How many agents are unreachable.
    pub(crate) unreachable_agents: usize,
    /// To whom it is shown. What they may not see of the state is left out.
    pub(crate) viewer: Viewer,
    /// Whether this master leads; one that follows shows metrics only.
    pub(crate) leads: bool,
    /// What the master counts.
    pub(crate) counters: BTreeMap<String, f64>,
}

/// Somebody, and what they may see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Viewer {
    pub(crate) acls: Arc<Acls>,
    pub(crate) principal: Option<String>,
}

impl Viewer {
    pub(crate) fn may(&self, action: Action, object: Option<&str>) -> bool {
        self.acls.allow(self.principal.as_deref(), action, object)
    }
}

impl Snapshot {
    fn agents(&self) -> &[v1::master::response::get_agents::Agent] {
        self.state
            .get_agents
            .as_ref()
            .map_or(&[], |get| &get.agents)
    }

    fn frameworks(&self) -> &[v1::master::response::get_frameworks::Framework] {
        self.state
            .get_frameworks
            .as_ref()
            .map_or(&[], |get| &get.frameworks)
    }

    fn completed_frameworks(&self) -> &[v1::master::response::get_frameworks::Framework] {
        self.state
            .get_frameworks
            .as_ref()
            .map_or(&[], |get| &get.completed_frameworks)
    }

    fn active_tasks(&self) -> &[v1::Task] {
        self.state.get_tasks.as_ref().map_or(&[], |get| &get.tasks)
    }

    fn unreachable_tasks(&self) -> &[v1::Task] {
        self.state
            .get_tasks
            .as_ref()
            .map_or(&[], |get| &get.unreachable_tasks)
    }

    fn completed_tasks(&self) -> &[v1::Task] {
        self.state
            .get_tasks
            .as_ref()
            .map_or(&[], |get| &get.completed_tasks)
    }

    fn all_tasks(&self) -> impl Iterator<Item = &v1::Task> {
        self.active_tasks()
            .iter()
            .chain(self.unreachable_tasks())
            .chain(self.completed_tasks())
    }

    fn executors(&self) -> &[v1::master::response::get_executors::Executor] {
        self.state
            .get_executors
            .as_ref()
            .map_or(&[], |get| &get.executors)
    }
}

#[cfg(test)]
mod tests;
