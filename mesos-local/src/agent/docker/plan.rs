//! What a task's container is to be like: the request that the engine is sent,
//! worked out of the task (`Docker::RunOptions::create` of `src/docker/docker.cpp`).

use std::collections::BTreeMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use mesos_sdk::v1;
use v1::container_info::docker_info::Network;

use super::parameters;
use crate::agent::Volume;
use crate::agent::environment::add_variables;

/// Where a container sees its sandbox.
const SANDBOX: &str = "/mnt/mesos/sandbox";

/// What Mesos gives every container at least.
const MIN_MEMORY_BYTES: i64 = 32 << 20;
const MIN_CPU_SHARES: i64 = 2;

/// Shares of the processor that one cpu stands for.
const SHARES_PER_CPU: f64 = 1024.0;
/// The kernel's period, in which a limited container gets its quota.
const CPU_PERIOD_US: i64 = 100_000;

/// A container that is to be made and started.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerPlan {
    /// The name the engine will know it under.
    pub(super) name: String,
    /// The request to create it.
    pub(crate) body: ContainerCreateBody,
}

/// Why a task has no container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its description contradicts itself.
    #[error("Failed to create docker run options: {0}")]
    Options(String),
    /// Its parameters hold one that `docker run` has not, or with a value that
    /// it does not take: the exit status of `docker run` says so.
    #[error("Container exited with status 125: {0}")]
    Parameter(String),
}

/// What a container is wanted for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    container: v1::ContainerInfo,
    command: &'a v1::CommandInfo,
    resources: &'a [v1::Resource],
    limits: BTreeMap<&'a str, f64>,
    /// The tasks that come to it later bring their own memory.
    has_memory_of_its_own: bool,
    /// Variables besides those of the command.
    environment: Vec<(String, String)>,
}

impl<'a> Wanted<'a> {
    /// For a task that is a command.
    pub(crate) fn by_task(task: &'a v1::TaskInfo, command: &'a v1::CommandInfo) -> Self {
        let role = task.resources.iter().find_map(|resource| {
            let allocation = resource.allocation_info.as_ref()?;
            allocation.role.clone()
        });
        let limits = task.limits.iter();
        Self {
            container: task.container.clone().unwrap_or_default(),
            command,
            resources: &task.resources,
            limits: limits
                .map(|(name, limit)| (name.as_str(), limit.value))
                .collect(),
            has_memory_of_its_own: true,
            environment: role
                .map(|role| ("MESOS_ALLOCATION_ROLE".to_owned(), role))
                .into_iter()
                .collect(),
        }
    }

    /// For an executor, which has this environment besides its command's.
    pub(crate) fn by_executor(
        info: &'a v1::ExecutorInfo,
        command: &'a v1::CommandInfo,
        environment: Vec<(String, String)>,
    ) -> Self {
        Self {
            container: info.container.clone().unwrap_or_default(),
            command,
            resources: &info.resources,
            limits: BTreeMap::new(),
            has_memory_of_its_own: false,
            // Where programs are is up to the image.
            environment: environment
                .into_iter()
                .filter(|(name, _)| name != "PATH")
                .collect(),
        }
    }
}

/// Where a container is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The container's name.
    pub(crate) name: &'a str,
    /// The sandbox on this machine.
    pub(crate) directory: &'a Path,
    /// Persistent volumes, relative to the sandbox.
    pub(crate) volumes: &'a [Volume],
}

/// Works out a container of type DOCKER.
pub(crate) fn new_plan(
    wanted: &Wanted<'_>,
    setting: Setting<'_>,
) -> Result<ContainerPlan, Refusal> {
    let container = &wanted.container;
    let docker = container.docker.clone().unwrap_or_default();
    let mut body = ContainerCreateBody {
        image: Some(docker.image.clone()),
        env: Some(environment(wanted, setting.name)),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ContainerCreateBody::default()
    };
    let mut host = HostConfig {
        privileged: Some(docker.privileged()),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            ..RestartPolicy::default()
        }),
        ..HostConfig::default()
    };
    run(wanted.command, &mut body).map_err(Refusal::Options)?;
    confine(wanted, &mut host);
    let network = network(container, &docker).map_err(Refusal::Options)?;
    if let Some(hostname) = &container.hostname {
        if network == "host" {
            let text = "Unable to set hostname with host network mode";
            return Err(Refusal::Options(text.to_owned()));
        }
        body.hostname = Some(hostname.clone());
    }
    map_ports(&docker, &network, wanted.resources, &mut body, &mut host)
        .map_err(Refusal::Options)?;
    host.network_mode = Some(network);
    show_volumes(container, &docker, setting, &mut host).map_err(Refusal::Options)?;
    body.host_config = Some(host);
    for parameter in &docker.parameters {
        parameters::apply(&mut body, &parameter.key, &parameter.value)
            .map_err(Refusal::Parameter)?;
    }
    Ok(ContainerPlan {
        name: setting.name.to_owned(),
        body,
    })
}

/// The command's own variables, and those of Mesos that a container gets.
fn environment(wanted: &Wanted<'_>, name: &str) -> Vec<String> {
    let mut variables = wanted.environment.clone();
    add_variables(&mut variables, wanted.command.environment.as_ref());
    for (key, value) in [("MESOS_SANDBOX", SANDBOX), ("MESOS_CONTAINER_NAME", name)] {
        variables.retain(|(known, _)| known != key);
        variables.push((key.to_owned(), value.to_owned()));
    }
    variables
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// A shell command replaces the image's entry point; anything else is given to
/// it, and nothing at all leaves the image's own command.
fn run(command: &v1::CommandInfo, body: &mut ContainerCreateBody) -> Result<(), String> {
    if command.shell() {
        let Some(value) = &command.value else {
            return Err("Shell specified but no command value provided".to_owned());
        };
        body.entrypoint = Some(vec!["/bin/sh".to_owned()]);
        body.cmd = Some(vec!["-c".to_owned(), value.clone()]);
        return Ok(());
    }
    let words: Vec<String> = command
        .value
        .iter()
        .chain(&command.arguments)
        .cloned()
        .collect();
    body.cmd = Some(words).filter(|words| !words.is_empty());
    Ok(())
}

/// Memory and processor: what the task's resources say is its share, what its
/// limits say is the most it gets.
fn confine(wanted: &Wanted<'_>, host: &mut HostConfig) {
    let sum = |name: &str| {
        wanted
            .resources
            .iter()
            .filter(|resource| resource.name == name)
            .filter_map(|resource| resource.scalar.as_ref())
            .map(|scalar| scalar.value)
            .reduce(|a, b| a + b)
    };
    let limit = |name: &str| wanted.limits.get(name).copied();
    if let Some(cpus) = sum("cpus") {
        host.cpu_shares = Some(((cpus * SHARES_PER_CPU) as i64).max(MIN_CPU_SHARES));
    }
    if let Some(cpus) = limit("cpus").filter(|cpus| cpus.is_finite()) {
        host.cpu_period = Some(CPU_PERIOD_US);
        host.cpu_quota = Some((cpus * CPU_PERIOD_US as f64) as i64);
    }
    let bytes = |mib: f64| ((mib * 1024.0 * 1024.0) as i64).max(MIN_MEMORY_BYTES);
    let asked = sum("mem")
        .filter(|_| wanted.has_memory_of_its_own)
        .map(bytes);
    match limit("mem") {
        None => host.memory = asked,
        Some(most) => {
            host.memory_reservation = asked;
            host.memory = Some(most).filter(|most| most.is_finite()).map(bytes);
        }
    }
}

/// The network's name, as the engine knows it.
fn network(
    container: &v1::ContainerInfo,
    docker: &v1::container_info::DockerInfo,
) -> Result<String, String> {
    // HOST unless the task says otherwise.
    Ok(match docker.network() {
        Network::Host => "host".to_owned(),
        Network::Bridge => "bridge".to_owned(),
        Network::None => "none".to_owned(),
        Network::User => match container.network_infos.as_slice() {
            [] => return Err("No network info found in container info".to_owned()),
            [info] => match info.name.as_deref() {
                Some(name) if !name.is_empty() => name.to_owned(),
                _ => return Err("No network name found in network info".to_owned()),
            },
            _ => return Err("Only a single network can be defined in Docker run".to_owned()),
        },
    })
}

fn map_ports(
    docker: &v1::container_info::DockerInfo,
    network: &str,
    resources: &[v1::Resource],
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
) -> Result<(), String> {
    if docker.port_mappings.is_empty() {
        return Ok(());
    }
    if network == "host" || network == "none" {
        let text = "Port mappings are only supported for bridge and user-defined networks";
        return Err(text.to_owned());
    }
    let ranges: Vec<&v1::value::Range> = resources
        .iter()
        .filter(|resource| resource.name == "ports")
        .filter_map(|resource| resource.ranges.as_ref())
        .flat_map(|ranges| &ranges.range)
        .collect();
    if ranges.is_empty() {
        return Err("Port mappings require port resources".to_owned());
    }
    for mapping in &docker.port_mappings {
        let port = u64::from(mapping.host_port);
        if !ranges
            .iter()
            .any(|range| (range.begin..=range.end).contains(&port))
        {
            return Err(format!("Port [{port}] not included in resources"));
        }
        let protocol = mapping.protocol.as_deref().unwrap_or("tcp").to_lowercase();
        let inside = format!("{}/{protocol}", mapping.container_port);
        publish(body, host, &inside, "", &port.to_string());
    }
    Ok(())
}

/// Lets a port of the container, `PORT/PROTOCOL`, be reached by one of this
/// machine.
pub(super) fn publish(
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
    inside: &str,
    ip: &str,
    port: &str,
) {
    let exposed = body.exposed_ports.get_or_insert_default();
    if !exposed.iter().any(|known| known == inside) {
        exposed.push(inside.to_owned());
    }
    host.port_bindings
        .get_or_insert_default()
        .entry(inside.to_owned())
        .or_default()
        .get_or_insert_default()
        .push(PortBinding {
            host_ip: Some(ip.to_owned()),
            host_port: Some(port.to_owned()),
        });
}

/// The sandbox, persistent volumes in it, and what the task asks for besides.
fn show_volumes(
    container: &v1::ContainerInfo,
    docker: &v1::container_info::DockerInfo,
    setting: Setting<'_>,
    host: &mut HostConfig,
) -> Result<(), String> {
    show(host, setting.directory, SANDBOX.to_owned());
    for volume in setting.volumes {
        show(
            host,
            &volume.source,
            inside(&volume.target.to_string_lossy()),
        );
    }
    let mut driver = docker.volume_driver.clone();
    for volume in &container.volumes {
        let target = inside(&volume.container_path);
        let mode = match volume.mode() {
            v1::volume::Mode::Rw => "rw",
            v1::volume::Mode::Ro => "ro",
        };
        let source = if let Some(path) = &volume.host_path {
            let is_relative = !path.starts_with('/');
            if is_relative && !volume.container_path.starts_with('/') {
                return Err(format!(
                    "Both host_path '{path}' and container_path '{}' of a volume are relative",
                    volume.container_path
                ));
            }
            // With a driver a relative path is the name of one of its volumes.
            Some(if is_relative && docker.volume_driver.is_none() {
                setting.directory.join(path).to_string_lossy().into_owned()
            } else {
                path.clone()
            })
        } else if let Some(source) = &volume.source {
            let Some(named) = &source.docker_volume else {
                // Sources of other kinds mean nothing to the engine.
                continue;
            };
            if let Some(wanted) = &named.driver {
                if driver.as_ref().is_some_and(|known| known != wanted) {
                    return Err("Only one volume driver is supported".to_owned());
                }
                driver = Some(wanted.clone());
            }
            Some(named.name.clone())
        } else {
            None
        };
        let bind = match source {
            Some(source) => format!("{source}:{target}:{mode}"),
            None => format!("{target}:{mode}"),
        };
        host.binds.get_or_insert_default().push(bind);
    }
    host.volume_driver = driver;
    Ok(())
}

/// A path of the container; a relative one lies in its sandbox.
fn inside(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{SANDBOX}/{path}")
    }
}

/// Shows a directory of this machine in the container. In the usual form colons
/// separate the parts, so that a path with one needs the other form.
fn show(host: &mut HostConfig, source: &Path, target: String) {
    let source = source.to_string_lossy();
    if source.contains(':') || target.contains(':') {
        host.mounts.get_or_insert_default().push(Mount {
            source: Some(source.into_owned()),
            target: Some(target),
            typ: Some(MountType::BIND),
            ..Mount::default()
        });
    } else {
        let bind = format!("{source}:{target}");
        host.binds.get_or_insert_default().push(bind);
    }
}

#[cfg(test)]
mod tests;
