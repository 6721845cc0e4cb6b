//! An agent: it runs tasks as real processes and reports what becomes of them.
//!
//! [`Agent`] is the model: what it is told and what it asks for are values, and
//! time is an argument. [`AgentShell`] puts processes, files, probes and HTTP
//! around it.

mod api;
mod checks;
mod config;
mod container_api;
mod custom;
mod described;
mod docker;
mod drain;
mod environment;
mod executor;
mod executor_api;
mod executors;
mod exit;
mod fetcher;
mod files;
mod framework;
mod input;
mod launch;
mod nested;
mod operations;
mod pod;
mod probe;
mod process;
mod recovery;
mod sandbox;
mod shell;
mod switchboard;
mod task_run;
mod tasks;
mod updates;
mod usage;
mod views;
mod volumes;
mod warden;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;

pub(crate) use api::realm;
pub use checks::{Finding, Probe};
pub use config::{AgentConfig, AgentLimits};
pub use docker::{ContainerPlan, EngineAddress, Image, Refusal, Started};
pub use exit::ExitStatus;
pub use input::{
    Action, CallId, ContainerKey, Effects, Input, Io, Launch, ProbeKind, Reply, Signal, Volume,
};
pub use nested::{ContainerAnswer, ContainerCall, ContainerLaunch};
pub use shell::{AgentHandle, AgentShell, MasterLink};
pub use volumes::VolumeChanges;
pub use warden::Warden;

use crate::conversion;
use crate::logging::Logging;
use crate::messages::{AgentRegistration, FromAgent, ToAgent};

use crate::random::Random;
use crate::security::Claims;
use crate::time::Timestamp;
use executor::{LaunchFailure, Phase};
use framework::Framework;
use nested::Nested;
use operations::Operations;
use recovery::Presence;
use updates::Updates;
use usage::{System, Usage};

/// The model of one agent.
#[derive(Debug)]
pub struct Agent {
    config: Arc<AgentConfig>,
    started: Timestamp,
    random: Random,
    id: Option<v1::AgentId>,
    link: Link,
    frameworks: BTreeMap<String, Framework>,
    completed_frameworks: VecDeque<Framework>,
    /// Where a container's executor is: framework id, executor id.
    containers: BTreeMap<ContainerKey, (String, String)>,
    timers: BTreeSet<(Timestamp, ContainerKey)>,
    /// Streams of executors, and whose they are.
    streams: BTreeMap<CallId, ContainerKey>,
    /// Ends of executors that no master has been told of.
    exits: Vec<FromAgent>,
    presence: Presence,
    nested: Nested,
    updates: Updates,
    checkpointed_resources: Vec<v1::Resource>,
    operations: Operations,
    logging: Logging,
    /// Sandboxes of executors that nothing else remembers, oldest first.
    forgotten_sandboxes: VecDeque<PathBuf>,
    /// An operator wants every task to end.
    draining: Option<v1::DrainConfig>,
    counters: Counters,
}

/// How things stand with the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Disconnected,
    /// Asked to be registered; asks again at `retry_at`.
    Registering {
        retry_at: Timestamp,
        delay: Duration,
    },
    Registered,
}

/// What `/metrics/snapshot` counts.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    launch_errors: u64,
    fetches_failed: u64,
    fetches_succeeded: u64,
    sandboxes_removed: u64,
    executors_terminated: u64,
    tasks_failed: u64,
    tasks_finished: u64,
    tasks_gone: u64,
    tasks_killed: u64,
    tasks_lost: u64,
    valid_status_updates: u64,
    invalid_framework_messages: u64,
    valid_framework_messages: u64,
}

impl Agent {
    /// An agent that has never met a master.
    #[must_use]
    pub fn new(config: Arc<AgentConfig>, now: Timestamp) -> Self {
        Self {
            random: Random::new(config.seed),
            config,
            started: now,
            id: None,
            link: Link::Disconnected,
            frameworks: BTreeMap::new(),
            completed_frameworks: VecDeque::new(),
            containers: BTreeMap::new(),
            timers: BTreeSet::new(),
            streams: BTreeMap::new(),
            exits: Vec::new(),
            presence: Presence::Here,
            nested: Nested::default(),
            updates: Updates::new(),
            checkpointed_resources: Vec::new(),
            operations: Operations::default(),
            logging: Logging::default(),
            forgotten_sandboxes: VecDeque::new(),
            draining: None,
            counters: Counters::default(),
        }
    }

    /// The id that the master gave, once it has.
    #[must_use]
    pub fn id(&self) -> Option<&v1::AgentId> {
        self.id.as_ref()
    }

    /// Whether a container is there and is the executor's.
    pub(crate) fn has_container(&self, claims: &Claims) -> bool {
        let container = ContainerKey::new(&claims.cid);
        let owner = self.containers.get(&container);
        owner.is_some_and(|(framework, executor)| {
            *framework == claims.fid && *executor == claims.eid
        })
    }

    /// Whether the master has confirmed the agent.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.link == Link::Registered
    }

    /// How much is to be logged now: 0 is the usual, above it every step is.
    #[must_use]
    pub fn logging_level(&self) -> u32 {
        self.logging.level()
    }

    /// When [`Input::Due`] is to be given next.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let registration = match self.link {
            Link::Registering { retry_at, .. } => Some(retry_at),
            Link::Disconnected | Link::Registered => None,
        };
        let timer = self.timers.first().map(|(at, _)| *at);
        let presence = self.presence.wake_at();
        let updates = [self.updates.wake_at(), self.operations.wake_at()];
        [registration, timer, presence, self.logging.ends_at()]
            .into_iter()
            .chain(updates)
            .flatten()
            .min()
    }

    /// Takes one input and returns what is to be sent and done, in order.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Effects {
        let mut effects = Effects::default();
        match input {
            Input::Connected => self.connected(now, &mut effects),
            Input::Disconnected => self.disconnected(),
            Input::Unregister => self.unregister(now, &mut effects),
            Input::Crashed { with_machine } => self.crashed(now, with_machine, &mut effects),
            Input::Restarted => {
                self.logging = Logging::default();
                self.restarted(now, &mut effects);
            }
            Input::Due => self.due(now, &mut effects),
            Input::FromMaster(message) => self.receive(now, message, &mut effects),
            Input::Launched { container, pid } if self.nested.has(&container) => {
                self.container_launched(&container, pid, &mut effects);
            }
            Input::LaunchFailed {
                container, message, ..
            } if self.nested.has(&container) => {
                self.container_not_launched(&container, message, &mut effects);
            }
            Input::Launched { container, pid } => {
                self.counters.fetches_succeeded += 1;
                self.with_executor(now, &container, &mut effects, |executor, random| {
                    executor.launched(now, &container, pid, random)
                });
            }
            Input::LaunchFailed {
                container,
                message,
                is_fetch,
            } => {
                self.counters.launch_errors += 1;
                self.counters.fetches_failed += u64::from(is_fetch);
                let failure = LaunchFailure { message, is_fetch };
                self.with_executor(now, &container, &mut effects, |executor, random| {
                    executor.failed_to_launch(now, &container, &failure, random)
                });
            }
            Input::Prepared { container } => {
                self.counters.fetches_succeeded += 1;
                self.with_executor(now, &container, &mut effects, |executor, random| {
                    executor.prepared(now, random)
                });
            }
            Input::Started { container, started } => {
                self.with_executor(now, &container, &mut effects, |executor, random| {
                    executor.started(now, started, random)
                });
            }
            Input::RunFailed {
                container,
                status,
                message,
            } => {
                self.with_executor(now, &container, &mut effects, |executor, random| {
                    executor.run_failed(now, status, &message, random)
                });
            }
            Input::Exited { container, status } => {
                self.container_exited(&container, status, &mut effects);
                let is_out_of_reach = self.is_out_of_reach();
                self.with_executor(now, &container, &mut effects, |executor, random| {
                    if is_out_of_reach && executor.leaves_at_once() {
                        executor.lost(now, random)
                    } else {
                        executor.exited(now, &container, status, random)
                    }
                });
            }
            Input::Probed {
                container,
                kind,
                finding,
            } => {
                self.with_executor(now, &container, &mut effects, |executor, random| {
                    executor.probed(now, &container, kind, finding, random)
                });
            }
            Input::SetLoggingLevel { level, duration } => {
                self.logging.set(now, level, duration);
            }
            Input::Container { id, call } => self.container_call(id, call, &mut effects),
            Input::VolumesChanged { operation, problem } => {
                self.volumes_changed(now, &operation, problem, &mut effects);
            }
            Input::FromExecutor { id, call } => self.executor_call(now, id, *call, &mut effects),
            Input::ExecutorGone { id } => self.executor_gone(now, id, &mut effects),
        }
        self.recover(now, &mut effects);
        self.finish_draining();
        self.note_sent_updates(&effects);
        effects
    }

    fn receive(&mut self, now: Timestamp, message: ToAgent, effects: &mut Effects) {
        match message {
            ToAgent::Registered { agent_id } => self.registered(now, agent_id, effects),
            ToAgent::Reregistered {
                agent_id,
                unknown_tasks,
            } => {
                self.registered(now, agent_id, effects);
                for task in unknown_tasks {
                    self.drop_unknown_task(now, task, effects);
                }
            }
            ToAgent::RunTask { framework, task } => {
                self.run_task(now, framework, task, effects);
            }
            ToAgent::RunTaskGroup {
                framework,
                executor,
                group,
            } => self.run_task_group(now, framework, &executor, group, effects),
            ToAgent::KillTask {
                framework_id,
                task_id,
                kill_policy,
            } => self.kill_task(now, &framework_id, task_id, kill_policy.as_ref(), effects),
            ToAgent::Acknowledge {
                framework_id,
                task_id,
                uuid,
            } => self.acknowledge(now, &framework_id, &task_id, &uuid, effects),
            ToAgent::FrameworkMessage {
                framework_id,
                executor_id,
                data,
            } => self.framework_message(now, &framework_id, &executor_id, data, effects),
            ToAgent::ShutdownExecutor {
                framework_id,
                executor_id,
            } => self.shut_down_executor(now, &framework_id, &executor_id, effects),
            ToAgent::ShutdownFramework { framework_id } => {
                self.shut_down_framework(now, &framework_id, effects);
            }
            ToAgent::UpdateFramework { framework } => {
                self.update_framework(now, framework, effects);
            }
            ToAgent::ApplyOperation {
                framework_id,
                info,
                operation,
            } => self.apply_operation(now, framework_id, info, operation, effects),
            ToAgent::AcknowledgeOperation { operation, uuid } => {
                self.operation_acknowledged(&operation, &uuid);
            }
            ToAgent::Drain { config } => self.drain(now, config, effects),
            ToAgent::Ping => effects.to_master.push(FromAgent::Pong),
            ToAgent::Shutdown { message } => effects.actions.push(Action::Exit { message }),
        }
    }

    fn register(&mut self, now: Timestamp, delay: Duration, effects: &mut Effects) {
        let registration = AgentRegistration {
            info: self.info(),
            pid: self.config.pid(),
            address: self.config.address,
            version: self.config.version.clone(),
            checkpointed_resources: self.checkpointed_resources.clone(),
            oversubscribed_resources: self.oversubscribed().cloned().collect(),
            operations: self.operations.all(),
        };
        effects.to_master.push(if self.id.is_none() {
            FromAgent::Register(registration)
        } else {
            FromAgent::Reregister {
                registration,
                frameworks: self.frameworks.values().map(|f| f.info.clone()).collect(),
                // Of command executors the master need not know.
                executors: self
                    .frameworks
                    .values()
                    .flat_map(|framework| framework.executors.values())
                    .filter(|executor| {
                        !executor.is_command() && executor.phase != Phase::Terminated
                    })
                    .map(|executor| executor.info.clone())
                    .collect(),
                tasks: self
                    .frameworks
                    .values()
                    .flat_map(Framework::tasks)
                    .collect(),
                completed_tasks: self
                    .completed_frameworks
                    .iter()
                    .flat_map(|framework| &framework.completed)
                    .flat_map(|executor| &executor.completed_tasks)
                    .map(|task| (**task).clone())
                    .collect(),
            }
        });
        self.link = Link::Registering {
            retry_at: now + delay,
            delay,
        };
    }

    fn registered(&mut self, now: Timestamp, agent_id: v1::AgentId, effects: &mut Effects) {
        self.id = Some(agent_id);
        self.link = Link::Registered;
        self.tell_exits(effects);
        self.updates
            .resume(now, &self.config.limits, &mut effects.to_master);
        self.tell_operations(now, effects);
    }

    /// The agent as it describes itself.
    fn info(&self) -> v1::AgentInfo {
        v1::AgentInfo {
            hostname: self.config.hostname.clone(),
            port: Some(i32::from(self.config.address.port())),
            resources: self
                .config
                .resources
                .iter()
                .filter(|item| item.revocable.is_none())
                .cloned()
                .collect(),
            attributes: self.config.attributes.clone(),
            id: self.id.clone(),
            domain: self.config.domain.clone(),
        }
    }

    fn oversubscribed(&self) -> impl Iterator<Item = &v1::Resource> {
        let all = self.config.resources.iter();
        all.filter(|item| item.revocable.is_some())
    }

    /// All the agent has: reserved, and made into volumes.
    fn total_resources(&self) -> Resources {
        conversion::with_kept(&self.config.resources, &self.checkpointed_resources)
    }

    fn due(&mut self, now: Timestamp, effects: &mut Effects) {
        self.give_the_agent_up(now, effects);
        if let Link::Registering { retry_at, delay } = self.link
            && retry_at <= now
        {
            let delay = (delay * 2).min(self.config.limits.registration_retry_max);
            self.register(now, delay, effects);
        }
        self.updates
            .due(now, &self.config.limits, &mut effects.to_master);
        self.operations_due(now, effects);
        self.logging.due(now);
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            let (_, container) = self.timers.pop_first().expect("it was there just now");
            self.with_executor(now, &container, effects, |executor, random| {
                executor.due(now, random)
            });
        }
    }
}

impl Counters {
    fn count(&mut self, state: v1::TaskState) {
        self.valid_status_updates += 1;
        match state {
            v1::TaskState::TaskFailed => self.tasks_failed += 1,
            v1::TaskState::TaskFinished => self.tasks_finished += 1,
            v1::TaskState::TaskKilled => self.tasks_killed += 1,
            v1::TaskState::TaskLost | v1::TaskState::TaskDropped => self.tasks_lost += 1,
            v1::TaskState::TaskGone => self.tasks_gone += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
