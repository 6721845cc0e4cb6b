//! What operators are shown of the master's state, as the messages of the
//! operator API (`docs/operator-http-api.md`). The older JSON endpoints are
//! made of these by the views.

use std::collections::BTreeMap;

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::master::response::{
    GetAgents, GetExecutors, GetFrameworks, GetState, GetTasks, get_agents, get_executors,
    get_frameworks,
};

use super::Master;
use super::state::{Agent, Framework};
use crate::time::Timestamp;

pub(super) fn time_info(time: Timestamp) -> v1::TimeInfo {
    v1::TimeInfo {
        nanoseconds: i64::try_from(time.as_nanos()).unwrap_or(i64::MAX),
    }
}

/// The form of the endpoints: the older fields stand beside the stack where
/// they can say the same.
fn endpoint_format(resources: &Resources) -> Vec<v1::Resource> {
    resources
        .iter()
        .map(|item| {
            let mut both = item.clone();
            match item.reservations.as_slice() {
                [] => both.role = Some("*".to_owned()),
                [only] => {
                    use v1::resource::reservation_info::Type;
                    both.role.clone_from(&only.role);
                    both.reservation =
                        (only.r#type() == Type::Dynamic).then(|| v1::resource::ReservationInfo {
                            r#type: None,
                            role: None,
                            ..only.clone()
                        });
                }
                _ => {}
            }
            both
        })
        .collect()
}

impl Master {
    /// The whole state.
    #[must_use]
    pub fn state_report(&self) -> GetState {
        GetState {
            get_tasks: Some(self.tasks_report()),
            get_executors: Some(self.executors_report()),
            get_frameworks: Some(self.frameworks_report()),
            get_agents: Some(self.agents_report()),
        }
    }

    /// Tasks: those that run or whose end nobody acknowledged, those on
    /// unreachable agents, those that are over.
    #[must_use]
    pub fn tasks_report(&self) -> GetTasks {
        let frameworks = || {
            let completed = self.state.completed_frameworks.iter();
            self.state.frameworks.values().chain(completed)
        };
        GetTasks {
            tasks: frameworks()
                .flat_map(|f| f.tasks.values().cloned())
                .collect(),
            unreachable_tasks: frameworks()
                .flat_map(|f| f.unreachable_tasks.values().cloned())
                .collect(),
            completed_tasks: frameworks()
                .flat_map(|f| f.completed_tasks.iter().cloned())
                .collect(),
            ..Default::default()
        }
    }

    /// Executors that run, other than command executors.
    #[must_use]
    pub fn executors_report(&self) -> GetExecutors {
        let executors = self.state.frameworks.values().flat_map(|framework| {
            framework.executors.iter().flat_map(|(agent, executors)| {
                executors
                    .values()
                    .map(move |executor| get_executors::Executor {
                        executor_info: executor.clone(),
                        agent_id: mesos_sdk::ids::agent_id(agent),
                    })
            })
        });
        GetExecutors {
            executors: executors.collect(),
            ..Default::default()
        }
    }

    /// Frameworks that are known and those that were removed.
    #[must_use]
    pub fn frameworks_report(&self) -> GetFrameworks {
        let report = |framework| self.framework_report(framework);
        GetFrameworks {
            frameworks: self.state.frameworks.values().map(report).collect(),
            completed_frameworks: self.state.completed_frameworks.iter().map(report).collect(),
            ..Default::default()
        }
    }

    /// Agents that are registered, and those a new master waits for.
    #[must_use]
    pub fn agents_report(&self) -> GetAgents {
        let recovered = self.state.recovered_agents.values();
        GetAgents {
            agents: self
                .state
                .agents
                .values()
                .map(|agent| self.agent_report(agent))
                .collect(),
            recovered_agents: recovered.map(|(info, _)| info.clone()).collect(),
        }
    }

    /// Roles that frameworks subscribe to or hold resources of.
    #[must_use]
    pub fn roles_report(&self) -> Vec<v1::Role> {
        let mut roles: BTreeMap<String, (Vec<v1::FrameworkId>, Resources)> = BTreeMap::new();
        for framework in self.state.frameworks.values() {
            for role in framework.roles() {
                roles.entry(role).or_default().0.push(framework.id());
            }
            for item in &self.held_by(framework) {
                let role = mesos_sdk::resources::allocation_role(item).unwrap_or("*");
                let held = &mut roles.entry(role.to_owned()).or_default().1;
                let mut bare = item.clone();
                bare.allocation_info = None;
                bare.reservations.clear();
                bare.disk = None;
                if bare.scalar.is_some() {
                    held.push(bare);
                }
            }
        }
        roles
            .into_iter()
            .map(|(name, (frameworks, held))| v1::Role {
                weight: self.allocator.weight(&name),
                name,
                frameworks,
                resources: held.into_vec(),
            })
            .collect()
    }

    /// How many agents are out of reach.
    #[must_use]
    pub fn unreachable_agent_count(&self) -> usize {
        self.state.unreachable_agents.len()
    }

    pub(super) fn held_by(&self, framework: &Framework) -> Resources {
        let tasks = framework
            .tasks
            .values()
            .filter(|task| !super::state::is_terminal(task.state()))
            .flat_map(|task| task.resources.iter().cloned());
        let executors = framework
            .executors
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(|executor| executor.resources.iter().cloned());
        tasks.chain(executors).collect()
    }

    /// What a framework's tasks and executors hold on one agent.
    pub(super) fn held_on(&self, framework: &Framework, agent: &str) -> Resources {
        let tasks = framework
            .tasks
            .values()
            .filter(|task| task.agent_id.value == agent)
            .filter(|task| !super::state::is_terminal(task.state()))
            .flat_map(|task| task.resources.iter().cloned());
        let executors = framework.executors.get(agent).into_iter();
        let executors = executors
            .flat_map(BTreeMap::values)
            .flat_map(|executor| executor.resources.iter().cloned());
        tasks.chain(executors).collect()
    }

    fn offered<'a>(&self, offers: impl Iterator<Item = &'a String>) -> Resources {
        offers
            .filter_map(|key| self.state.offers.get(key))
            .flat_map(|offer| offer.resources.iter().cloned())
            .collect()
    }

    pub(super) fn framework_report(&self, framework: &Framework) -> get_frameworks::Framework {
        get_frameworks::Framework {
            framework_info: framework.info.clone(),
            active: framework.is_connected(),
            connected: framework.is_connected(),
            recovered: framework.is_recovered,
            registered_time: Some(time_info(framework.registered)),
            reregistered_time: Some(time_info(framework.reregistered)),
            unregistered_time: framework.unregistered.map(time_info),
            offers: framework
                .offers
                .iter()
                .filter_map(|key| self.told_offer(key))
                .collect(),
            inverse_offers: Vec::new(),
            allocated_resources: endpoint_format(&self.held_by(framework)),
            offered_resources: endpoint_format(&self.offered(framework.offers.iter())),
            offer_constraints: Some(framework.offer_constraints.clone().unwrap_or_default()),
        }
    }

    pub(super) fn agent_report(&self, agent: &Agent) -> get_agents::Agent {
        use v1::agent_info::capability::Type;
        let offered = self.offered(agent.offers.iter());
        let key = agent.id().value;
        let is_deactivated = self.state.deactivated_agents.contains(&key);
        let draining = self.state.draining_agents.get(&key);
        let allocated = self
            .allocator
            .agent_allocated(&key)
            .cloned()
            .unwrap_or_default();
        let capabilities = [
            Type::MultiRole,
            Type::HierarchicalRole,
            Type::ReservationRefinement,
            Type::ResourceProvider,
            Type::ResizeVolume,
            Type::AgentOperationFeedback,
            Type::AgentDraining,
            Type::TaskResourceLimits,
        ];
        get_agents::Agent {
            agent_info: agent.info.clone(),
            active: agent.is_connected() && !is_deactivated,
            deactivated: Some(is_deactivated),
            version: agent.registration.version.clone(),
            pid: Some(agent.registration.pid.clone()),
            registered_time: Some(time_info(agent.registered)),
            reregistered_time: agent.reregistered.map(time_info),
            total_resources: endpoint_format(&agent.total),
            allocated_resources: endpoint_format(&(allocated - &offered)),
            offered_resources: endpoint_format(&offered),
            capabilities: capabilities
                .into_iter()
                .map(|kind| v1::agent_info::Capability {
                    r#type: Some(kind as i32),
                })
                .collect(),
            drain_info: draining.map(|draining| draining.info),
            estimated_drain_start_time: draining.and_then(|d| d.started).map(whole_seconds),
            ..Default::default()
        }
    }
}

/// Mesos tells this time in whole seconds.
fn whole_seconds(time: Timestamp) -> v1::TimeInfo {
    const SECOND: i64 = 1_000_000_000;
    let exact = time_info(time).nanoseconds;
    v1::TimeInfo {
        nanoseconds: exact - exact % SECOND,
    }
}
