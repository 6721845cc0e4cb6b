//! Agents of which nothing is offered because an operator says so, and those
//! whose tasks are brought to an end besides
//! (DRAIN_AGENT, DEACTIVATE_AGENT, REACTIVATE_AGENT; `src/master/http.cpp`,
//! `src/master/master.cpp`).

use mesos_sdk::v1;
use mesos_sdk::v1::master::call;

use super::maintenance::machine_text;
use super::state::Draining;
use super::{Master, Reply};
use crate::messages::ToAgent;

impl Master {
    pub(super) fn drain_agent(&mut self, call: &call::DrainAgent) -> Reply {
        let key = call.agent_id.value.clone();
        if let Some(machine) = self.scheduled_machine_of(&key) {
            return Reply::new(
                400,
                format!(
                    "Agent {key} is part of a maintenance schedule under Machine {}",
                    machine_text(&machine)
                ),
            );
        }
        if !self.has_agent(&key) {
            return Reply::new(400, "Unknown agent");
        }
        let config = v1::DrainConfig {
            max_grace_period: call.max_grace_period.map(|period| v1::DurationInfo {
                nanoseconds: period
                    .seconds
                    .saturating_mul(1_000_000_000)
                    .saturating_add(i64::from(period.nanos)),
            }),
            mark_gone: Some(call.mark_gone()),
        };
        let info = v1::DrainInfo {
            state: v1::DrainState::Draining.into(),
            config,
        };
        let draining = Draining {
            info,
            started: None,
        };
        self.state.draining_agents.insert(key.clone(), draining);
        self.deactivate(&key);
        self.tell_to_drain(&key);
        self.notice(format!("agent {key} is being drained"));
        Reply::new(200, "")
    }

    pub(super) fn deactivate_agent(&mut self, key: &str) -> Reply {
        if !self.has_agent(key) {
            return Reply::new(400, "Unknown agent");
        }
        self.deactivate(key);
        self.notice(format!("agent {key} is deactivated"));
        Reply::new(200, "")
    }

    pub(super) fn reactivate_agent(&mut self, key: &str) -> Reply {
        if !self.state.deactivated_agents.contains(key) {
            return Reply::new(400, "Agent is not deactivated");
        }
        if self.is_draining(key) {
            return Reply::new(400, "Agent is still in the DRAINING state");
        }
        self.state.draining_agents.remove(key);
        self.state.deactivated_agents.remove(key);
        let Some(agent) = self.state.agents.get(key) else {
            return Reply::new(409, "Agent removed while processing the call");
        };
        if agent.is_connected() {
            self.allocator.set_agent_active(key, true);
            self.allocate();
        }
        self.notice(format!("agent {key} is active again"));
        Reply::new(200, "")
    }

    /// Nothing of the agent is offered any more, and what was is taken back.
    fn deactivate(&mut self, key: &str) {
        self.state.deactivated_agents.insert(key.to_owned());
        if self.state.agents.contains_key(key) {
            self.allocator.set_agent_active(key, false);
            self.rescind_offers_of_agent(key);
            self.rescind_inverse_offers_of_agent(key);
        }
    }

    fn is_draining(&self, key: &str) -> bool {
        let draining = self.state.draining_agents.get(key);
        draining.is_some_and(|draining| draining.info.state() == v1::DrainState::Draining)
    }

    /// Tells an agent that has come what was decided about it meanwhile.
    pub(super) fn apply_decisions(&mut self, key: &str) {
        let is_active = !self.state.deactivated_agents.contains(key);
        self.allocator.set_agent_active(key, is_active);
        self.tell_to_drain(key);
    }

    /// A drained agent is told too: a task may have reached it meanwhile.
    fn tell_to_drain(&mut self, key: &str) {
        if !self.state.agents.contains_key(key) {
            return;
        }
        let Some(draining) = self.state.draining_agents.get_mut(key) else {
            return;
        };
        draining.started.get_or_insert(self.now);
        let config = draining.info.config;
        self.send_to_agent(&key.to_owned(), ToAgent::Drain { config });
    }

    /// Agents on which nothing is left are drained.
    pub(super) fn finish_draining(&mut self) {
        let is_empty = |key: &str| {
            let agent = self.state.agents.get(key);
            agent.is_some_and(|agent| agent.tasks.is_empty() && !self.has_operations(key))
        };
        let empty: Vec<String> = self
            .state
            .draining_agents
            .iter()
            .filter(|(_, draining)| draining.info.state() == v1::DrainState::Draining)
            .filter(|(key, _)| is_empty(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in empty {
            let Some(draining) = self.state.draining_agents.get_mut(&key) else {
                continue;
            };
            if draining.info.config.mark_gone() {
                self.mark_gone(&key);
            } else {
                draining.info.set_state(v1::DrainState::Drained);
                self.notice(format!("agent {key} is drained"));
            }
        }
    }
}
