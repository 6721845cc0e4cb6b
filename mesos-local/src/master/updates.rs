//! Status updates on their way from agents to frameworks, acknowledgements on
//! their way back, and the calls that end tasks.

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::call;
use mesos_sdk::v1::task_status::Reason;

use super::state::is_terminal;
use super::subscribe::remember;
use super::{Master, events};
use crate::messages::ToAgent;

impl Master {
    /// An update of an agent: passed on with its uuid, so that the framework
    /// can acknowledge it. While the framework is away the agent keeps it.
    pub(super) fn status_update(
        &mut self,
        agent: &str,
        framework_id: &v1::FrameworkId,
        mut status: v1::TaskStatus,
        latest_state: v1::TaskState,
    ) {
        let key = &framework_id.value;
        if !self.state.frameworks.contains_key(key) {
            return;
        }
        if status.agent_id.is_none() {
            status.agent_id = Some(mesos_sdk::ids::agent_id(agent));
        }
        if status.timestamp.is_none() {
            status.timestamp = Some(self.now.as_secs_f64());
        }
        let mut told = status.clone();
        if let Some(framework) = self.state.frameworks.get(key) {
            told.set_state(framework.told(status.state()));
        }
        self.send(key, events::update(told));
        self.record_status(framework_id, status, latest_state);
    }

    /// Notes a status in the books; resources of a task that has ended are free.
    pub(super) fn record_status(
        &mut self,
        framework_id: &v1::FrameworkId,
        status: v1::TaskStatus,
        latest_state: v1::TaskState,
    ) {
        let key = &framework_id.value;
        let Some(framework) = self.state.frameworks.get_mut(key) else {
            return;
        };
        let Some(task) = framework.tasks.get_mut(&status.task_id.value) else {
            return;
        };
        let old_state = task.state();
        let new_state = if is_terminal(old_state) {
            old_state
        } else {
            latest_state
        };
        let has_ended = !is_terminal(old_state) && is_terminal(new_state);
        if status.uuid.is_some() {
            task.status_update_state = Some(status.state);
            task.status_update_uuid.clone_from(&status.uuid);
        }
        task.set_state(new_state);
        note_status(&mut task.statuses, &status);
        let is_news = old_state != new_state
            || matches!(
                status.reason(),
                Reason::TaskCheckStatusUpdated | Reason::TaskHealthCheckStatusUpdated
            ) && status.reason.is_some();
        let resources = has_ended.then(|| Resources::from(task.resources.as_slice()));
        let agent = task.agent_id.value.clone();
        if let Some(resources) = resources {
            self.allocator.recover(key, &agent, &resources);
        }
        if is_news {
            self.tell_task_updated(framework_id, &status, new_state);
        }
    }

    pub(super) fn acknowledge(&mut self, key: &str, acknowledge: call::Acknowledge) {
        let agent_key = &acknowledge.agent_id.value;
        let is_connected = self
            .state
            .agents
            .get(agent_key)
            .is_some_and(super::state::Agent::is_connected);
        if !is_connected {
            // The agent sends its update again when it is back.
            return;
        }
        let task_key = &acknowledge.task_id.value;
        let is_last = self
            .state
            .frameworks
            .get(key)
            .and_then(|framework| framework.tasks.get(task_key))
            .is_some_and(|task| {
                task.status_update_uuid.as_ref() == Some(&acknowledge.uuid)
                    && task.status_update_state.is_some()
                    && is_terminal(task.status_update_state())
            });
        if is_last {
            self.complete_task(key, task_key);
        }
        let message = ToAgent::Acknowledge {
            framework_id: mesos_sdk::ids::framework_id(key),
            task_id: acknowledge.task_id,
            uuid: acknowledge.uuid.to_vec(),
        };
        self.send_to_agent(&acknowledge.agent_id.value, message);
    }

    /// A task's last update is acknowledged: its id is free again.
    pub(super) fn complete_task(&mut self, key: &str, task_key: &str) {
        let limit = self.config.max_completed_tasks_per_framework;
        let Some(framework) = self.state.frameworks.get_mut(key) else {
            return;
        };
        let Some(task) = framework.tasks.remove(task_key) else {
            return;
        };
        if let Some(agent) = self.state.agents.get_mut(&task.agent_id.value) {
            agent.tasks.remove(&(key.to_owned(), task_key.to_owned()));
        }
        remember(&mut framework.completed_tasks, task, limit);
    }

    pub(super) fn kill(
        &mut self,
        key: &str,
        task_id: v1::TaskId,
        agent_id: Option<v1::AgentId>,
        kill_policy: Option<v1::KillPolicy>,
    ) {
        let Some(framework) = self.state.frameworks.get(key) else {
            return;
        };
        let Some(task) = framework.tasks.get(&task_id.value) else {
            self.reconcile_task(key, &task_id, agent_id.as_ref());
            return;
        };
        let agent = task.agent_id.value.clone();
        if agent_id.is_some_and(|id| id.value != agent) {
            return;
        }
        let message = ToAgent::KillTask {
            framework_id: framework.id(),
            task_id,
            kill_policy,
        };
        match self.state.agents.get_mut(&agent) {
            Some(agent) if !agent.is_connected() => agent.pending_kills.push(message),
            _ => self.send_to_agent(&agent, message),
        }
    }

    pub(super) fn executor_exited(
        &mut self,
        agent: &str,
        framework_id: &v1::FrameworkId,
        executor_id: v1::ExecutorId,
        status: i32,
        is_command_executor: bool,
    ) {
        let key = &framework_id.value;
        let Some(framework) = self.state.frameworks.get_mut(key) else {
            return;
        };
        let executor = framework
            .executors
            .get_mut(agent)
            .and_then(|executors| executors.remove(&executor_id.value));
        if let Some(executor) = executor {
            let resources = Resources::from(executor.resources.as_slice());
            self.allocator.recover(key, agent, &resources);
        }
        if !is_command_executor {
            let agent_id = mesos_sdk::ids::agent_id(agent);
            let event = events::failure(agent_id, Some(executor_id), Some(status));
            self.send(key, event);
        }
    }
}

/// Keeps one status for each state that follows another; data is not kept.
fn note_status(statuses: &mut Vec<v1::TaskStatus>, status: &v1::TaskStatus) {
    let status = v1::TaskStatus {
        data: None,
        ..status.clone()
    };
    match statuses.last_mut() {
        Some(last) if last.state == status.state => *last = status,
        _ => statuses.push(status),
    }
}
