//! Agents that an operator says will not come back
//! (MARK_AGENT_GONE; `src/master/master.cpp`, `markGone`).

use mesos_sdk::v1;
use mesos_sdk::v1::task_status::Reason;

use super::subscribe::remember;
use super::{Master, Reply, events};
use crate::messages::ToAgent;

const MESSAGE: &str = "Agent has been marked gone";

impl Master {
    pub(super) fn mark_agent_gone(&mut self, key: &str) -> Reply {
        if self.state.gone_agents.contains(key) {
            return Reply::new(200, "");
        }
        if !self.has_agent(key) {
            return Reply::new(404, format!("Agent '{key}' not found"));
        }
        self.mark_gone(key);
        Reply::new(200, "")
    }

    /// From now on nothing of the agent is believed to run, and it is refused
    /// should it come back.
    pub(super) fn mark_gone(&mut self, key: &str) {
        self.notice(format!("agent {key} is marked gone"));
        self.state.gone_agents.insert(key.to_owned());
        self.state.recovered_agents.remove(key);
        if self.state.unreachable_agents.remove(key).is_some() {
            self.end_unreachable_tasks(key);
        }
        if self.state.agents.contains_key(key) {
            let message = MESSAGE.to_owned();
            self.send_to_agent(&key.to_owned(), ToAgent::Shutdown { message });
            self.end_tasks(
                key,
                v1::TaskState::TaskGoneByOperator,
                Reason::AgentRemovedByOperator,
                MESSAGE,
                |_| true,
            );
            self.rescind_offers_of_agent(key);
            self.end_operations(key, v1::OperationState::OperationGoneByOperator, MESSAGE);
            self.forget_agent(key);
        }
        self.state.draining_agents.remove(key);
        self.state.deactivated_agents.remove(key);
    }

    /// Tasks that were out of reach are over.
    fn end_unreachable_tasks(&mut self, agent: &str) {
        let limit = self.config.max_completed_tasks_per_framework;
        let keys: Vec<String> = self.state.frameworks.keys().cloned().collect();
        for key in keys {
            let Some(framework) = self.state.frameworks.get_mut(&key) else {
                continue;
            };
            let state = framework.told(v1::TaskState::TaskGoneByOperator);
            let reason = removal_reason(state);
            let is_here = |(_, task): &(&String, &v1::Task)| task.agent_id.value == agent;
            let tasks: Vec<String> = framework
                .unreachable_tasks
                .iter()
                .filter(is_here)
                .map(|(key, _)| key.clone())
                .collect();
            let mut told = Vec::new();
            for task in tasks {
                let Some(mut task) = framework.unreachable_tasks.remove(&task) else {
                    continue;
                };
                let mut status = events::master_status(
                    self.now,
                    task.task_id.clone(),
                    Some(task.agent_id.clone()),
                    state,
                    reason,
                    MESSAGE,
                );
                status.executor_id.clone_from(&task.executor_id);
                let is_news = task.state() != state;
                task.set_state(state);
                task.statuses.push(status.clone());
                remember(&mut framework.completed_tasks, task, limit);
                told.push((status, is_news));
            }
            let framework_id = framework.id();
            for (status, is_news) in told {
                self.send(&key, events::update(status.clone()));
                if is_news {
                    self.tell_task_updated(&framework_id, &status, state);
                }
            }
        }
    }
}

/// Frameworks that do not know the state are not told the newer reason either.
pub(super) fn removal_reason(told: v1::TaskState) -> Reason {
    if told == v1::TaskState::TaskGoneByOperator {
        Reason::AgentRemovedByOperator
    } else {
        Reason::AgentRemoved
    }
}
