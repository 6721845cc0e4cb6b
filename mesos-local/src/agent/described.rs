//! Tasks as the read side shows them, and the executor that Mesos gives a
//! command (`src/slave/slave.cpp`, `getExecutorInfo`).

use mesos_sdk::v1;

/// What Apache Mesos charges a command for its executor.
const EXECUTOR_CPUS: f64 = 0.1;
const EXECUTOR_MEM_MIB: f64 = 32.0;
/// How much longer than its command, once asked to end, its executor may take.
const EXECUTOR_EXTRA_GRACE_NANOS: i64 = 2_000_000_000;

/// The task as the read side shows it.
pub(super) fn new_task(info: &v1::TaskInfo, framework_id: &v1::FrameworkId) -> v1::Task {
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
pub(super) fn executor_info(
    task: &v1::TaskInfo,
    framework_id: &v1::FrameworkId,
) -> v1::ExecutorInfo {
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
    let grace_period = task
        .kill_policy
        .as_ref()
        .and_then(|policy| policy.grace_period);
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: task.task_id.value.clone(),
        },
        framework_id: Some(framework_id.clone()),
        command: Some(v1::CommandInfo {
            shell: Some(false),
            value: Some("mesos-executor".into()),
            arguments: vec!["mesos-executor".into()],
            environment: command.environment.clone(),
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
        discovery: task.discovery.clone(),
        container: task.container.clone(),
        shutdown_grace_period: grace_period.map(|period| v1::DurationInfo {
            nanoseconds: period
                .nanoseconds
                .saturating_add(EXECUTOR_EXTRA_GRACE_NANOS),
        }),
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
}
