//! What executors and tasks are told in their environment (`src/slave/slave.cpp`,
//! `executorEnvironment`).

use std::path::Path;
use std::time::Duration;

use mesos_sdk::v1;

use crate::agent::framework::Framework;
use crate::agent::{AgentConfig, AgentLimits};

/// Where commands are looked for unless the task says otherwise.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a task's environment tells of its surroundings.
pub(super) struct Surroundings<'a> {
    pub(super) config: &'a AgentConfig,
    pub(super) agent_id: &'a str,
    pub(super) directory: &'a Path,
}

impl Surroundings<'_> {
    /// What an executor is told, then what its command says, which wins.
    pub(super) fn of_executor(
        &self,
        framework: &Framework,
        info: &v1::ExecutorInfo,
        command: &v1::CommandInfo,
    ) -> Vec<(String, String)> {
        let grace = shutdown_grace(info, &self.config.limits);
        let mut variables = self.common(framework, &info.executor_id.value, grace);
        add_variables(&mut variables, command.environment.as_ref());
        variables
    }

    /// What a task is told, then what its command says, which wins.
    pub(super) fn environment(
        &self,
        framework: &Framework,
        executor_id: &str,
        task: &v1::TaskInfo,
        command: &v1::CommandInfo,
    ) -> Vec<(String, String)> {
        let grace = match &task.executor {
            Some(info) => shutdown_grace(info, &self.config.limits),
            None => self.config.limits.executor_shutdown_grace,
        };
        let mut variables = self.common(framework, executor_id, grace);
        let ip = self.config.address.ip().to_string();
        variables.push(("MESOS_CONTAINER_IP".into(), ip));
        variables.push(("MESOS_TASK_ID".into(), task.task_id.value.clone()));
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

    fn common(
        &self,
        framework: &Framework,
        executor_id: &str,
        grace: Duration,
    ) -> Vec<(String, String)> {
        let directory = self.directory.to_string_lossy();
        let ip = self.config.address.ip().to_string();
        let is_checkpointing = framework.info.checkpoint();
        let framework_id = framework.info.id.as_ref().map_or("", |id| &id.value);
        let grace = crate::duration::display(grace);
        let one = |is_so: bool| if is_so { "1" } else { "0" };
        let mut variables: Vec<(String, String)> = [
            ("PATH", PATH),
            ("LIBPROCESS_IP", ip.as_str()),
            ("LIBPROCESS_PORT", "0"),
            ("MESOS_AGENT_ENDPOINT", &self.config.address.to_string()),
            ("MESOS_CHECKPOINT", one(is_checkpointing)),
            ("MESOS_DIRECTORY", &directory),
            ("MESOS_EXECUTOR_ID", executor_id),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", &grace),
            ("MESOS_FRAMEWORK_ID", framework_id),
            (
                "MESOS_HTTP_COMMAND_EXECUTOR",
                one(self.config.http_command_executor),
            ),
            ("MESOS_SANDBOX", &directory),
            ("MESOS_SLAVE_ID", self.agent_id),
            ("MESOS_SLAVE_PID", &self.config.pid()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        if is_checkpointing {
            let timeout = crate::duration::display(self.config.limits.recovery_timeout);
            variables.push(("MESOS_RECOVERY_TIMEOUT".into(), timeout));
            variables.push(("MESOS_SUBSCRIPTION_BACKOFF_MAX".into(), "2secs".into()));
        }
        if self.config.is_https {
            variables.push(("LIBPROCESS_SSL_ENABLED".into(), "1".into()));
        }
        variables
    }
}

/// How long an executor may take to end when it is told to.
pub(super) fn shutdown_grace(info: &v1::ExecutorInfo, limits: &AgentLimits) -> Duration {
    info.shutdown_grace_period
        .and_then(|grace| u64::try_from(grace.nanoseconds).ok())
        .map_or(limits.executor_shutdown_grace, Duration::from_nanos)
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
