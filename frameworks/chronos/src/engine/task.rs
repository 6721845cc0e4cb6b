//! What the master is told to run.

use mesos_sdk::placement::Launch;
use mesos_sdk::v1;

use crate::job::{Container, ContainerKind, Job, NetworkInfo, NetworkMode, Pair, VolumeMode};
use crate::run::{Launched, Run};
use crate::state::Settings;

/// The executor of jobs that bring their own.
pub(super) fn executor_id(job: &Job) -> String {
    job.name.clone()
}

/// Where an agent answers, as text.
pub(super) fn agent_url(url: &v1::Url) -> Option<String> {
    let address = &url.address;
    let host = address.ip.clone().or_else(|| address.hostname.clone())?;
    Some(format!("{}://{host}:{}", url.scheme, address.port))
}

/// The task of a run that was placed.
pub(super) fn info(
    job: &Job,
    run: &Run,
    launched: &Launched,
    launch: &Launch,
    settings: &Settings,
) -> v1::TaskInfo {
    let mut command = command(job, run);
    command.environment = Some(environment(job, run, launched));
    let user = match job.run_as_user.is_empty() {
        true => &settings.user,
        false => &job.run_as_user,
    };
    command.user = Some(user.clone()).filter(|user| !user.is_empty());
    let container = job.container.as_ref();
    let mut info = v1::TaskInfo {
        name: format!("ChronosTask:{}", job.name),
        task_id: v1::TaskId {
            value: launched.task_id.clone(),
        },
        agent_id: launch.agent_id.clone(),
        resources: launch.resources.clone().into_vec(),
        container: container.map(|it| container_info(it, &launched.task_id)),
        ..v1::TaskInfo::default()
    };
    if job.max_completion_time > 0 {
        let seconds = i64::try_from(job.max_completion_time).unwrap_or(i64::MAX);
        info.max_completion_time = Some(v1::DurationInfo {
            nanoseconds: seconds.saturating_mul(1_000_000_000),
        });
    }
    if job.executor.is_empty() {
        info.command = Some(command);
        return info;
    }
    let data = match job.task_info_data.is_empty() {
        true => format!("{}|{}", job.executor_flags, full_command(job, run)),
        false => job.task_info_data.clone(),
    };
    info.data = Some(data.into_bytes().into());
    command.value = Some(job.executor.clone());
    command.shell = Some(true);
    command.arguments.clear();
    info.executor = Some(v1::ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: executor_id(job),
        },
        name: Some(format!("ChronosExecutor:{}", job.name)),
        container: info.container.take(),
        command: Some(command),
        ..v1::ExecutorInfo::default()
    });
    info
}

fn arguments<'a>(job: &'a Job, run: &'a Run) -> Vec<String> {
    match &run.arguments {
        Some(arguments) => arguments.split_whitespace().map(str::to_owned).collect(),
        None => job.arguments.clone(),
    }
}

/// The command with its arguments behind it.
fn full_command(job: &Job, run: &Run) -> String {
    let joined = match &run.arguments {
        Some(arguments) => arguments.clone(),
        None => job.arguments.join(" "),
    };
    let command = match remote(&job.command) {
        Some(name) => format!("./{name}"),
        None => job.command.clone(),
    };
    match joined.is_empty() {
        true => command,
        false => format!("{command} {joined}"),
    }
}

/// The file that a command names which is to be fetched first.
fn remote(command: &str) -> Option<&str> {
    let is_remote = ["http://", "https://", "ftp://", "ftps://"]
        .iter()
        .any(|scheme| command.starts_with(scheme));
    let path = command.split(['?', '#', ' ']).next().unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty());
    name.filter(|_| is_remote)
}

fn command(job: &Job, run: &Run) -> v1::CommandInfo {
    use v1::command_info::Uri;
    let mut uris: Vec<Uri> = Vec::new();
    if remote(&job.command).is_some() {
        uris.push(Uri {
            value: job.command.clone(),
            executable: Some(true),
            extract: Some(false),
            ..Uri::default()
        });
    }
    uris.extend(job.fetch.iter().map(|it| Uri {
        value: it.uri.clone(),
        executable: Some(it.executable),
        extract: Some(it.extract),
        cache: Some(it.cache),
        output_file: Some(it.output_file.clone()).filter(|name| !name.is_empty()),
    }));
    let mut info = v1::CommandInfo {
        uris,
        shell: Some(job.shell),
        ..v1::CommandInfo::default()
    };
    if job.shell {
        info.value = Some(full_command(job, run)).filter(|text| !text.is_empty());
        return info;
    }
    // Without a shell the first argument is what the program is called.
    info.arguments = arguments(job, run);
    let program = match remote(&job.command) {
        Some(name) => format!("./{name}"),
        None => job.command.clone(),
    };
    info.value = Some(program).filter(|text| !text.is_empty());
    info
}

/// What Chronos tells of the run, then what the job says; of two equal names the
/// former counts.
fn environment(job: &Job, run: &Run, launched: &Launched) -> v1::Environment {
    let told = [
        ("mesos_task_id", launched.task_id.clone()),
        ("MESOS_TASK_ID", launched.task_id.clone()),
        ("CHRONOS_JOB_OWNER", job.owner.clone()),
        ("CHRONOS_JOB_NAME", job.name.clone()),
        ("HOST", launched.hostname.clone()),
        ("CHRONOS_RESOURCE_MEM", decimal(job.mem)),
        ("CHRONOS_RESOURCE_CPU", decimal(job.cpus)),
        ("CHRONOS_RESOURCE_DISK", decimal(job.disk)),
        ("CHRONOS_JOB_RUN_TIME", run.due_ms.to_string()),
        ("CHRONOS_JOB_RUN_ATTEMPT", run.attempt.to_string()),
    ];
    let own = job.environment_variables.iter();
    let own = own.filter(|own| !told.iter().any(|(name, _)| *name == own.name));
    let own: Vec<(String, String)> = own
        .map(|own| (own.name.clone(), own.value.clone()))
        .collect();
    let told = told
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let variables = told
        .chain(own)
        .map(|(name, value)| v1::environment::Variable {
            name,
            value: Some(value),
            ..v1::environment::Variable::default()
        });
    v1::Environment {
        variables: variables.collect(),
    }
}

/// `128.0`, as numbers with fractions are written.
fn decimal(amount: f64) -> String {
    format!("{amount:?}")
}

fn container_info(container: &Container, task_id: &str) -> v1::ContainerInfo {
    use v1::container_info::{DockerInfo, MesosInfo, Type, docker_info};
    let mut info = v1::ContainerInfo {
        volumes: container.volumes.iter().map(volume).collect(),
        network_infos: network_infos(container),
        ..v1::ContainerInfo::default()
    };
    match container.kind {
        ContainerKind::Mesos => {
            info.r#type = Type::Mesos.into();
            info.mesos = Some(MesosInfo {
                image: Some(v1::Image {
                    r#type: v1::image::Type::Docker.into(),
                    docker: Some(v1::image::Docker {
                        name: container.image.clone(),
                        ..v1::image::Docker::default()
                    }),
                    cached: Some(!container.force_pull_image),
                    ..v1::Image::default()
                }),
            });
        }
        ContainerKind::Docker => {
            let network = match container.network {
                NetworkMode::Host => docker_info::Network::Host,
                NetworkMode::Bridge => docker_info::Network::Bridge,
                NetworkMode::User => docker_info::Network::User,
            };
            let mut parameters: Vec<v1::Parameter> =
                container.parameters.iter().map(parameter).collect();
            parameters.push(v1::Parameter {
                key: "label".to_owned(),
                value: format!("MESOS_TASK_ID={task_id}"),
            });
            info.r#type = Type::Docker.into();
            info.docker = Some(DockerInfo {
                image: container.image.clone(),
                network: Some(network.into()),
                force_pull_image: Some(container.force_pull_image),
                parameters,
                ..DockerInfo::default()
            });
        }
    }
    info
}

fn network_infos(container: &Container) -> Vec<v1::NetworkInfo> {
    let named = container.network_infos.iter().map(network_info);
    let older = container.network_name.iter().map(|name| v1::NetworkInfo {
        name: Some(name.clone()),
        ..v1::NetworkInfo::default()
    });
    match container.network_infos.is_empty() {
        true => older.collect(),
        false => named.collect(),
    }
}

fn network_info(network: &NetworkInfo) -> v1::NetworkInfo {
    use v1::network_info::{IpAddress, PortMapping, Protocol};
    let protocol = network.protocol.as_deref().map(|name| match name {
        "IPv6" => Protocol::IPv6,
        _ => Protocol::IPv4,
    });
    let address = protocol.map(|protocol| IpAddress {
        protocol: Some(protocol.into()),
        ..IpAddress::default()
    });
    let ports = network.port_mappings.iter().map(|mapping| PortMapping {
        host_port: mapping.host_port.into(),
        container_port: mapping.container_port.into(),
        protocol: mapping.protocol.clone(),
    });
    v1::NetworkInfo {
        name: Some(network.name.clone()),
        ip_addresses: address.into_iter().collect(),
        labels: Some(v1::Labels {
            labels: network.labels.iter().map(label).collect(),
        }),
        port_mappings: ports.collect(),
        ..v1::NetworkInfo::default()
    }
}

fn label(pair: &Pair) -> v1::Label {
    v1::Label {
        key: pair.key.clone(),
        value: Some(pair.value.clone()),
    }
}

fn parameter(pair: &Pair) -> v1::Parameter {
    v1::Parameter {
        key: pair.key.clone(),
        value: pair.value.clone(),
    }
}

fn volume(volume: &crate::job::Volume) -> v1::Volume {
    use v1::volume::{Mode, Source, source};
    let mode = match volume.mode {
        Some(VolumeMode::ReadOnly) => Mode::Ro,
        Some(VolumeMode::ReadWrite) | None => Mode::Rw,
    };
    let external = volume.external.as_ref().map(|external| Source {
        r#type: Some(source::Type::DockerVolume.into()),
        docker_volume: Some(source::DockerVolume {
            driver: Some(external.provider.clone()),
            name: external.name.clone(),
            driver_options: Some(v1::Parameters {
                parameter: external.options.iter().map(parameter).collect(),
            }),
        }),
        ..Source::default()
    });
    v1::Volume {
        mode: mode.into(),
        container_path: volume.container_path.clone(),
        host_path: volume.host_path.clone(),
        source: external,
        ..v1::Volume::default()
    }
}
