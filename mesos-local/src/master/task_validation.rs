//! The checks a task must pass before it is launched, in Mesos's order and with
//! its texts (`src/master/validation.cpp`, `src/common/validation.cpp`).

use mesos_sdk::resources::{Resources, Scalar, allocation_role};
use mesos_sdk::{ids, v1};

use super::Master;
use super::accept::Acceptance;
use super::state::Framework;

impl Master {
    pub(super) fn validate_task(
        &self,
        acceptance: &Acceptance,
        task: &v1::TaskInfo,
    ) -> Result<(), String> {
        let Some(framework) = self.state.frameworks.get(&acceptance.framework) else {
            return Err("Framework cannot be found".to_owned());
        };
        validate_identity(framework, &acceptance.agent, task)?;
        validate_content(task)?;
        if task.command.is_some() == task.executor.is_some() {
            return Err("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present".to_owned());
        }
        let mut total = Resources::from(task.resources.as_slice());
        if let Some(executor) = &task.executor {
            validate_custom_executor(acceptance, executor)?;
            total += self.new_executor_resources(framework, acceptance, executor)?;
        }
        if !acceptance.remaining.contains(&total) {
            return Err(format!(
                "Total resources {total} required by task and its executor is more than available {}",
                acceptance.remaining
            ));
        }
        Ok(())
    }

    /// The resources an executor needs, which are none when it runs already.
    fn new_executor_resources(
        &self,
        framework: &Framework,
        acceptance: &Acceptance,
        executor: &v1::ExecutorInfo,
    ) -> Result<Resources, String> {
        let known = framework
            .executors
            .get(&acceptance.agent)
            .and_then(|executors| executors.get(&executor.executor_id.value));
        match known {
            None => Ok(Resources::from(executor.resources.as_slice())),
            Some(known) if known == executor => Ok(Resources::new()),
            Some(_) => Err(format!(
                "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID '{}'",
                executor.executor_id.value
            )),
        }
    }

    pub(super) fn validate_group(
        &self,
        acceptance: &Acceptance,
        executor: &v1::ExecutorInfo,
        tasks: &[v1::TaskInfo],
    ) -> Result<(), String> {
        let Some(framework) = self.state.frameworks.get(&acceptance.framework) else {
            return Err("Framework cannot be found".to_owned());
        };
        let mut total = Resources::new();
        let mut seen = std::collections::BTreeSet::new();
        for task in tasks {
            let id = &task.task_id.value;
            let invalid = |why: String| format!("Task '{id}' is invalid: {why}");
            validate_identity(framework, &acceptance.agent, task).map_err(invalid)?;
            if !seen.insert(id) {
                return Err(invalid(format!("Task has duplicate ID: {id}")));
            }
            validate_content(task).map_err(invalid)?;
            validate_group_member(executor, task).map_err(invalid)?;
            total += Resources::from(task.resources.as_slice());
        }
        validate_default_executor(acceptance, executor)?;
        total += self.new_executor_resources(framework, acceptance, executor)?;
        if !acceptance.remaining.contains(&total) {
            return Err(format!(
                "Total resources {total} required by task group and its executor are more than available {}",
                acceptance.remaining
            ));
        }
        Ok(())
    }
}

fn validate_identity(
    framework: &Framework,
    agent: &str,
    task: &v1::TaskInfo,
) -> Result<(), String> {
    let id = &task.task_id.value;
    ids::validate_id(id).map_err(|error| error.to_string())?;
    if framework.tasks.contains_key(id) {
        return Err(format!("Task has duplicate ID: {id}"));
    }
    if framework.unreachable_tasks.contains_key(id) {
        return Err(format!("Task reuses the ID of an unreachable task: {id}"));
    }
    if task.agent_id.value != agent {
        return Err(format!(
            "Task uses invalid agent {} while agent {agent} is expected",
            task.agent_id.value
        ));
    }
    Ok(())
}

fn validate_content(task: &v1::TaskInfo) -> Result<(), String> {
    let is_negative =
        |duration: Option<v1::DurationInfo>| duration.is_some_and(|d| d.nanoseconds < 0);
    if is_negative(task.kill_policy.and_then(|policy| policy.grace_period)) {
        return Err("Task's 'kill_policy.grace_period' must be non-negative".to_owned());
    }
    if is_negative(task.max_completion_time) {
        return Err("Task's `max_completion_time` must be non-negative".to_owned());
    }
    if let Some(check) = &task.check {
        validate_check(check).map_err(|why| format!("Task uses invalid check: {why}"))?;
    }
    if let Some(check) = &task.health_check {
        validate_health_check(check)
            .map_err(|why| format!("Task uses invalid health check: {why}"))?;
    }
    validate_resources(task)?;
    if let Some(command) = &task.command {
        validate_command(command)
            .map_err(|why| format!("Task's `CommandInfo` is invalid: {why}"))?;
    }
    if let Some(container) = &task.container {
        validate_container(container)
            .map_err(|why| format!("Task's `ContainerInfo` is invalid: {why}"))?;
    }
    validate_limits(task)
}

fn validate_resources(task: &v1::TaskInfo) -> Result<(), String> {
    if task.resources.is_empty() {
        return Err("Task uses no resources".to_owned());
    }
    // Mesos looks at them before it fills the allocation in, and prints them so.
    let as_sent: Vec<v1::Resource> = task
        .resources
        .iter()
        .map(|resource| v1::Resource {
            allocation_info: None,
            ..resource.clone()
        })
        .collect();
    Resources::validate(&as_sent).map_err(|error| error.to_string())?;
    let resources = Resources::from(task.resources.as_slice());
    let mut persistence = std::collections::BTreeSet::new();
    let mut roles = std::collections::BTreeSet::new();
    let mut revocable = std::collections::BTreeMap::new();
    for item in &resources {
        roles.insert(allocation_role(item).unwrap_or_default().to_owned());
        let volume = item
            .disk
            .as_ref()
            .and_then(|disk| disk.persistence.as_ref());
        if let Some(volume) = volume {
            let role = mesos_sdk::resources::reservation_role(item).unwrap_or_default();
            if !persistence.insert((role.to_owned(), volume.id.clone())) {
                return Err(format!(
                    "Task uses duplicate persistence ID: Persistence ID '{}' is not unique",
                    volume.id
                ));
            }
        }
        let is_revocable = item.revocable.is_some();
        if *revocable.entry(item.name.clone()).or_insert(is_revocable) != is_revocable {
            return Err(format!(
                "Task mixes revocable and non-revocable resources: Cannot use both revocable and non-revocable '{}' at the same time",
                item.name
            ));
        }
    }
    if roles.len() > 1 {
        let roles: Vec<_> = roles.into_iter().collect();
        return Err(format!(
            "Invalid task resources: The resources have multiple allocation roles ('{}') but only one allocation role is allowed",
            roles.join("', '")
        ));
    }
    Ok(())
}

fn validate_command(command: &v1::CommandInfo) -> Result<(), String> {
    use v1::environment::variable::Type;
    let variables = command.environment.iter().flat_map(|e| &e.variables);
    for variable in variables {
        let wrong = |what: &str| {
            Err(format!(
                "Environment variable '{}' of type '{}' {what}",
                variable.name,
                variable.r#type().as_str_name()
            ))
        };
        match variable.r#type() {
            Type::Secret if variable.secret.is_none() => return wrong("must have a secret set"),
            Type::Secret if variable.value.is_some() => {
                return wrong("must not have a value set");
            }
            Type::Value if variable.value.is_none() => return wrong("must have a value set"),
            Type::Value if variable.secret.is_some() => {
                return wrong("must not have a secret set");
            }
            Type::Unknown => {
                return Err("Environment variable of type 'UNKNOWN' is not allowed".to_owned());
            }
            Type::Secret | Type::Value => {}
        }
    }
    Ok(())
}

fn validate_container(container: &v1::ContainerInfo) -> Result<(), String> {
    if container.r#type() != v1::container_info::Type::Docker {
        return Ok(());
    }
    let Some(docker) = &container.docker else {
        return Err("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo".to_owned());
    };
    if docker
        .parameters
        .iter()
        .any(|parameter| parameter.key == "name")
    {
        return Err("Parameter in DockerInfo must not be 'name'".to_owned());
    }
    Ok(())
}

fn validate_limits(task: &v1::TaskInfo) -> Result<(), String> {
    let resources = Resources::from(task.resources.as_slice());
    for (name, limit) in &task.limits {
        let (long, request) = match name.as_str() {
            "cpus" => ("cpu", resources.scalar("cpus")),
            "mem" => ("memory", resources.scalar("mem")),
            _ => {
                return Err(
                    "Only cpus and mem may be included in a task's resource limits".to_owned(),
                );
            }
        };
        let Some(request) = request else {
            let long = if long == "cpu" { "CPU" } else { long };
            return Err(format!(
                "When a {long} limit is specified, a {long} request must also be specified"
            ));
        };
        if limit.value.is_finite() && Scalar::from_f64(limit.value) < request {
            return Err(format!(
                "The {long} limit must be greater than or equal to the {long} request"
            ));
        }
    }
    Ok(())
}

fn validate_custom_executor(
    acceptance: &Acceptance,
    executor: &v1::ExecutorInfo,
) -> Result<(), String> {
    ids::validate_id(&executor.executor_id.value).map_err(|error| error.to_string())?;
    validate_executor_framework(acceptance, executor)?;
    if executor.r#type.is_some() && executor.r#type() != v1::executor_info::Type::Custom {
        return Err("'ExecutorInfo.type' must be 'CUSTOM'".to_owned());
    }
    let Some(command) = &executor.command else {
        return Err("'ExecutorInfo.command' must be set".to_owned());
    };
    validate_command(command)?;
    Resources::validate(&executor.resources).map_err(|error| error.to_string())?;
    if executor.resources.iter().any(|item| item.shared.is_some()) {
        return Err(format!(
            "Executor resources {} should not contain any shared resources",
            Resources::from(executor.resources.as_slice())
        ));
    }
    Ok(())
}

fn validate_executor_framework(
    acceptance: &Acceptance,
    executor: &v1::ExecutorInfo,
) -> Result<(), String> {
    let id = executor.framework_id.clone().unwrap_or_default().value;
    if id != acceptance.framework {
        return Err(format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {id} vs Expected: {})",
            acceptance.framework
        ));
    }
    Ok(())
}

fn validate_default_executor(
    acceptance: &Acceptance,
    executor: &v1::ExecutorInfo,
) -> Result<(), String> {
    ids::validate_id(&executor.executor_id.value).map_err(|error| error.to_string())?;
    validate_executor_framework(acceptance, executor)?;
    if executor.r#type() == v1::executor_info::Type::Default {
        if executor.command.is_some() {
            return Err("'ExecutorInfo.command' must not be set for 'DEFAULT' executor".to_owned());
        }
        let container = executor.container.as_ref();
        if container.is_some_and(|c| c.r#type() != v1::container_info::Type::Mesos) {
            return Err(
                "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor".to_owned(),
            );
        }
        let has_image = container
            .and_then(|container| container.mesos.as_ref())
            .is_some_and(|mesos| mesos.image.is_some());
        if has_image {
            return Err(
                "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
                    .to_owned(),
            );
        }
    } else if executor.command.is_none() {
        return Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor".to_owned());
    }
    Resources::validate(&executor.resources).map_err(|error| error.to_string())?;
    let resources = Resources::from(executor.resources.as_slice());
    let has = |name, least| {
        resources
            .scalar(name)
            .is_some_and(|has| has >= Scalar::from_f64(least))
    };
    if !has("cpus", 0.01) || !has("mem", 32.0) {
        return Err(
            "Executor resources must have at least 0.01 cpus and 32 MB of memory".to_owned(),
        );
    }
    if resources.scalar("disk").is_none() {
        return Err("Executor resources must have disk".to_owned());
    }
    Ok(())
}

fn validate_group_member(executor: &v1::ExecutorInfo, task: &v1::TaskInfo) -> Result<(), String> {
    if task.executor.as_ref().is_some_and(|own| own != executor) {
        return Err(
            "The `ExecutorInfo` of task is different from that of its task group".to_owned(),
        );
    }
    let container = task.container.as_ref();
    if container.is_some_and(|c| c.r#type() == v1::container_info::Type::Docker) {
        return Err("Docker ContainerInfo is not supported on the task".to_owned());
    }
    let command = task.command.is_some();
    if !command && executor.r#type() == v1::executor_info::Type::Default {
        return Err("'TaskInfo.command' must be set".to_owned());
    }
    Ok(())
}

/// What checks and health checks have in common.
struct Timing {
    fields: [(&'static str, Option<f64>); 3],
}

impl Timing {
    fn validate(&self) -> Result<(), String> {
        for (field, value) in self.fields {
            if value.is_some_and(|value| value < 0.0 || value.is_nan()) {
                return Err(format!("Expecting '{field}' to be non-negative"));
            }
        }
        Ok(())
    }
}

fn validate_check(check: &v1::CheckInfo) -> Result<(), String> {
    use v1::check_info::Type;
    if check.r#type.is_none() {
        return Err("CheckInfo must specify 'type'".to_owned());
    }
    match check.r#type() {
        Type::Command => {
            let Some(command) = &check.command else {
                return Err("Expecting 'command' to be set for COMMAND check".to_owned());
            };
            validate_probe_command("Command check", &command.command)?;
        }
        Type::Http => {
            let Some(http) = &check.http else {
                return Err("Expecting 'http' to be set for HTTP check".to_owned());
            };
            validate_path("HTTP check", http.path.as_deref())?;
        }
        Type::Tcp => {
            if check.tcp.is_none() {
                return Err("Expecting 'tcp' to be set for TCP check".to_owned());
            }
        }
        Type::Unknown => return Err("'UNKNOWN' is not a valid check type".to_owned()),
    }
    Timing {
        fields: [
            ("delay_seconds", check.delay_seconds),
            ("interval_seconds", check.interval_seconds),
            ("timeout_seconds", check.timeout_seconds),
        ],
    }
    .validate()
}

fn validate_health_check(check: &v1::HealthCheck) -> Result<(), String> {
    use v1::health_check::Type;
    // Without a type there is nothing to hold the fields against.
    let kind = check.r#type.map(|_| check.r#type());
    match kind {
        None => {}
        Some(Type::Command) => {
            let Some(command) = &check.command else {
                return Err("Expecting 'command' to be set for COMMAND health check".to_owned());
            };
            validate_probe_command("Health check", command)?;
        }
        Some(Type::Http) => {
            let Some(http) = &check.http else {
                return Err("Expecting 'http' to be set for HTTP health check".to_owned());
            };
            if let Some(scheme) = http
                .scheme
                .as_deref()
                .filter(|s| !matches!(*s, "http" | "https"))
            {
                return Err(format!("Unsupported HTTP health check scheme: '{scheme}'"));
            }
            validate_path("HTTP health check", http.path.as_deref())?;
        }
        Some(Type::Tcp) if check.tcp.is_none() => {
            return Err("Expecting 'tcp' to be set for TCP health check".to_owned());
        }
        Some(Type::Tcp) => {}
        Some(Type::Unknown) => return Err("'UNKNOWN' is not a valid health check type".to_owned()),
    }
    Timing {
        fields: [
            ("delay_seconds", check.delay_seconds),
            ("grace_period_seconds", check.grace_period_seconds),
            ("interval_seconds", check.interval_seconds),
        ],
    }
    .validate()?;
    Timing {
        fields: [
            ("timeout_seconds", check.timeout_seconds),
            ("", None),
            ("", None),
        ],
    }
    .validate()
}

fn validate_probe_command(what: &str, command: &v1::CommandInfo) -> Result<(), String> {
    if command.value.is_none() {
        let kind = if command.shell() {
            "shell command"
        } else {
            "executable path"
        };
        return Err(format!("{what} must contain '{kind}'"));
    }
    validate_command(command)
}

fn validate_path(what: &str, path: Option<&str>) -> Result<(), String> {
    match path {
        Some(path) if !path.starts_with('/') => {
            Err(format!("The path '{path}' of {what} must start with '/'"))
        }
        _ => Ok(()),
    }
}
