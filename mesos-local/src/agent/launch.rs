//! How a task becomes an executor with a sandbox and a command
//! (`src/slave/slave.cpp`).

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use mesos_sdk::v1;
use v1::framework_info::capability::Type as Capability;
use v1::task_status::{Reason, Source};

use crate::agent::custom::{Custom, CustomLimits, Queued};
use crate::agent::described::{executor_info, new_task};
use crate::agent::docker::{self, Setting, Wanted};
use crate::agent::environment::{Surroundings, shutdown_grace};
use crate::agent::executor::{Executor, Kind, Outcome, Phase, Stage, Task};
use crate::agent::framework::Framework;
use crate::agent::nested::Place;
use crate::agent::pod::Pod;
use crate::agent::task_run::{Birth, TaskRun};
use crate::agent::{Action, Agent, ContainerKey, Effects, Image, Io, Launch, volumes};
use crate::random::Random;
use crate::security::Claims;
use crate::time::Timestamp;

impl Agent {
    pub(super) fn run_task(
        &mut self,
        now: Timestamp,
        info: v1::FrameworkInfo,
        task: v1::TaskInfo,
        effects: &mut Effects,
    ) {
        let is_draining = self.draining.is_some();
        let framework = self.framework(info);
        if framework.is_terminating {
            return;
        }
        let framework_id = framework.info.id.clone().unwrap_or_default();
        if is_draining {
            return self.tell_draining(now, &framework_id, &task, effects);
        }
        if let Some((reason, message)) = refusal(&task) {
            self.refuse_task(now, &framework_id, &task, reason, message, effects);
            return;
        }
        let Some(executor) = task.executor.clone() else {
            return self.run_command(now, &framework_id, task, effects);
        };
        if let Some(container) = self.ready_executor(now, &framework_id, &executor, effects) {
            self.give(
                now,
                &container,
                vec![task.clone()],
                Queued::Task(task.into()),
                effects,
            );
        } else {
            self.tell_executor_ended(now, &framework_id, &task, effects);
        }
    }

    pub(super) fn run_task_group(
        &mut self,
        now: Timestamp,
        info: v1::FrameworkInfo,
        executor: &v1::ExecutorInfo,
        mut group: v1::TaskGroupInfo,
        effects: &mut Effects,
    ) {
        let is_draining = self.draining.is_some();
        let framework = self.framework(info);
        if framework.is_terminating {
            return;
        }
        let framework_id = framework.info.id.clone().unwrap_or_default();
        if is_draining {
            for task in &group.tasks {
                self.tell_draining(now, &framework_id, task, effects);
            }
            return;
        }
        for task in &mut group.tasks {
            task.executor = Some(executor.clone());
        }
        if let Some((reason, message)) = group.tasks.iter().find_map(refusal) {
            for task in &group.tasks {
                self.refuse_task(now, &framework_id, task, reason, message, effects);
            }
            return;
        }
        let Some(container) = self.ready_executor(now, &framework_id, executor, effects) else {
            for task in &group.tasks {
                self.tell_executor_ended(now, &framework_id, task, effects);
            }
            return;
        };
        if executor.r#type() == v1::executor_info::Type::Default {
            self.run_pod(now, &container, group.tasks, effects);
        } else {
            let tasks = group.tasks.clone();
            self.give(now, &container, tasks, Queued::Group(group), effects);
        }
    }

    fn run_command(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        task: v1::TaskInfo,
        effects: &mut Effects,
    ) {
        if self
            .executor(&framework_id.value, &task.task_id.value)
            .is_some()
        {
            return self.tell_executor_ended(now, framework_id, &task, effects);
        }
        let command = task.command.clone().unwrap_or_default();
        // An image may have a command of its own.
        let image = Image::of(task.container.as_ref());
        let has_value = command.value.is_some() || image.is_some();
        let (container, launch) = self.new_command(framework_id, task, command);
        if has_value {
            effects.actions.push(Action::Launch(Box::new(launch)));
        } else {
            self.with_executor(now, &container, effects, |executor, random| {
                executor.collapsed(now, random)
            });
        }
    }

    fn tell_draining(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        task: &v1::TaskInfo,
        effects: &mut Effects,
    ) {
        let reason = Reason::AgentDraining;
        let message = "Task was received while agent was already draining";
        self.tell_missing(now, framework_id, task, reason, message, effects);
    }

    /// A task came for an executor that has ended, or is about to.
    fn tell_executor_ended(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        task: &v1::TaskInfo,
        effects: &mut Effects,
    ) {
        let reason = Reason::ExecutorTerminated;
        let message = "Executor terminating/terminated";
        self.tell_missing(now, framework_id, task, reason, message, effects);
    }

    fn tell_missing(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        task: &v1::TaskInfo,
        reason: Reason,
        message: &str,
        effects: &mut Effects,
    ) {
        let is_aware = self
            .frameworks
            .get(&framework_id.value)
            .is_some_and(Framework::is_partition_aware);
        self.report_missing(
            now,
            framework_id,
            task.task_id.clone(),
            is_aware,
            reason,
            message,
            effects,
        );
    }

    /// The container of an executor that takes tasks, made when there is none;
    /// `None` when it does not any more.
    fn ready_executor(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        info: &v1::ExecutorInfo,
        effects: &mut Effects,
    ) -> Option<ContainerKey> {
        let known = self.executor(&framework_id.value, &info.executor_id.value);
        if let Some(known) = known {
            return (!known.is_ending()).then(|| known.container.clone());
        }
        let container = ContainerKey::new(self.random.uuid());
        let directory = self.sandbox(&framework_id.value, &info.executor_id.value, &container);
        let framework = self.frameworks.get_mut(&framework_id.value)?;
        let agent_id = self.id.clone().unwrap_or_default();
        let command = info.command.clone().unwrap_or_default();
        let surroundings = Surroundings {
            config: &self.config,
            agent_id: &agent_id.value,
            directory: &directory,
        };
        let mut environment = surroundings.of_executor(framework, info, &command);
        if let Some(tokens) = &self.config.tokens {
            let token = tokens.issue(&Claims {
                cid: container.to_string(),
                eid: info.executor_id.value.clone(),
                fid: framework_id.value.clone(),
            });
            environment.push(("MESOS_EXECUTOR_AUTHENTICATION_TOKEN".into(), token));
        }
        let user = user(&command, &framework.info).filter(|_| self.config.switch_user);
        let limits = &self.config.limits;
        let is_default = info.r#type() == v1::executor_info::Type::Default;
        let image = Image::of(info.container.as_ref());
        let volumes = volumes::shown(&self.config.work_dir, &info.resources);
        let (kind, phase) = if is_default {
            (Kind::Default(Pod::default()), Phase::Running)
        } else {
            let limits = CustomLimits {
                registration_timeout: limits.executor_registration_timeout,
                reregistration_timeout: limits.executor_reregistration_timeout,
                shutdown_grace: shutdown_grace(info, limits),
                heartbeat: limits.executor_heartbeat,
            };
            let mut custom = Custom::new(now, limits, self.config.address.ip());
            if image.is_some() {
                let name = docker::name(&container);
                let setting = Setting {
                    name: &name,
                    directory: &directory,
                    volumes: &volumes,
                };
                let wanted = Wanted::by_executor(info, &command, environment.clone());
                custom.runs_in(docker::new_plan(&wanted, setting).map(Box::new));
            }
            (Kind::Custom(Box::new(custom)), Phase::Launching)
        };
        let executor = Executor {
            info: info.clone(),
            container: container.clone(),
            directory: directory.clone(),
            place: Place {
                directory: directory.clone(),
                environment: environment.clone(),
                user: user.clone(),
            },
            tasks: BTreeMap::new(),
            completed_tasks: VecDeque::new(),
            phase,
            kind,
        };
        self.add_executor(&framework_id.value, executor);
        if !is_default {
            effects.actions.push(Action::Launch(Box::new(Launch {
                container: container.clone(),
                directory,
                executor_directory: None,
                command,
                environment,
                user,
                // A container is shown them by the engine.
                volumes: if image.is_some() { Vec::new() } else { volumes },
                image,
                is_guest: false,
                io: Io::Files,
            })));
        }
        Some(container)
    }

    fn add_executor(&mut self, framework_id: &str, executor: Executor) {
        let executor_id = executor.info.executor_id.value.clone();
        let container = executor.container.clone();
        if let Some(at) = executor.wake_at() {
            self.timers.insert((at, container.clone()));
        }
        self.containers
            .insert(container, (framework_id.to_owned(), executor_id.clone()));
        if let Some(framework) = self.frameworks.get_mut(framework_id) {
            framework.executors.insert(executor_id, Box::new(executor));
        }
    }

    /// Gives tasks to an executor that is a process.
    fn give(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        tasks: Vec<v1::TaskInfo>,
        launch: Queued,
        effects: &mut Effects,
    ) {
        let Some((framework_id, _)) = self.containers.get(container).cloned() else {
            return;
        };
        let framework_id = mesos_sdk::ids::framework_id(&framework_id);
        self.with_executor(now, container, effects, |executor, _| {
            let mut outcome = Outcome::default();
            let is_there = match &mut executor.kind {
                Kind::Custom(custom) => custom.launch(launch, &mut outcome),
                Kind::Command(_) | Kind::Default(_) => false,
            };
            let stage = if is_there {
                Stage::Launched
            } else {
                Stage::Queued
            };
            for task in tasks {
                executor.add_task(&task, &framework_id, stage);
            }
            outcome
        });
    }

    /// Gives a group to a default executor: a container for each task.
    fn run_pod(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        tasks: Vec<v1::TaskInfo>,
        effects: &mut Effects,
    ) {
        let Some((framework_key, executor_key)) = self.containers.get(container).cloned() else {
            return;
        };
        let framework_id = mesos_sdk::ids::framework_id(&framework_key);
        let agent_id = self.id.clone().unwrap_or_default();
        let mut runs = Vec::new();
        let mut launches = Vec::new();
        for task in &tasks {
            let nested = container.nested(self.random.uuid());
            self.containers.insert(
                nested.clone(),
                (framework_key.clone(), executor_key.clone()),
            );
            let Some(framework) = self.frameworks.get(&framework_key) else {
                return;
            };
            let Some(executor) = framework.executors.get(&executor_key) else {
                return;
            };
            let directory = executor.directory.join("tasks").join(&task.task_id.value);
            let command = task.command.clone().unwrap_or_default();
            let surroundings = Surroundings {
                config: &self.config,
                agent_id: &agent_id.value,
                directory: &directory,
            };
            let place = Place {
                environment: surroundings.environment(
                    framework,
                    &executor.info.executor_id.value,
                    task,
                    &command,
                ),
                directory: directory.clone(),
                user: user(&command, &framework.info).filter(|_| self.config.switch_user),
            };
            launches.push(Launch {
                container: nested.clone(),
                environment: place.environment.clone(),
                directory,
                executor_directory: Some(executor.directory.clone()),
                user: place.user.clone(),
                volumes: volumes::of_nested(&self.config.work_dir, executor, task),
                image: None,
                is_guest: false,
                io: Io::Files,
                command,
            });
            runs.push(TaskRun::new(Birth {
                container: nested,
                info: task.clone(),
                place,
                plan: None,
                executor_id: executor.info.executor_id.clone(),
                is_nested: true,
                has_killing_state: framework.has_capability(Capability::TaskKillingState),
                default_grace: self.config.limits.kill_grace,
                address: self.config.address.ip(),
            }));
        }
        self.with_executor(now, container, effects, |executor, random| {
            for task in &tasks {
                executor.add_task(task, &framework_id, Stage::Launched);
            }
            match &mut executor.kind {
                Kind::Default(pod) => pod.add(now, runs, random),
                Kind::Command(_) | Kind::Custom(_) => Outcome::default(),
            }
        });
        let launches = launches.into_iter().map(Box::new).map(Action::Launch);
        effects.actions.extend(launches);
    }

    fn refuse_task(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        task: &v1::TaskInfo,
        reason: Reason,
        message: &str,
        effects: &mut Effects,
    ) {
        let state = v1::TaskState::TaskFailed;
        let mut status = self.agent_status(now, task.task_id.clone(), state, reason, message);
        status.source = Some(Source::Agent.into());
        // The executor of a command has its task's id.
        status.executor_id = Some(task.executor.as_ref().map_or_else(
            || v1::ExecutorId {
                value: task.task_id.value.clone(),
            },
            |info| info.executor_id.clone(),
        ));
        let mut record = new_task(task, framework_id);
        record.state = state.into();
        record.statuses.push(status.clone());
        if let Some(framework) = self.frameworks.get_mut(&framework_id.value) {
            framework.refused.insert(task.task_id.value.clone(), record);
        }
        self.counters.count(state);
        self.updates.push(
            now,
            &framework_id.value,
            status,
            &self.config.limits,
            &mut effects.to_master,
        );
    }

    /// Makes the executor of a command, and what is needed to start it.
    fn new_command(
        &mut self,
        framework_id: &v1::FrameworkId,
        task: v1::TaskInfo,
        command: v1::CommandInfo,
    ) -> (ContainerKey, Launch) {
        let container = ContainerKey::new(self.random.uuid());
        let directory = self.sandbox(&framework_id.value, &task.task_id.value, &container);
        let framework = self
            .frameworks
            .get(&framework_id.value)
            .expect("a framework is made before its tasks");
        let agent_id = self.id.clone().unwrap_or_default();
        let surroundings = Surroundings {
            config: &self.config,
            agent_id: &agent_id.value,
            directory: &directory,
        };
        let image = Image::of(task.container.as_ref());
        let name = docker::name(&container);
        let volumes = volumes::shown(&self.config.work_dir, &task.resources);
        let plan = image.is_some().then(|| {
            let setting = Setting {
                name: &name,
                directory: &directory,
                volumes: &volumes,
            };
            docker::new_plan(&Wanted::by_task(&task, &command), setting).map(Box::new)
        });
        let launch = Launch {
            container: container.clone(),
            directory: directory.clone(),
            executor_directory: None,
            environment: surroundings.environment(framework, &task.task_id.value, &task, &command),
            user: user(&command, &framework.info).filter(|_| self.config.switch_user),
            // A container is shown them by the engine.
            volumes: if image.is_some() { Vec::new() } else { volumes },
            image,
            is_guest: false,
            io: Io::Files,
            command,
        };
        let place = Place {
            directory: directory.clone(),
            environment: launch.environment.clone(),
            user: launch.user.clone(),
        };
        let info = executor_info(&task, framework_id);
        let has_killing_state = framework.has_capability(Capability::TaskKillingState);
        let record = new_task(&task, framework_id);
        let run = TaskRun::new(Birth {
            container: container.clone(),
            executor_id: info.executor_id.clone(),
            is_nested: false,
            has_killing_state,
            default_grace: self.config.limits.kill_grace,
            address: self.config.address.ip(),
            place: place.clone(),
            plan,
            info: task,
        });
        let task = Task {
            record: Box::new(record),
            stage: Stage::Queued,
        };
        let executor = Executor {
            info,
            container: container.clone(),
            directory,
            place,
            tasks: BTreeMap::from([(task.record.task_id.value.clone(), task)]),
            completed_tasks: VecDeque::new(),
            phase: Phase::Launching,
            kind: Kind::Command(Box::new(run)),
        };
        self.add_executor(&framework_id.value, executor);
        (container, launch)
    }

    /// The directory in which a command runs.
    fn sandbox(&self, framework: &str, executor: &str, container: &ContainerKey) -> PathBuf {
        let agent_id = self.id.as_ref().map_or("", |id| id.value.as_str());
        let mut path = self.config.work_dir.join("slaves");
        for part in [
            agent_id,
            "frameworks",
            framework,
            "executors",
            executor,
            "runs",
            container.as_str(),
        ] {
            path.push(part);
        }
        path
    }
}

/// Why a task cannot be run here at all.
fn refusal(task: &v1::TaskInfo) -> Option<(Reason, &'static str)> {
    let of_executor = task.executor.as_ref().map(|executor| &executor.container);
    let image = [Some(&task.container), of_executor]
        .into_iter()
        .flatten()
        .flatten()
        .filter(|container| container.r#type() == v1::container_info::Type::Mesos)
        .find_map(|container| container.mesos.as_ref()?.image.as_ref())?;
    Some((
        Reason::ContainerLaunchFailed,
        match image.r#type() {
            v1::image::Type::Docker => {
                "Failed to launch container: Unsupported container image type: DOCKER"
            }
            v1::image::Type::Appc => {
                "Failed to launch container: Unsupported container image type: APPC"
            }
        },
    ))
}

impl Executor {
    /// The task names no command: the executor of Mesos starts, and breaks
    /// (`shell-no-value` of the scene `check-invalid`).
    fn collapsed(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        self.phase = Phase::Terminated;
        match &mut self.kind {
            Kind::Command(run) => run.collapsed(now, random),
            Kind::Default(_) | Kind::Custom(_) => Outcome::default(),
        }
    }

    fn add_task(&mut self, task: &v1::TaskInfo, framework_id: &v1::FrameworkId, stage: Stage) {
        let record = Box::new(new_task(task, framework_id));
        self.tasks
            .insert(task.task_id.value.clone(), Task { record, stage });
    }
}

fn user(command: &v1::CommandInfo, framework: &v1::FrameworkInfo) -> Option<String> {
    command
        .user
        .clone()
        .or_else(|| Some(framework.user.clone()))
        .filter(|user| !user.is_empty())
}
