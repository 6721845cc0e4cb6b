//! Agents that register, for the first time or again, and what they bring. How
//! they are lost is in `losses`.

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::framework_info::capability::Type as Capability;
use mesos_sdk::v1::task_status::Reason;

use super::state::{Agent, is_terminal};
use super::subscribe::remember;
use super::{LinkId, Master, events};
use crate::messages::{AgentRegistration, FromAgent, ToAgent, UnknownTask};

impl Master {
    pub(super) fn agent_message(&mut self, link: LinkId, message: FromAgent) {
        match message {
            FromAgent::Register(registration) => self.register(link, registration),
            FromAgent::Reregister {
                registration,
                frameworks,
                executors,
                tasks,
                completed_tasks,
            } => {
                let known = registration.info.id.clone().unwrap_or_default().value;
                let was_here = self.state.agents.contains_key(&known);
                self.reregister(link, registration, frameworks, executors, tasks);
                if !was_here {
                    self.recover_completed_tasks(completed_tasks);
                }
            }
            message => {
                if let Some(agent) = self.state.links.get(&link).cloned() {
                    self.registered_agent_message(&agent, message);
                }
            }
        }
    }

    fn registered_agent_message(&mut self, agent: &str, message: FromAgent) {
        match message {
            FromAgent::Register(_) | FromAgent::Reregister { .. } => {}
            FromAgent::Unregister => self.remove_agent(agent, "the agent unregistered"),
            FromAgent::StatusUpdate {
                framework_id,
                status,
                latest_state,
            } => self.status_update(agent, &framework_id, status, latest_state),
            FromAgent::ExecutorExited {
                framework_id,
                executor_id,
                status,
                is_command_executor,
            } => self.executor_exited(
                agent,
                &framework_id,
                executor_id,
                status,
                is_command_executor,
            ),
            FromAgent::ExecutorMessage {
                framework_id,
                executor_id,
                data,
            } => {
                let agent_id = mesos_sdk::ids::agent_id(agent);
                self.send(
                    &framework_id.value,
                    events::message(agent_id, executor_id, data),
                );
            }
            FromAgent::OperationUpdate(update) => self.operation_updated(agent, update),
            FromAgent::Pong => {
                if let Some(agent) = self.state.agents.get_mut(agent) {
                    agent.is_ping_open = false;
                    agent.missed_pings = 0;
                }
            }
        }
    }

    fn register(&mut self, link: LinkId, registration: AgentRegistration) {
        if self.refuse_downed(link, &registration) {
            return;
        }
        let known = registration.info.id.clone().map(|id| id.value);
        if known.is_some_and(|id| self.state.agents.contains_key(&id)) {
            // An agent that repeats itself because it was not heard.
            self.reregister(link, registration, vec![], vec![], vec![]);
            return;
        }
        if let Some(key) = self.state.links.get(&link).cloned() {
            // It asked again before it heard the answer.
            let agent_id = mesos_sdk::ids::agent_id(&key);
            self.send_to_agent(&key, ToAgent::Registered { agent_id });
            return;
        }
        self.replace_agent_at(&registration);
        let number = self.state.agent_count;
        self.state.agent_count += 1;
        let key = format!("{}-S{number}", self.config.id);
        self.add_agent(&key, link, registration);
        let agent_id = mesos_sdk::ids::agent_id(&key);
        self.send_to_agent(&key, ToAgent::Registered { agent_id });
        self.tell_agent_added(&key);
        self.allocate();
    }

    /// No agent comes from a machine that is down for maintenance.
    fn refuse_downed(&mut self, link: LinkId, registration: &AgentRegistration) -> bool {
        let is_down = self.is_machine_down(registration);
        if is_down {
            let message = "Machine is `DOWN`".to_owned();
            self.out
                .to_agents
                .push((link, ToAgent::Shutdown { message }));
        }
        is_down
    }

    /// Two agents cannot listen at one address: the older one must be dead.
    fn replace_agent_at(&mut self, registration: &AgentRegistration) {
        let old = self.state.addresses.get(&registration.address).cloned();
        if let Some(key) = old {
            self.remove_agent(&key, "a new agent registered at the same address");
        }
    }

    fn add_agent(&mut self, key: &str, link: LinkId, registration: AgentRegistration) {
        let mut info = registration.info.clone();
        info.id = Some(mesos_sdk::ids::agent_id(key));
        let total = registration.total();
        self.allocator.set_agent(key, &info, total.clone());
        self.state.links.insert(link, key.to_owned());
        let next_ping = self.now + self.config.agent_ping_timeout;
        self.state.pings.insert((next_ping, key.to_owned()));
        self.state
            .addresses
            .insert(registration.address, key.to_owned());
        self.state.unreachable_agents.remove(key);
        self.state.recovered_agents.remove(key);
        self.notice(format!("agent {key} at {} registered", registration.pid));
        self.state.agents.insert(
            key.to_owned(),
            Agent {
                info,
                registration,
                link: Some(link),
                registered: self.now,
                reregistered: None,
                total,
                offers: Default::default(),
                tasks: Default::default(),
                next_ping,
                missed_pings: 0,
                is_ping_open: false,
                pending_kills: Vec::new(),
            },
        );
    }

    fn reregister(
        &mut self,
        link: LinkId,
        registration: AgentRegistration,
        frameworks: Vec<v1::FrameworkInfo>,
        executors: Vec<v1::ExecutorInfo>,
        tasks: Vec<v1::Task>,
    ) {
        let Some(agent_id) = registration.info.id.clone() else {
            self.register(link, registration);
            return;
        };
        let key = agent_id.value.clone();
        if self.state.gone_agents.contains(&key) {
            let message = "Agent has been marked gone".to_owned();
            self.out
                .to_agents
                .push((link, ToAgent::Shutdown { message }));
            return;
        }
        if self.refuse_downed(link, &registration) {
            return;
        }
        let named: Vec<v1::FrameworkId> = frameworks
            .iter()
            .filter_map(|framework| framework.id.clone())
            .collect();
        if self.state.agents.contains_key(&key) {
            self.reconnect_agent(&key, link, registration, executors, &tasks);
            self.update_frameworks_on(&key, &named);
            return;
        }
        let why = if self.state.unreachable_agents.contains_key(&key) {
            Some("Unreachable agent re-reregistered")
        } else if self.state.recovered_agents.contains_key(&key) {
            None
        } else {
            Some("Unknown agent reregistered")
        };
        self.replace_agent_at(&registration);
        let operations = registration.operations.clone();
        self.add_agent(&key, link, registration);
        if let Some(agent) = self.state.agents.get_mut(&key) {
            agent.reregistered = Some(self.now);
        }
        self.recover_frameworks(link, frameworks);
        self.recover_executors(&key, executors);
        for task in tasks {
            self.recover_task(&key, task, why);
        }
        let unknown_tasks = Vec::new();
        self.send_to_agent(
            &key,
            ToAgent::Reregistered {
                agent_id,
                unknown_tasks,
            },
        );
        self.update_frameworks_on(&key, &named);
        self.reconcile_agent_operations(&key, operations);
        self.apply_decisions(&key);
        self.tell_agent_added(&key);
        self.allocate();
    }

    /// An agent that comes back hears what has become of its frameworks.
    fn update_frameworks_on(&mut self, agent: &str, frameworks: &[v1::FrameworkId]) {
        for id in frameworks {
            if let Some(known) = self.state.frameworks.get(&id.value) {
                let framework = known.info.clone();
                self.send_to_agent(&agent.to_owned(), ToAgent::UpdateFramework { framework });
            }
        }
    }

    /// An agent that was only disconnected: what it does not run any more is
    /// named to it, so that it reports it.
    fn reconnect_agent(
        &mut self,
        key: &str,
        link: LinkId,
        registration: AgentRegistration,
        executors: Vec<v1::ExecutorInfo>,
        tasks: &[v1::Task],
    ) {
        self.compare_executors(key, executors);
        let Some(agent) = self.state.agents.get_mut(key) else {
            return;
        };
        if let Some(old) = agent.link.replace(link) {
            self.state.links.remove(&old);
        }
        self.state.links.insert(link, key.to_owned());
        let addresses = &mut self.state.addresses;
        if agent.registration.address != registration.address {
            addresses.remove(&agent.registration.address);
        }
        addresses.insert(registration.address, key.to_owned());
        agent.registration = registration;
        agent.total = agent.registration.total();
        let total = agent.total.clone();
        let operations = std::mem::take(&mut agent.registration.operations);
        agent.reregistered = Some(self.now);
        agent.is_ping_open = false;
        agent.missed_pings = 0;
        agent.next_ping = self.now + self.config.agent_ping_timeout;
        self.state.pings.insert((agent.next_ping, key.to_owned()));
        let pending_kills = std::mem::take(&mut agent.pending_kills);
        let unknown_tasks = agent
            .tasks
            .iter()
            .filter(|(framework, task)| {
                let is_there = tasks
                    .iter()
                    .any(|t| t.framework_id.value == *framework && t.task_id.value == *task);
                let is_open = self
                    .state
                    .frameworks
                    .get(framework)
                    .and_then(|framework| framework.tasks.get(task))
                    .is_some_and(|task| !is_terminal(task.state()));
                !is_there && is_open
            })
            .map(|(framework, task)| UnknownTask {
                framework_id: mesos_sdk::ids::framework_id(framework),
                task_id: mesos_sdk::ids::task_id(task),
                is_partition_aware: self
                    .state
                    .frameworks
                    .get(framework)
                    .is_some_and(|framework| framework.has(Capability::PartitionAware)),
            })
            .collect();
        let agent_id = mesos_sdk::ids::agent_id(key);
        self.send_to_agent(
            &key.to_owned(),
            ToAgent::Reregistered {
                agent_id,
                unknown_tasks,
            },
        );
        for kill in pending_kills {
            self.send_to_agent(&key.to_owned(), kill);
        }
        self.allocator.set_agent_total(key, total);
        self.reconcile_agent_operations(key, operations);
        self.apply_decisions(key);
        self.allocate();
    }

    /// Executors that have ended while the agent was away hold nothing any more;
    /// those that the master does not know do.
    fn compare_executors(&mut self, agent: &str, executors: Vec<v1::ExecutorInfo>) {
        let is_there = |framework: &str, executor: &str| {
            executors.iter().any(|info| {
                info.executor_id.value == executor
                    && info
                        .framework_id
                        .as_ref()
                        .is_some_and(|id| id.value == framework)
            })
        };
        for (key, framework) in &mut self.state.frameworks {
            let Some(known) = framework.executors.get_mut(agent) else {
                continue;
            };
            known.retain(|id, info| {
                let stays = is_there(key, id);
                if !stays {
                    let resources = Resources::from(info.resources.as_slice());
                    self.allocator.recover(key, agent, &resources);
                }
                stays
            });
        }
        let unknown = executors
            .into_iter()
            .filter(|info| {
                let framework = info.framework_id.clone().unwrap_or_default().value;
                let known = self.state.frameworks.get(&framework);
                let known = known.and_then(|framework| framework.executors.get(agent));
                !known.is_some_and(|known| known.contains_key(&info.executor_id.value))
            })
            .collect();
        self.recover_executors(agent, unknown);
    }

    /// Frameworks that are known only from their tasks, until they subscribe.
    fn recover_frameworks(&mut self, link: LinkId, frameworks: Vec<v1::FrameworkInfo>) {
        for info in frameworks {
            let Some(id) = info.id.clone() else { continue };
            if self.state.frameworks.contains_key(&id.value) {
                continue;
            }
            let is_completed = self
                .state
                .completed_frameworks
                .iter()
                .any(|framework| framework.id() == id);
            if is_completed {
                let message = ToAgent::ShutdownFramework { framework_id: id };
                self.out.to_agents.push((link, message));
                continue;
            }
            self.add_recovered_framework(&id.value, info);
        }
    }

    fn recover_executors(&mut self, agent: &str, executors: Vec<v1::ExecutorInfo>) {
        for executor in executors {
            let key = executor.framework_id.clone().unwrap_or_default().value;
            let Some(framework) = self.state.frameworks.get_mut(&key) else {
                continue;
            };
            let resources = Resources::from(executor.resources.as_slice());
            framework
                .executors
                .entry(agent.to_owned())
                .or_default()
                .insert(executor.executor_id.value.clone(), executor);
            self.allocator.book(&key, agent, &resources);
        }
    }

    fn recover_task(&mut self, agent: &str, task: v1::Task, why: Option<&str>) {
        let key = task.framework_id.value.clone();
        let Some(framework) = self.state.frameworks.get_mut(&key) else {
            return;
        };
        let task_key = task.task_id.value.clone();
        framework.unreachable_tasks.remove(&task_key);
        let state = task.state();
        if let Some(agent) = self.state.agents.get_mut(agent) {
            agent.tasks.insert((key.clone(), task_key.clone()));
        }
        if !is_terminal(state) {
            let resources = Resources::from(task.resources.as_slice());
            self.allocator.book(&key, agent, &resources);
        }
        if let Some(message) = why {
            let status = v1::TaskStatus {
                executor_id: task.executor_id.clone(),
                container_status: task
                    .statuses
                    .last()
                    .and_then(|status| status.container_status.clone()),
                ..events::master_status(
                    self.now,
                    task.task_id.clone(),
                    Some(task.agent_id.clone()),
                    framework.told(state),
                    Reason::AgentReregistered,
                    message,
                )
            };
            self.send(&key, events::update(status));
        }
        self.tell_task_added(&task);
        if let Some(framework) = self.state.frameworks.get_mut(&key) {
            framework.tasks.insert(task_key, task);
        }
    }

    /// What ended before this master's time is told of by agents alone.
    fn recover_completed_tasks(&mut self, tasks: Vec<v1::Task>) {
        let limit = self.config.max_completed_tasks_per_framework;
        for task in tasks {
            let Some(framework) = self.state.frameworks.get_mut(&task.framework_id.value) else {
                continue;
            };
            let is_same = |known: &v1::Task| known.task_id == task.task_id;
            if !framework.tasks.contains_key(&task.task_id.value)
                && !framework.completed_tasks.iter().any(is_same)
            {
                remember(&mut framework.completed_tasks, task, limit);
            }
        }
    }
}
