//! What a cluster looks like now: agents, frameworks and the tasks that have not
//! ended, as the master's events tell. Pure: it is changed by
//! [`apply`](Cluster::apply) only.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesos_proto::v1;
use mesos_proto::v1::master::response::{get_agents, get_frameworks};
use mesos_proto::v1::master::{Event, event};

use crate::status::is_terminal;

/// Agents, frameworks and tasks by their ids. A clone is a snapshot and shares
/// what is in it.
///
/// Some things the master does not tell: an agent that became unreachable or
/// was marked gone stays until the next subscription, and resources in use are
/// those of the moment when an agent or framework was told last. Its tasks say
/// that they are unreachable or gone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    agents: BTreeMap<String, Arc<get_agents::Agent>>,
    frameworks: BTreeMap<String, Arc<get_frameworks::Framework>>,
    tasks: BTreeMap<String, BTreeMap<String, Arc<v1::Task>>>,
}

impl Cluster {
    /// The agents, by id.
    pub fn agents(&self) -> impl Iterator<Item = &get_agents::Agent> {
        self.agents.values().map(Arc::as_ref)
    }

    /// An agent.
    #[must_use]
    pub fn agent(&self, id: &v1::AgentId) -> Option<&get_agents::Agent> {
        self.agents.get(&id.value).map(Arc::as_ref)
    }

    /// The frameworks, by id.
    pub fn frameworks(&self) -> impl Iterator<Item = &get_frameworks::Framework> {
        self.frameworks.values().map(Arc::as_ref)
    }

    /// A framework.
    #[must_use]
    pub fn framework(&self, id: &v1::FrameworkId) -> Option<&get_frameworks::Framework> {
        self.frameworks.get(&id.value).map(Arc::as_ref)
    }

    /// The tasks that have not ended, by framework and id.
    pub fn tasks(&self) -> impl Iterator<Item = &v1::Task> {
        let tasks = self.tasks.values().flat_map(BTreeMap::values);
        tasks.map(Arc::as_ref)
    }

    /// The tasks of a framework that have not ended, by id.
    pub fn tasks_of(&self, id: &v1::FrameworkId) -> impl Iterator<Item = &v1::Task> {
        let tasks = self.tasks.get(&id.value).into_iter();
        tasks.flat_map(BTreeMap::values).map(Arc::as_ref)
    }

    /// A task that has not ended.
    #[must_use]
    pub fn task(&self, framework_id: &v1::FrameworkId, id: &v1::TaskId) -> Option<&v1::Task> {
        let tasks = self.tasks.get(&framework_id.value)?;
        tasks.get(&id.value).map(Arc::as_ref)
    }

    /// Takes an event in. Says whether it changed anything.
    pub fn apply(&mut self, event: &Event) -> bool {
        match event.r#type() {
            event::Type::Subscribed => self.with(event.subscribed.as_ref(), |cluster, all| {
                *cluster = Self::of(all.clone());
                true
            }),
            event::Type::AgentAdded => self.with(event.agent_added.as_ref(), |cluster, added| {
                cluster.add_agent(added.agent.clone())
            }),
            event::Type::AgentRemoved => self.with(event.agent_removed.as_ref(), |cluster, it| {
                cluster.agents.remove(&it.agent_id.value).is_some()
            }),
            event::Type::FrameworkAdded => self
                .with(event.framework_added.as_ref(), |cluster, it| {
                    cluster.add_framework(it.framework.clone())
                }),
            event::Type::FrameworkUpdated => self
                .with(event.framework_updated.as_ref(), |cluster, it| {
                    cluster.add_framework(it.framework.clone())
                }),
            event::Type::FrameworkRemoved => self
                .with(event.framework_removed.as_ref(), |cluster, it| {
                    cluster.remove_framework(&it.framework_info)
                }),
            event::Type::TaskAdded => self.with(event.task_added.as_ref(), |cluster, added| {
                cluster.add_task(added.task.clone())
            }),
            event::Type::TaskUpdated => self.with(event.task_updated.as_ref(), Self::update_task),
            event::Type::Heartbeat | event::Type::Unknown => false,
        }
    }

    fn with<T>(&mut self, part: Option<&T>, change: impl FnOnce(&mut Self, &T) -> bool) -> bool {
        part.is_some_and(|part| change(self, part))
    }

    /// All of it, as a subscription begins. It is large, and taken apart.
    pub(super) fn of(subscribed: event::Subscribed) -> Self {
        let mut cluster = Self::default();
        let Some(state) = subscribed.get_state else {
            return cluster;
        };
        for agent in state.get_agents.unwrap_or_default().agents {
            cluster.add_agent(agent);
        }
        for framework in state.get_frameworks.unwrap_or_default().frameworks {
            cluster.add_framework(framework);
        }
        let tasks = state.get_tasks.unwrap_or_default();
        for task in tasks.tasks.into_iter().chain(tasks.unreachable_tasks) {
            cluster.add_task(task);
        }
        cluster
    }

    fn add_agent(&mut self, agent: get_agents::Agent) -> bool {
        let id = agent.agent_info.id.as_ref();
        let id = id.map(|id| id.value.clone()).unwrap_or_default();
        insert(&mut self.agents, id, agent)
    }

    fn add_framework(&mut self, framework: get_frameworks::Framework) -> bool {
        let id = framework.framework_info.id.as_ref();
        let id = id.map(|id| id.value.clone()).unwrap_or_default();
        insert(&mut self.frameworks, id, framework)
    }

    fn remove_framework(&mut self, info: &v1::FrameworkInfo) -> bool {
        let Some(id) = &info.id else {
            return false;
        };
        let had_tasks = self.tasks.remove(&id.value).is_some();
        self.frameworks.remove(&id.value).is_some() || had_tasks
    }

    fn add_task(&mut self, mut task: v1::Task) -> bool {
        if is_terminal(task.state()) {
            return self.remove_task(&task.framework_id, &task.task_id);
        }
        let tasks = self.tasks.entry(task.framework_id.value.clone());
        let tasks = tasks.or_default();
        // There may be many, and decoding leaves room for more.
        task.statuses.shrink_to_fit();
        task.resources.shrink_to_fit();
        insert(tasks, task.task_id.value.clone(), task)
    }

    fn remove_task(&mut self, framework_id: &v1::FrameworkId, id: &v1::TaskId) -> bool {
        let Some(tasks) = self.tasks.get_mut(&framework_id.value) else {
            return false;
        };
        let was_there = tasks.remove(&id.value).is_some();
        if tasks.is_empty() {
            self.tasks.remove(&framework_id.value);
        }
        was_there
    }

    fn update_task(&mut self, updated: &event::TaskUpdated) -> bool {
        let id = &updated.status.task_id;
        if is_terminal(updated.state()) {
            return self.remove_task(&updated.framework_id, id);
        }
        let tasks = self.tasks.get_mut(&updated.framework_id.value);
        let Some(task) = tasks.and_then(|tasks| tasks.get_mut(&id.value)) else {
            // Of a task that had ended, or was never told.
            return false;
        };
        let status = &updated.status;
        if task.state == updated.state && task.statuses.last() == Some(status) {
            return false;
        }
        // Snapshots keep the task as it was.
        let task = Arc::make_mut(task);
        task.state = updated.state;
        // One status for each state, as masters keep them.
        match task.statuses.last_mut() {
            Some(last) if last.state == status.state => *last = status.clone(),
            _ => task.statuses.push(status.clone()),
        }
        true
    }
}

/// Says whether anything changed.
fn insert<T: PartialEq>(map: &mut BTreeMap<String, Arc<T>>, id: String, value: T) -> bool {
    if map.get(&id).is_some_and(|known| **known == value) {
        return false;
    }
    map.insert(id, Arc::new(value));
    true
}

#[cfg(test)]
mod tests;
