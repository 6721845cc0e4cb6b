//! How a task becomes an executor with a sandbox, an environment and a command
//! (`src/slave/slave.cpp`, `getExecutorInfo` and `executorEnvironment`).

use std::path::{Path, PathBuf};

use mesos_sdk::v1;
use v1::framework_info::capability::Type as Capability;
use v1::task_status::{Reason, Source};

use crate::agent::docker::{self, Setting};
use crate::agent::executor::{Birth, Executor};
use crate::agent::framework::Framework;
use crate::agent::{Action, Agent, ContainerKey, Effects, Image, Launch, Volume};
use crate::time::Timestamp;

/// What Apache Mesos charges a command for its executor.
const EXECUTOR_CPUS: f64 = 0.1;
const EXECUTOR_MEM_MIB: f64 = 32.0;

/// Where commands are looked for unless the task says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
        let refused = if is_draining {
            let message = "Task was received while agent was already draining";
            Some((Reason::AgentDraining, message))
        } else if framework.executors.contains_key(&task.task_id.value) {
            Some((
                Reason::ExecutorTerminated,
                "Executor terminating/terminated",
            ))
        } else {
            None
        };
        if let Some((reason, message)) = refused {
            let is_aware = framework.is_partition_aware();
            return self.report_missing(
                now,
                &framework_id,
                task.task_id,
                is_aware,
                reason,
                message,
                effects,
            );
        }
        match refusal(&task) {
            Some((reason, message)) => {
                self.refuse_task(now, &framework_id, &task, reason, message, effects);
            }
            None => {
                let command = task.command.clone().unwrap_or_default();
                // An image may have a command of its own.
                let has_value = command.value.is_some() || is_docker(&task);
                let (container, launch) = self.new_executor(&framework_id, task, command);
                if has_value {
                    effects.actions.push(Action::Launch(Box::new(launch)));
                } else {
                    self.with_executor(now, &container, effects, |executor, random| {
                        executor.collapsed(now, random)
                    });
                }
            }
        }
    }

    pub(super) fn run_task_group(
        &mut self,
        now: Timestamp,
        info: v1::FrameworkInfo,
        executor: &v1::ExecutorInfo,
        group: v1::TaskGroupInfo,
        effects: &mut Effects,
    ) {
        let framework = self.framework(info);
        if framework.is_terminating {
            return;
        }
        let framework_id = framework.info.id.clone().unwrap_or_default();
        for mut task in group.tasks {
            task.executor = Some(executor.clone());
            self.refuse_task(
                now,
                &framework_id,
                &task,
                Reason::ExecutorTerminated,
                "Task groups are not supported by this version of mesos-local",
                effects,
            );
        }
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

    /// Makes the executor of a task, and what is needed to start its command.
    fn new_executor(
        &mut self,
        framework_id: &v1::FrameworkId,
        task: v1::TaskInfo,
        command: v1::CommandInfo,
    ) -> (ContainerKey, Launch) {
        let container = ContainerKey::new(self.random.uuid());
        let directory = self.sandbox(&framework_id.value, &task.task_id.value, &container);
        let framework = self
            .frameworks
            .get_mut(&framework_id.value)
            .expect("a framework is made before its tasks");
        let agent_id = self.id.clone().unwrap_or_default();
        let surroundings = Surroundings {
            config: &self.config,
            agent_id: &agent_id.value,
            directory: &directory,
        };
        let image = image(&task);
        let name = docker::name(&container);
        let volumes = volumes(&self.config.work_dir, &task.resources);
        let plan = image.is_some().then(|| {
            let setting = Setting {
                name: &name,
                directory: &directory,
                volumes: &volumes,
            };
            docker::new_plan(&task, &command, setting).map(Box::new)
        });
        let launch = Launch {
            container: container.clone(),
            directory: directory.clone(),
            environment: surroundings.environment(framework, &task, &command),
            user: user(&command, &framework.info).filter(|_| self.config.switch_user),
            // A container is shown them by the engine.
            volumes: if image.is_some() { Vec::new() } else { volumes },
            image,
            command,
        };
        let executor = Executor::new(Birth {
            info: executor_info(&task, framework_id),
            container: container.clone(),
            directory,
            task: new_task(&task, framework_id),
            has_killing_state: framework.has_capability(Capability::TaskKillingState),
            default_grace: self.config.limits.kill_grace,
            address: self.config.address.ip(),
            plan,
            task_info: task,
        });
        let executor_id = executor.info.executor_id.value.clone();
        self.containers.insert(
            container.clone(),
            (framework_id.value.clone(), executor_id.clone()),
        );
        framework.executors.insert(executor_id, executor);
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
    if task.executor.is_some() {
        return Some((
            Reason::ExecutorTerminated,
            "Custom executors are not supported by this version of mesos-local",
        ));
    }
    let container = task.container.as_ref()?;
    if container.r#type() == v1::container_info::Type::Docker {
        return None;
    }
    let image = container.mesos.as_ref()?.image.as_ref()?;
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

/// A container of the Docker engine is wanted.
fn is_docker(task: &v1::TaskInfo) -> bool {
    task.container
        .as_ref()
        .is_some_and(|container| container.r#type() == v1::container_info::Type::Docker)
}

/// The image of a task's container of the Docker engine.
fn image(task: &v1::TaskInfo) -> Option<Image> {
    let container = task.container.as_ref().filter(|_| is_docker(task))?;
    let docker = container.docker.clone().unwrap_or_default();
    Some(Image {
        force_pull: docker.force_pull_image(),
        name: docker.image,
    })
}

/// The task as the read side shows it.
fn new_task(info: &v1::TaskInfo, framework_id: &v1::FrameworkId) -> v1::Task {
    v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: framework_id.clone(),
        executor_id: info.executor.as_ref().map(|info| info.executor_id.clone()),
        agent_id: info.agent_id.clone(),
        state: v1::TaskState::TaskStaging.into(),
        resources: info.resources.clone(),
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: info.container.clone(),
        health_check: info.health_check.clone(),
        kill_policy: info.kill_policy,
        user: info
            .command
            .as_ref()
            .and_then(|command| command.user.clone()),
        limits: info.limits.clone(),
        ..Default::default()
    }
}

/// The executor that Mesos gives a command.
fn executor_info(task: &v1::TaskInfo, framework_id: &v1::FrameworkId) -> v1::ExecutorInfo {
    let command = task.command.clone().unwrap_or_default();
    let role = task
        .resources
        .iter()
        .find_map(|resource| resource.allocation_info.clone());
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: role.clone(),
        ..Default::default()
    };
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: task.task_id.value.clone(),
        },
        framework_id: Some(framework_id.clone()),
        command: Some(v1::CommandInfo {
            shell: Some(false),
            value: Some("mesos-executor".into()),
            arguments: vec!["mesos-executor".into()],
            user: command.user.clone(),
            ..Default::default()
        }),
        resources: vec![
            scalar("cpus", EXECUTOR_CPUS),
            scalar("mem", EXECUTOR_MEM_MIB),
        ],
        name: Some(executor_name(&task.task_id.value, &command)),
        source: Some(task.task_id.value.clone()),
        labels: task.labels.clone(),
        container: task.container.clone(),
        ..Default::default()
    }
}

/// `Command Executor (Task: ID) (Command: ...)`, long commands cut.
fn executor_name(task_id: &str, command: &v1::CommandInfo) -> String {
    const MAX: usize = 15;
    let cut = |text: &str| {
        if text.len() > MAX {
            let end = (0..=MAX - 3).rev().find(|at| text.is_char_boundary(*at));
            format!("{}...", &text[..end.unwrap_or(0)])
        } else {
            text.to_owned()
        }
    };
    let shown = match (&command.value, command.shell()) {
        (Some(value), true) => format!("sh -c '{}'", cut(value)),
        (None, true) => "NO COMMAND".to_owned(),
        (Some(value), false) => {
            let all: Vec<&str> = std::iter::once(value.as_str())
                .chain(command.arguments.iter().map(String::as_str))
                .collect();
            format!("[{}]", cut(&all.join(", ")))
        }
        (None, false) => "NO EXECUTABLE".to_owned(),
    };
    format!("Command Executor (Task: {task_id}) (Command: {shown})")
}

fn user(command: &v1::CommandInfo, framework: &v1::FrameworkInfo) -> Option<String> {
    command
        .user
        .clone()
        .or_else(|| Some(framework.user.clone()))
        .filter(|user| !user.is_empty())
}

/// Volumes of the resources: a directory a persistence id.
fn volumes(work_dir: &Path, resources: &[v1::Resource]) -> Vec<Volume> {
    resources
        .iter()
        .filter_map(|resource| {
            let disk = resource.disk.as_ref()?;
            let id = &disk.persistence.as_ref()?.id;
            let target = &disk.volume.as_ref()?.container_path;
            let role = reservation_role(resource);
            Some(Volume {
                source: work_dir.join("volumes/roles").join(role).join(id),
                target: PathBuf::from(target),
            })
        })
        .collect()
}

fn reservation_role(resource: &v1::Resource) -> &str {
    resource
        .reservations
        .last()
        .and_then(|reservation| reservation.role.as_deref())
        .or(resource.role.as_deref())
        .unwrap_or("*")
}

/// What a task's environment tells of its surroundings.
struct Surroundings<'a> {
    config: &'a crate::agent::AgentConfig,
    agent_id: &'a str,
    directory: &'a Path,
}

impl Surroundings<'_> {
    /// The variables of Mesos, then the task's own, which win.
    fn environment(
        &self,
        framework: &Framework,
        task: &v1::TaskInfo,
        command: &v1::CommandInfo,
    ) -> Vec<(String, String)> {
        let directory = self.directory.to_string_lossy();
        let ip = self.config.address.ip().to_string();
        let is_checkpointing = framework.info.checkpoint();
        let framework_id = framework.info.id.as_ref().map_or("", |id| &id.value);
        let mut variables: Vec<(String, String)> = [
            ("PATH", PATH),
            ("LIBPROCESS_IP", ip.as_str()),
            ("LIBPROCESS_PORT", "0"),
            ("MESOS_AGENT_ENDPOINT", &self.config.address.to_string()),
            ("MESOS_CHECKPOINT", if is_checkpointing { "1" } else { "0" }),
            ("MESOS_CONTAINER_IP", &ip),
            ("MESOS_DIRECTORY", &directory),
            ("MESOS_EXECUTOR_ID", &task.task_id.value),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
            ("MESOS_FRAMEWORK_ID", framework_id),
            ("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
            ("MESOS_SANDBOX", &directory),
            ("MESOS_SLAVE_ID", self.agent_id),
            ("MESOS_SLAVE_PID", &self.config.pid()),
            ("MESOS_TASK_ID", &task.task_id.value),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        if is_checkpointing {
            variables.push(("MESOS_RECOVERY_TIMEOUT".into(), "15mins".into()));
            variables.push(("MESOS_SUBSCRIPTION_BACKOFF_MAX".into(), "2secs".into()));
        }
        let role = task.resources.iter().find_map(|resource| {
            let allocation = resource.allocation_info.as_ref()?;
            allocation.role.clone()
        });
        if let Some(role) = role {
            variables.push(("MESOS_ALLOCATION_ROLE".into(), role));
        }
        add_variables(&mut variables, command.environment.as_ref());
        variables
    }
}

/// Adds a command's own variables; a later one of the same name wins.
pub(crate) fn add_variables(
    variables: &mut Vec<(String, String)>,
    environment: Option<&v1::Environment>,
) {
    for variable in environment.iter().flat_map(|all| &all.variables) {
        let secret = variable
            .secret
            .as_ref()
            .and_then(|secret| secret.value.as_ref())
            .map(|value| String::from_utf8_lossy(&value.data).into_owned());
        let Some(value) = variable.value.clone().or(secret) else {
            continue;
        };
        variables.retain(|(name, _)| *name != variable.name);
        variables.push((variable.name.clone(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(shell: bool, value: &str, arguments: &[&str]) -> v1::CommandInfo {
        v1::CommandInfo {
            shell: Some(shell),
            value: Some(value.into()),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            ..Default::default()
        }
    }

    /// Names of the captures of `/containers` and GET_EXECUTORS.
    #[test]
    fn executors_are_named_after_their_command() {
        assert_eq!(
            executor_name("task-observed", &command(true, "echo out; echo err", &[])),
            "Command Executor (Task: task-observed) (Command: sh -c 'echo out; ec...')"
        );
        assert_eq!(
            executor_name("task-dup", &command(true, "sleep 5", &[])),
            "Command Executor (Task: task-dup) (Command: sh -c 'sleep 5')"
        );
    }

    #[test]
    fn the_last_variable_of_a_name_wins() {
        let mut variables = vec![("A".to_owned(), "1".to_owned())];
        let environment = v1::Environment {
            variables: vec![v1::environment::Variable {
                name: "A".into(),
                value: Some("2".into()),
                ..Default::default()
            }],
        };
        add_variables(&mut variables, Some(&environment));
        assert_eq!(variables, [("A".to_owned(), "2".to_owned())]);
    }
}
