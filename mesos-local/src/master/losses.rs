//! Agents that fall silent, leave or are given up, and what that means for their
//! tasks (`docs/high-availability-framework-guide.md`, "Dealing with Partitioned
//! or Failed Agents").

use std::time::Duration;

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::task_status::Reason;

use super::gone::removal_reason;
use super::state::{AgentKey, Framework, is_terminal};
use super::{LinkId, Master, events, report};
use crate::messages::ToAgent;

impl Master {
    /// The connection to an agent has broken. Offers of it are void; tasks that
    /// cannot survive a restart of the agent are lost.
    pub(super) fn agent_disconnected(&mut self, link: LinkId) {
        let Some(key) = self.state.links.remove(&link) else {
            return;
        };
        let Some(agent) = self.state.agents.get_mut(&key) else {
            return;
        };
        agent.link = None;
        let hostname = agent.info.hostname.clone();
        self.allocator.set_agent_active(&key, false);
        self.rescind_offers_of_agent(&key);
        self.rescind_inverse_offers_of_agent(&key);
        let message = format!("Agent {hostname} disconnected");
        self.notice(format!("agent {key} disconnected"));
        self.end_tasks(
            &key,
            v1::TaskState::TaskLost,
            Reason::AgentDisconnected,
            &message,
            |framework| !framework.info.checkpoint(),
        );
    }

    /// Ends tasks of an agent in the master's books and tells their frameworks.
    pub(super) fn end_tasks(
        &mut self,
        agent_key: &str,
        state: v1::TaskState,
        reason: Reason,
        message: &str,
        is_meant: impl Fn(&Framework) -> bool,
    ) {
        let Some(agent) = self.state.agents.get(agent_key) else {
            return;
        };
        let unreachable_since =
            (state == v1::TaskState::TaskUnreachable).then(|| report::time_info(self.now));
        for (framework_key, task_key) in agent.tasks.clone() {
            let Some(framework) = self.state.frameworks.get(&framework_key) else {
                continue;
            };
            let Some(task) = framework
                .tasks
                .get(&task_key)
                .filter(|_| is_meant(framework))
            else {
                continue;
            };
            let was_over = is_terminal(task.state());
            let told = framework.told(state);
            let reason = match state {
                v1::TaskState::TaskGoneByOperator => removal_reason(told),
                _ => reason,
            };
            let mut status = events::master_status(
                self.now,
                task.task_id.clone(),
                Some(task.agent_id.clone()),
                told,
                reason,
                message,
            );
            status.executor_id.clone_from(&task.executor_id);
            status.unreachable_time = unreachable_since;
            let framework_id = framework.id();
            if !was_over {
                self.send(&framework_key, events::update(status.clone()));
            }
            self.record_status(&framework_id, status, told);
            // Tasks that are gone are filed with the unreachable ones where the
            // framework does not know that state (`fault-agent-gone-running`).
            let is_out_of_reach = match state {
                v1::TaskState::TaskUnreachable => true,
                v1::TaskState::TaskGoneByOperator => told != state,
                _ => false,
            };
            if is_out_of_reach && !was_over {
                self.put_out_of_reach(&framework_key, &task_key);
            } else {
                self.complete_task(&framework_key, &task_key);
            }
        }
        self.forget_executors(agent_key, &is_meant);
    }

    fn forget_executors(&mut self, agent: &str, is_meant: &impl Fn(&Framework) -> bool) {
        for (key, framework) in &mut self.state.frameworks {
            if !is_meant(framework) {
                continue;
            }
            let executors = framework.executors.remove(agent).unwrap_or_default();
            for executor in executors.values() {
                let resources = Resources::from(executor.resources.as_slice());
                self.allocator.recover(key, agent, &resources);
            }
        }
    }

    fn put_out_of_reach(&mut self, framework_key: &str, task_key: &str) {
        let limit = self.config.max_unreachable_tasks_per_framework;
        let Some(framework) = self.state.frameworks.get_mut(framework_key) else {
            return;
        };
        let Some(task) = framework.tasks.remove(task_key) else {
            return;
        };
        if let Some(agent) = self.state.agents.get_mut(&task.agent_id.value) {
            agent
                .tasks
                .remove(&(framework_key.to_owned(), task_key.to_owned()));
        }
        if !is_terminal(task.state()) {
            let resources = Resources::from(task.resources.as_slice());
            self.allocator
                .recover(framework_key, &task.agent_id.value, &resources);
        }
        framework
            .unreachable_tasks
            .insert(task_key.to_owned(), task);
        while framework.unreachable_tasks.len() > limit {
            framework.unreachable_tasks.pop_first();
        }
    }

    pub(super) fn ping_agents(&mut self) {
        let timeout = self.config.agent_ping_timeout;
        let mut silent = Vec::new();
        let later = self
            .state
            .pings
            .split_off(&(self.now + Duration::from_nanos(1), AgentKey::default()));
        for (due, key) in std::mem::replace(&mut self.state.pings, later) {
            // It may have gone, or have come back since.
            let agent = self.state.agents.get_mut(&key);
            let Some(agent) = agent.filter(|agent| agent.next_ping == due) else {
                continue;
            };
            agent.next_ping = self.now + timeout;
            self.state.pings.insert((agent.next_ping, key.clone()));
            if agent.is_ping_open {
                agent.missed_pings += 1;
            }
            if agent.missed_pings >= self.config.max_agent_ping_timeouts {
                silent.push(key);
                continue;
            }
            agent.is_ping_open = true;
            if let Some(link) = agent.link {
                self.out.to_agents.push((link, ToAgent::Ping));
            }
        }
        for key in silent {
            self.mark_unreachable(&key);
        }
    }

    fn mark_unreachable(&mut self, key: &str) {
        self.notice(format!("agent {key} is unreachable"));
        self.rescind_offers_of_agent(key);
        self.end_tasks(
            key,
            v1::TaskState::TaskUnreachable,
            Reason::AgentRemoved,
            "health check timed out",
            |_| true,
        );
        let message = "Agent was marked unreachable";
        self.end_operations(key, v1::OperationState::OperationUnreachable, message);
        let now = self.now;
        self.state.unreachable_agents.insert(key.to_owned(), now);
        self.forget_agent(key);
    }

    pub(super) fn forget_agent(&mut self, key: &str) {
        self.rescind_inverse_offers_of_agent(key);
        self.state.maintenance.answers.remove(key);
        if let Some(agent) = self.state.agents.remove(key) {
            if let Some(link) = agent.link {
                self.state.links.remove(&link);
            }
            self.state.addresses.remove(&agent.registration.address);
        }
        self.allocator.remove_agent(key);
        let failure = events::failure(mesos_sdk::ids::agent_id(key), None, None);
        self.send_to_all(&failure);
    }

    /// Takes an agent out of the cluster for good.
    pub(super) fn remove_agent(&mut self, key: &str, why: &str) {
        let Some(agent) = self.state.agents.get(key) else {
            return;
        };
        let message = format!("Agent {} removed: {why}", agent.info.hostname);
        self.notice(format!("agent {key} removed: {why}"));
        self.end_tasks(
            key,
            v1::TaskState::TaskLost,
            Reason::AgentRemoved,
            &message,
            |_| true,
        );
        self.rescind_offers_of_agent(key);
        self.forget_operations_on(key);
        self.forget_agent(key);
        self.state.draining_agents.remove(key);
        self.state.deactivated_agents.remove(key);
        self.tell_agent_removed(mesos_sdk::ids::agent_id(key));
    }

    pub(super) fn give_recovered_agents_up(&mut self) {
        let late: Vec<String> = self
            .state
            .recovered_agents
            .iter()
            .filter(|(_, (_, deadline))| *deadline <= self.now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in late {
            self.state.recovered_agents.remove(&key);
            let now = self.now;
            self.state.unreachable_agents.insert(key.clone(), now);
            self.notice(format!("agent {key} did not come back in time"));
            let failure = events::failure(mesos_sdk::ids::agent_id(&key), None, None);
            self.send_to_all(&failure);
        }
    }
}
