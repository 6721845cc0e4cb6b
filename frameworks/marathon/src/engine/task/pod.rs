//! What the master is told to run for an instance of a pod: a group of tasks
//! under the default executor.

use std::collections::BTreeMap;

use mesos_sdk::placement::Launch;
use mesos_sdk::{operation, v1};

use crate::app::{IpcMode, LinuxInfo, NetworkMode};
use crate::instance::Instance;
use crate::pod::{Command, Health, Pod, PodCheck, PodContainer};
use crate::state::Settings;

use super::environment::{decimal, label_variables};
use super::{
    Value, checks, label, labels, limits_of, seconds, secret, split, uri, value_of, variable,
};

/// Where volumes that go with the instance are, in the executor's sandbox.
const EPHEMERAL: &str = "volumes/";

/// The group of tasks of an instance that was placed.
pub(in crate::engine) fn group(
    pod: &Pod,
    instance: &Instance,
    launch: &Launch,
    enforces_role: bool,
    settings: &Settings,
) -> v1::offer::Operation {
    let ports = instance.place.as_ref().map_or(&[][..], |it| &it.ports);
    let mut left = launch.resources.clone().into_vec();
    let own = pod.executor_resources;
    let own = [("cpus", own.cpus), ("mem", own.mem), ("disk", own.disk)];
    let mut of_executor = split(&mut left, &own);
    let mut tasks = Vec::new();
    for container in &pod.containers {
        let of = container.resources;
        let amounts = [
            ("cpus", of.cpus),
            ("mem", of.mem),
            ("disk", of.disk),
            ("gpus", f64::from(of.gpus)),
        ];
        let mut command = command(container);
        command.user = container
            .user
            .clone()
            .or_else(|| pod.user.clone())
            .or_else(|| settings.defaults.user.clone());
        let around = Around {
            pod,
            instance,
            ports,
            hostname: &launch.hostname,
            enforces_role,
        };
        command.environment = Some(v1::Environment {
            variables: environment(container, &around, settings)
                .into_iter()
                .map(variable)
                .collect(),
        });
        let grace = container
            .lifecycle
            .and_then(|it| it.kill_grace_period_seconds);
        tasks.push(v1::TaskInfo {
            name: container.name.clone(),
            task_id: v1::TaskId {
                value: instance.id_of(Some(container.name.clone())).to_string(),
            },
            agent_id: launch.agent_id.clone(),
            resources: split(&mut left, &amounts),
            command: Some(command),
            container: Some(container_info(pod, container)),
            labels: Some(labels(&container.labels)),
            discovery: Some(discovery(pod, container, ports)),
            health_check: container
                .health_check
                .as_ref()
                .and_then(|check| health_check(pod, check, ports)),
            check: container
                .check
                .as_ref()
                .and_then(|check| plain_check(pod, check, ports)),
            kill_policy: grace.map(|grace| v1::KillPolicy {
                grace_period: Some(v1::DurationInfo {
                    nanoseconds: nanoseconds(grace),
                }),
            }),
            limits: limits_of(container.resource_limits.unwrap_or_default()),
            ..v1::TaskInfo::default()
        });
    }
    // Ports and volumes are of all of them.
    of_executor.extend(left);
    let executor = v1::ExecutorInfo {
        r#type: Some(v1::executor_info::Type::Default.into()),
        executor_id: v1::ExecutorId {
            value: instance.id.executor(),
        },
        resources: of_executor,
        container: Some(executor_container(
            pod,
            ports,
            &settings.defaults.bridge_name,
        )),
        labels: Some(labels(&pod.labels)),
        ..v1::ExecutorInfo::default()
    };
    operation::launch_group(executor, tasks).into()
}

/// What is told to the containers of one instance alike.
struct Around<'a> {
    pod: &'a Pod,
    instance: &'a Instance,
    ports: &'a [u16],
    hostname: &'a str,
    enforces_role: bool,
}

fn command(container: &PodContainer) -> v1::CommandInfo {
    let mut info = v1::CommandInfo {
        uris: container.artifacts.iter().map(uri).collect(),
        shell: Some(false),
        ..v1::CommandInfo::default()
    };
    let Some(exec) = &container.exec else {
        return info; // The image says it.
    };
    match &exec.command {
        Command::Shell(line) => {
            info.shell = Some(true);
            info.value = Some(line.clone());
        }
        Command::Argv(words) => {
            // Without an image there is no entry point to keep.
            if exec.override_entrypoint.unwrap_or(false) || container.image.is_none() {
                info.value = words.first().cloned();
            }
            info.arguments.clone_from(words);
        }
    }
    info
}

/// What the definition says, and over it what Marathon tells.
fn environment(
    container: &PodContainer,
    around: &Around<'_>,
    settings: &Settings,
) -> BTreeMap<String, Value> {
    let pod = around.pod;
    let mut all = BTreeMap::new();
    for (name, value) in pod.environment.iter().chain(&container.environment) {
        if let Some(value) = value_of(value, &pod.secrets) {
            all.insert(name.clone(), value);
        }
    }
    let prefix = settings.env_vars_prefix.as_deref().unwrap_or_default();
    let mut put = |name: String, text: String| {
        all.insert(name, Value::Text(text));
    };
    put(format!("{prefix}HOST"), around.hostname.to_owned());
    for (name, port) in endpoint_variables(pod, around.ports) {
        put(format!("{prefix}{name}"), port.to_string());
    }
    let id = around.instance.id_of(Some(container.name.clone()));
    put("MESOS_TASK_ID".to_owned(), id.to_string());
    put(
        "MESOS_EXECUTOR_ID".to_owned(),
        around.instance.id.executor(),
    );
    put("MARATHON_APP_ID".to_owned(), pod.id.to_string());
    put("MARATHON_APP_VERSION".to_owned(), pod.version.to_string());
    put("MARATHON_CONTAINER_ID".to_owned(), container.name.clone());
    put(
        "MARATHON_APP_ENFORCE_GROUP_ROLE".to_owned(),
        around.enforces_role.to_string().to_uppercase(),
    );
    let of = container.resources;
    for (name, amount) in [("CPUS", of.cpus), ("MEM", of.mem), ("DISK", of.disk)] {
        put(
            format!("MARATHON_CONTAINER_RESOURCE_{name}"),
            decimal(amount),
        );
    }
    put(
        "MARATHON_CONTAINER_RESOURCE_GPUS".to_owned(),
        of.gpus.to_string(),
    );
    let mut of_both = pod.labels.clone();
    of_both.extend(container.labels.clone());
    for (name, text) in label_variables(&of_both) {
        put(name, text);
    }
    all
}

/// The ports of all endpoints of the pod, by their names.
fn endpoint_variables(pod: &Pod, ports: &[u16]) -> Vec<(String, u16)> {
    let mut all = Vec::new();
    for (_, endpoint, on_host) in pod.endpoint_ports(ports) {
        let name: String = endpoint
            .name
            .chars()
            .map(|it| {
                if it.is_ascii_alphanumeric() {
                    it.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        let inside = match endpoint.container_port {
            Some(0) => on_host,
            port => port,
        };
        let port = if pod.has_host_network() {
            on_host
        } else {
            inside
        };
        all.extend(port.map(|port| (format!("ENDPOINT_{name}"), port)));
        all.extend(on_host.map(|port| (format!("EP_HOST_{name}"), port)));
        all.extend(inside.map(|port| (format!("EP_CONTAINER_{name}"), port)));
    }
    all
}

fn container_info(pod: &Pod, container: &PodContainer) -> v1::ContainerInfo {
    let volumes = container.volume_mounts.iter().filter_map(|mount| {
        let volume = pod.volumes.iter().find(|it| it.name == mount.name)?;
        let mode = if mount.read_only.unwrap_or(false) {
            v1::volume::Mode::Ro
        } else {
            v1::volume::Mode::Rw
        };
        let mut info = v1::Volume {
            container_path: mount.mount_path.clone(),
            mode: mode.into(),
            ..v1::Volume::default()
        };
        match (&volume.host, &volume.secret, &volume.persistent) {
            (Some(path), ..) => info.host_path = Some(path.clone()),
            (_, Some(name), _) => {
                let source = &pod.secrets.get(name)?.source;
                info.source = Some(v1::volume::Source {
                    r#type: Some(v1::volume::source::Type::Secret.into()),
                    secret: Some(secret(source.clone())),
                    ..v1::volume::Source::default()
                });
            }
            (.., Some(_)) => info.source = Some(of_executor(volume.name.clone())),
            _ => info.source = Some(of_executor(format!("{EPHEMERAL}{}", volume.name))),
        }
        Some(info)
    });
    let mut linux = linux_info(container.linux_info.as_ref());
    linux.share_cgroups = Some(pod.legacy_shared_cgroups.unwrap_or(false));
    v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos.into(),
        volumes: volumes.collect(),
        mesos: container.image.as_ref().map(|image| {
            let config = image.pull_config.as_ref();
            let config = config.and_then(|it| pod.secrets.get(&it.secret));
            v1::container_info::MesosInfo {
                image: Some(v1::Image {
                    r#type: v1::image::Type::Docker.into(),
                    docker: Some(v1::image::Docker {
                        name: image.id.clone(),
                        config: config.map(|it| secret(it.source.clone())),
                        ..v1::image::Docker::default()
                    }),
                    cached: image.force_pull.map(|force| !force),
                    ..v1::Image::default()
                }),
            }
        }),
        tty_info: container
            .tty
            .filter(|tty| *tty)
            .map(|_| v1::TtyInfo::default()),
        linux_info: Some(linux),
        ..v1::ContainerInfo::default()
    }
}

/// A directory in the sandbox of the executor, which all containers share.
fn of_executor(path: String) -> v1::volume::Source {
    v1::volume::Source {
        r#type: Some(v1::volume::source::Type::SandboxPath.into()),
        sandbox_path: Some(v1::volume::source::SandboxPath {
            r#type: Some(v1::volume::source::sandbox_path::Type::Parent.into()),
            path,
        }),
        ..v1::volume::Source::default()
    }
}

/// `seccomp` and `ipcInfo` of a definition.
pub(super) fn linux_info(info: Option<&LinuxInfo>) -> v1::LinuxInfo {
    let seccomp = info.and_then(|info| info.seccomp.as_ref());
    let ipc = info.and_then(|info| info.ipc_info);
    let mode = ipc.map(|ipc| match ipc.mode {
        IpcMode::Private => v1::linux_info::IpcMode::Private,
        IpcMode::ShareParent => v1::linux_info::IpcMode::ShareParent,
    });
    v1::LinuxInfo {
        seccomp: seccomp.map(|seccomp| v1::SeccompInfo {
            profile_name: seccomp.profile_name.clone(),
            unconfined: Some(seccomp.unconfined),
        }),
        ipc_mode: mode.map(Into::into),
        shm_size: ipc.and_then(|ipc| ipc.shm_size),
        ..v1::LinuxInfo::default()
    }
}

/// The executor's container: the networks that all containers are in.
fn executor_container(pod: &Pod, ports: &[u16], bridge: &str) -> v1::ContainerInfo {
    let networks = pod.networks.iter().filter_map(|network| {
        let name = match network.mode {
            NetworkMode::Host => return None,
            NetworkMode::Bridge => Some(bridge.to_owned()),
            NetworkMode::Container => network.name.clone(),
        };
        let mappings = pod
            .endpoint_ports(ports)
            .flat_map(|(_, endpoint, on_host)| {
                let names = &endpoint.network_names;
                let is_open = names.is_empty() || names.iter().any(|it| Some(it) == name.as_ref());
                let on_host = on_host.filter(|_| is_open);
                let protocols = match endpoint.protocol.as_slice() {
                    [] => vec![None],
                    those => those.iter().cloned().map(Some).collect(),
                };
                let mappings = protocols.into_iter().filter_map(move |protocol| {
                    let inside = endpoint.container_port.filter(|port| *port != 0);
                    Some(v1::network_info::PortMapping {
                        host_port: u32::from(on_host?),
                        container_port: u32::from(inside.or(on_host)?),
                        protocol,
                    })
                });
                mappings.collect::<Vec<_>>()
            });
        Some(v1::NetworkInfo {
            port_mappings: mappings.collect(),
            labels: Some(labels(&network.labels)),
            name,
            ..v1::NetworkInfo::default()
        })
    });
    let mut linux = linux_info(pod.linux_info.as_ref());
    linux.share_cgroups = Some(pod.legacy_shared_cgroups.unwrap_or(false));
    v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos.into(),
        network_infos: networks.collect(),
        linux_info: Some(linux),
        ..v1::ContainerInfo::default()
    }
}

fn discovery(pod: &Pod, container: &PodContainer, ports: &[u16]) -> v1::DiscoveryInfo {
    let own = pod.endpoint_ports(ports);
    let own = own.filter(|(it, ..)| it.name == container.name);
    let ports = own.flat_map(|(_, endpoint, on_host)| {
        let mut those = labels(&endpoint.labels);
        let scope = if on_host.is_some() {
            "host"
        } else {
            "container"
        };
        those.labels.push(label("network-scope", scope));
        let number = on_host.or(endpoint.container_port).unwrap_or(0);
        let protocols = match endpoint.protocol.as_slice() {
            [] => vec!["tcp".to_owned()],
            those => those.to_vec(),
        };
        protocols.into_iter().map(move |protocol| v1::Port {
            number: u32::from(number),
            name: Some(endpoint.name.clone()),
            protocol: Some(protocol),
            labels: Some(those.clone()),
            ..v1::Port::default()
        })
    });
    v1::DiscoveryInfo {
        visibility: v1::discovery_info::Visibility::Framework.into(),
        name: Some(pod.id.to_dotted()),
        ports: Some(v1::Ports {
            ports: ports.collect(),
        }),
        ..v1::DiscoveryInfo::default()
    }
}

/// The port of an endpoint, from inside of the containers.
fn port_of(pod: &Pod, name: &str, ports: &[u16]) -> Option<u32> {
    let mut endpoints = pod.endpoint_ports(ports);
    let (_, endpoint, on_host) = endpoints.find(|(_, it, _)| it.name == name)?;
    let inside = endpoint.container_port.filter(|port| *port != 0);
    let port = if pod.has_host_network() {
        on_host
    } else {
        inside.or(on_host)
    };
    port.map(u32::from)
}

fn run_by(command: &Command) -> v1::CommandInfo {
    match command {
        Command::Shell(line) => v1::CommandInfo {
            shell: Some(true),
            value: Some(line.clone()),
            ..v1::CommandInfo::default()
        },
        Command::Argv(words) => v1::CommandInfo {
            shell: Some(false),
            value: words.first().cloned(),
            arguments: words.clone(),
            ..v1::CommandInfo::default()
        },
    }
}

fn plain_check(pod: &Pod, check: &PodCheck, ports: &[u16]) -> Option<v1::CheckInfo> {
    let mut info = checks::timed(
        check.delay_seconds,
        check.interval_seconds,
        check.timeout_seconds,
    );
    if let Some(http) = &check.http {
        let port = port_of(pod, &http.endpoint, ports)?;
        checks::ask(&mut info, port, http.path.clone());
    } else if let Some(tcp) = &check.tcp {
        checks::connect(&mut info, port_of(pod, &tcp.endpoint, ports)?);
    } else {
        checks::run(&mut info, run_by(&check.exec.as_ref()?.command));
    }
    Some(info)
}

fn health_check(pod: &Pod, check: &Health, ports: &[u16]) -> Option<v1::HealthCheck> {
    use v1::health_check::{HttpCheckInfo, TcpCheckInfo, Type};
    let port = |name: &str| port_of(pod, name, ports);
    let mut info = v1::HealthCheck {
        delay_seconds: seconds(check.delay_seconds),
        interval_seconds: seconds(check.interval_seconds),
        timeout_seconds: seconds(check.timeout_seconds),
        consecutive_failures: Some(check.max_consecutive_failures),
        grace_period_seconds: seconds(check.grace_period_seconds),
        ..v1::HealthCheck::default()
    };
    if let Some(http) = &check.http {
        info.r#type = Some(Type::Http.into());
        info.http = Some(HttpCheckInfo {
            port: port(&http.endpoint)?,
            path: http.path.clone(),
            scheme: http.scheme.as_ref().map(|scheme| scheme.to_lowercase()),
            ..HttpCheckInfo::default()
        });
    } else if let Some(tcp) = &check.tcp {
        info.r#type = Some(Type::Tcp.into());
        info.tcp = Some(TcpCheckInfo {
            port: port(&tcp.endpoint)?,
            ..TcpCheckInfo::default()
        });
    } else if let Some(exec) = &check.exec {
        info.r#type = Some(Type::Command.into());
        info.command = Some(run_by(&exec.command));
    }
    Some(info)
}

#[expect(clippy::cast_possible_truncation, reason = "a time that is validated")]
fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}
