//! What the master is told to run for an instance: here of an app, in
//! `task/pod.rs` of a pod.

mod checks;
mod pod;
mod volumes;

pub(super) use pod::group;

use std::collections::BTreeMap;

use mesos_sdk::placement::Launch;
use mesos_sdk::v1;

use crate::app::{
    App, Artifact, Container, ContainerKind, EnvValue, Limit, NetworkMode, PortMapping,
    ResourceLimits, Secret,
};
use crate::instance::Instance;
use crate::pod::Resources;
use crate::spec::Spec;
use crate::state::Settings;

/// The longest value of the environment that tells of a label.
const MAX_LABEL: usize = 512;

fn has_custom_executor(app: &App) -> bool {
    !app.executor.is_empty() && app.executor != "//cmd"
}

/// What an instance asks for, its executor included.
pub(super) fn total(spec: &Spec) -> Resources {
    let app = match spec {
        Spec::App(app) => app,
        Spec::Pod(pod) => return pod.total(),
    };
    let own = Resources {
        cpus: app.cpus,
        mem: app.mem,
        disk: app.disk,
        gpus: app.gpus,
    };
    if !has_custom_executor(app) {
        return own;
    }
    let of_executor = app.executor_resources.unwrap_or_default();
    own.and(Resources {
        cpus: of_executor.cpus,
        mem: of_executor.mem,
        disk: of_executor.disk,
        gpus: 0,
    })
}

/// The task of an instance that was placed.
pub(super) fn info(
    app: &App,
    instance: &Instance,
    launch: &Launch,
    enforces_role: bool,
    settings: &Settings,
) -> v1::TaskInfo {
    let task_id = instance.task_id().to_string();
    let ports = instance
        .place
        .as_ref()
        .map_or(&[][..], |place| &place.ports);
    let environment = environment(app, &task_id, launch, ports, enforces_role, settings);
    let mut command = command(app);
    command.environment = Some(v1::Environment {
        variables: environment.into_iter().map(variable).collect(),
    });
    command.user = app.user.clone().or_else(|| settings.defaults.user.clone());
    let mut info = v1::TaskInfo {
        name: app.id.to_dotted(),
        task_id: v1::TaskId {
            value: task_id.clone(),
        },
        agent_id: launch.agent_id.clone(),
        resources: launch.resources.clone().into_vec(),
        labels: Some(labels(&app.labels)),
        discovery: Some(discovery(app, ports)),
        container: app
            .container
            .as_ref()
            .map(|it| container(app, it, &task_id, ports)),
        health_check: app
            .health_checks
            .iter()
            .find(|check| check.protocol.is_of_mesos())
            .and_then(|check| checks::health(app, check, ports)),
        check: app
            .check
            .as_ref()
            .and_then(|it| checks::plain(app, it, ports)),
        kill_policy: app
            .task_kill_grace_period_seconds
            .map(|seconds| v1::KillPolicy {
                grace_period: Some(v1::DurationInfo {
                    nanoseconds: i64::try_from(seconds)
                        .unwrap_or(i64::MAX)
                        .saturating_mul(1_000_000_000),
                }),
            }),
        limits: limits_of(app.resource_limits.unwrap_or_default()),
        ..v1::TaskInfo::default()
    };
    if has_custom_executor(app) {
        command.value = Some(app.executor.clone());
        command.shell = Some(true);
        info.data = app.cmd.clone().map(|cmd| cmd.into_bytes().into());
        let own = app.executor_resources.unwrap_or_default();
        let resources = [("cpus", own.cpus), ("mem", own.mem), ("disk", own.disk)];
        info.executor = Some(v1::ExecutorInfo {
            executor_id: v1::ExecutorId {
                value: format!("marathon-{task_id}"),
            },
            command: Some(command),
            resources: split(&mut info.resources, &resources),
            ..v1::ExecutorInfo::default()
        });
    } else {
        info.command = Some(command);
    }
    info
}

/// Takes these amounts out of what an instance has been given, for one part of
/// it. Volumes are left alone.
fn split(resources: &mut Vec<v1::Resource>, amounts: &[(&str, f64)]) -> Vec<v1::Resource> {
    let mut taken = Vec::new();
    for (name, amount) in amounts {
        let mut missing = *amount;
        let plain = |it: &&mut v1::Resource| it.name == *name && it.disk.is_none();
        for resource in resources.iter_mut().filter(plain) {
            let Some(scalar) = resource.scalar.as_mut().filter(|_| missing > 0.0) else {
                continue;
            };
            let part = missing.min(scalar.value);
            scalar.value = ((scalar.value - part) * 1000.0).round() / 1000.0;
            missing -= part;
            let mut own = resource.clone();
            own.scalar = Some(v1::value::Scalar { value: part });
            taken.push(own);
        }
    }
    resources.retain(|it| it.scalar.is_none_or(|scalar| scalar.value > 0.0));
    taken
}

fn command(app: &App) -> v1::CommandInfo {
    let mut command = v1::CommandInfo {
        uris: app.fetch.iter().map(uri).collect(),
        ..v1::CommandInfo::default()
    };
    match (&app.cmd, &app.args) {
        (Some(cmd), _) => {
            command.shell = Some(true);
            command.value = Some(cmd.clone());
        }
        (None, Some(args)) => {
            command.shell = Some(false);
            command.arguments = args.clone();
            // In a container the image says what is run.
            let has_image = app.container.as_ref().is_some_and(|it| it.docker.is_some());
            if !has_image {
                command.value = args.first().cloned();
            }
        }
        (None, None) => command.shell = Some(false),
    }
    command
}

fn uri(artifact: &Artifact) -> v1::command_info::Uri {
    v1::command_info::Uri {
        value: artifact.uri.clone(),
        executable: Some(artifact.executable),
        extract: Some(artifact.extract),
        cache: Some(artifact.cache),
        output_file: artifact.dest_path.clone(),
    }
}

enum Value {
    Text(String),
    Secret(String),
}

/// A value that a definition says; nothing when its secret is none.
fn value_of(value: &EnvValue, secrets: &BTreeMap<String, Secret>) -> Option<Value> {
    Some(match value {
        EnvValue::Text(text) => Value::Text(text.clone()),
        EnvValue::Secret { secret } => Value::Secret(secrets.get(secret)?.source.clone()),
    })
}

fn variable((name, value): (String, Value)) -> v1::environment::Variable {
    let mut variable = v1::environment::Variable {
        name,
        ..v1::environment::Variable::default()
    };
    match value {
        Value::Text(text) => variable.value = Some(text),
        Value::Secret(source) => {
            variable.r#type = Some(v1::environment::variable::Type::Secret.into());
            variable.secret = Some(secret(source));
        }
    }
    variable
}

fn secret(name: String) -> v1::Secret {
    v1::Secret {
        r#type: Some(v1::secret::Type::Reference.into()),
        reference: Some(v1::secret::Reference { name, key: None }),
        ..v1::Secret::default()
    }
}

/// The environment: what Marathon tells of the app and its ports, and over all
/// of it what the app itself says.
fn environment(
    app: &App,
    task_id: &str,
    launch: &Launch,
    ports: &[u16],
    enforces_role: bool,
    settings: &Settings,
) -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |name: String, value: String| {
        all.insert(name, value);
    };
    let prefix = settings.env_vars_prefix.as_deref().unwrap_or_default();
    put(format!("{prefix}HOST"), launch.hostname.clone());
    for (name, value) in port_variables(app, ports) {
        put(format!("{prefix}{name}"), value);
    }
    put("MESOS_TASK_ID".to_owned(), task_id.to_owned());
    put("MARATHON_APP_ID".to_owned(), app.id.to_string());
    put("MARATHON_APP_VERSION".to_owned(), app.version.to_string());
    for (name, amount) in [
        ("CPUS", app.cpus),
        ("MEM", app.mem),
        ("DISK", app.disk),
        ("GPUS", f64::from(app.gpus)),
    ] {
        put(format!("MARATHON_APP_RESOURCE_{name}"), decimal(amount));
    }
    put(
        "MARATHON_APP_ENFORCE_GROUP_ROLE".to_owned(),
        enforces_role.to_string(),
    );
    let image = app.container.as_ref().and_then(|it| it.docker.as_ref());
    if let Some(docker) = image {
        put("MARATHON_APP_DOCKER_IMAGE".to_owned(), docker.image.clone());
    }
    for (name, value) in label_variables(&app.labels) {
        put(name, value);
    }
    let mut all: BTreeMap<String, Value> = all
        .into_iter()
        .map(|(name, text)| (name, Value::Text(text)))
        .collect();
    for (name, value) in &app.env {
        if let Some(value) = value_of(value, &app.secrets) {
            all.insert(name.clone(), value);
        }
    }
    all
}

/// What the environment tells of labels.
fn label_variables(labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let labels: Vec<(String, &String)> = labels
        .iter()
        .filter(|(name, value)| is_variable(name) && value.len() < MAX_LABEL)
        .map(|(name, value)| (name.to_uppercase(), value))
        .collect();
    let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    let all = ("MARATHON_APP_LABELS".to_owned(), names.join(" "));
    let each = labels.iter();
    let each = each.map(|(name, value)| (format!("MARATHON_APP_LABEL_{name}"), (*value).clone()));
    std::iter::once(all).chain(each).collect()
}

/// Numbers as Marathon wrote them into the environment: `1.0`, `0.5`.
fn decimal(amount: f64) -> String {
    format!("{amount:?}")
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `PORT0` and the like, and the ports by their numbers and names.
fn port_variables(app: &App, ports: &[u16]) -> Vec<(String, String)> {
    let mut named: Vec<(Option<u16>, Option<&str>)> = Vec::new();
    if app.has_host_network() {
        let definitions = app.port_definitions.iter().flatten();
        named.extend(definitions.map(|it| (Some(it.port), it.name.as_deref())));
    } else {
        let mappings = app.port_mappings().iter();
        named.extend(mappings.map(|it| (Some(it.container_port), it.name.as_deref())));
    }
    let effective: Vec<u16> = named
        .iter()
        .zip(ports)
        .map(|((number, _), port)| match port {
            0 => number.unwrap_or(0),
            port => *port,
        })
        .collect();
    let mut all = Vec::new();
    for (index, ((number, name), port)) in named.iter().zip(&effective).enumerate() {
        let port = port.to_string();
        all.push((format!("PORT{index}"), port.clone()));
        match number {
            Some(0) | None => all.push((format!("PORT_{port}"), port.clone())),
            Some(number) => all.push((format!("PORT_{number}"), port.clone())),
        }
        if let Some(name) = name {
            let name = name.to_uppercase().replace('-', "_");
            all.push((format!("PORT_{name}"), port));
        }
    }
    if let Some(first) = effective.first() {
        all.push(("PORT".to_owned(), first.to_string()));
        let texts: Vec<String> = effective.iter().map(ToString::to_string).collect();
        all.push(("PORTS".to_owned(), texts.join(",")));
    }
    all
}

fn labels(labels: &BTreeMap<String, String>) -> v1::Labels {
    v1::Labels {
        labels: labels
            .iter()
            .map(|(key, value)| label(key, value))
            .collect(),
    }
}

fn label(key: &str, value: &str) -> v1::Label {
    v1::Label {
        key: key.to_owned(),
        value: Some(value.to_owned()),
    }
}

fn discovery(app: &App, host_ports: &[u16]) -> v1::DiscoveryInfo {
    let mut ports = Vec::new();
    let mut add = |number: u16, name: &Option<String>, protocols: &str, those: v1::Labels| {
        for protocol in protocols.split(',') {
            ports.push(v1::Port {
                number: u32::from(number),
                name: name.clone(),
                protocol: Some(protocol.to_owned()),
                labels: Some(those.clone()),
                ..v1::Port::default()
            });
        }
    };
    if app.has_host_network() {
        for (definition, port) in app.port_definitions.iter().flatten().zip(host_ports) {
            let mut those = labels(&definition.labels);
            those.labels.push(label("network-scope", "host"));
            add(*port, &definition.name, &definition.protocol, those);
        }
    } else {
        for (mapping, port) in app.port_mappings().iter().zip(host_ports) {
            let mut those = labels(&mapping.labels);
            let number = match (mapping.host_port, port) {
                (Some(_), port) => {
                    those.labels.push(label("network-scope", "host"));
                    *port
                }
                (None, _) => {
                    those.labels.push(label("network-scope", "container"));
                    let network = app.networks.iter().find_map(|it| it.name.as_ref());
                    if let Some(network) = network {
                        those.labels.push(label("network-name", network));
                    }
                    mapping.container_port
                }
            };
            add(number, &mapping.name, &mapping.protocol, those);
        }
    }
    v1::DiscoveryInfo {
        visibility: v1::discovery_info::Visibility::Framework.into(),
        name: Some(app.id.to_dotted()),
        ports: Some(v1::Ports { ports }),
        ..v1::DiscoveryInfo::default()
    }
}

fn container(app: &App, container: &Container, task_id: &str, ports: &[u16]) -> v1::ContainerInfo {
    let mut info = v1::ContainerInfo {
        volumes: volumes::volumes(app, container),
        tty_info: app.tty.filter(|tty| *tty).map(|_| v1::TtyInfo::default()),
        ..v1::ContainerInfo::default()
    };
    let network_infos = || {
        let networks = app.networks.iter();
        let named = networks.filter(|it| it.mode == NetworkMode::Container);
        let named = named.map(|network| v1::NetworkInfo {
            name: network.name.clone(),
            labels: Some(labels(&network.labels)),
            ..v1::NetworkInfo::default()
        });
        named.collect::<Vec<_>>()
    };
    match container.kind {
        ContainerKind::Mesos => {
            info.r#type = v1::container_info::Type::Mesos.into();
            info.network_infos = network_infos();
            info.linux_info = container
                .linux_info
                .as_ref()
                .map(|info| pod::linux_info(Some(info)));
            info.mesos = container
                .docker
                .as_ref()
                .map(|docker| v1::container_info::MesosInfo {
                    image: Some(v1::Image {
                        r#type: v1::image::Type::Docker.into(),
                        docker: Some(v1::image::Docker {
                            name: docker.image.clone(),
                            config: docker.pull_config.as_ref().and_then(|pull| {
                                let source = &app.secrets.get(&pull.secret)?.source;
                                Some(secret(source.clone()))
                            }),
                            ..v1::image::Docker::default()
                        }),
                        cached: Some(!docker.force_pull_image),
                        ..v1::Image::default()
                    }),
                });
        }
        ContainerKind::Docker => {
            info.r#type = v1::container_info::Type::Docker.into();
            info.network_infos = network_infos();
            info.docker = container
                .docker
                .as_ref()
                .map(|docker| docker_info(app, docker, task_id, ports));
        }
    }
    info
}

fn docker_info(
    app: &App,
    docker: &crate::app::Docker,
    task_id: &str,
    ports: &[u16],
) -> v1::container_info::DockerInfo {
    use v1::container_info::docker_info::{Network, PortMapping as Mapping};
    let mode = app.networks.first().map(|network| network.mode);
    let network = match mode {
        Some(NetworkMode::Bridge) => Network::Bridge,
        Some(NetworkMode::Container) => Network::User,
        Some(NetworkMode::Host) | None => Network::Host,
    };
    let mappings = app.port_mappings().iter().zip(ports);
    let mappings = mappings.filter(|(mapping, _)| mapping.host_port.is_some());
    let mappings = mappings.flat_map(|(mapping, port)| {
        let protocols = mapping.protocol.split(',');
        protocols.map(|protocol| Mapping {
            host_port: u32::from(*port),
            container_port: u32::from(container_port(mapping, *port)),
            protocol: Some(protocol.to_owned()),
        })
    });
    let mut parameters: Vec<_> = docker
        .parameters
        .iter()
        .map(|it| v1::Parameter {
            key: it.key.clone(),
            value: it.value.clone(),
        })
        .collect();
    parameters.extend(app.container.iter().flat_map(volumes::docker_parameters));
    parameters.push(v1::Parameter {
        key: "label".to_owned(),
        value: format!("MESOS_TASK_ID={task_id}"),
    });
    v1::container_info::DockerInfo {
        image: docker.image.clone(),
        network: Some(network.into()),
        port_mappings: mappings.collect(),
        privileged: Some(docker.privileged),
        parameters,
        force_pull_image: Some(docker.force_pull_image),
        ..v1::container_info::DockerInfo::default()
    }
}

/// A port inside that is 0 is that of the host.
fn container_port(mapping: &PortMapping, host_port: u16) -> u16 {
    match mapping.container_port {
        0 => host_port,
        port => port,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration in seconds")]
#[expect(clippy::unnecessary_wraps, reason = "the messages want it so")]
fn seconds(seconds: u64) -> Option<f64> {
    Some(seconds as f64)
}

fn limits_of(limits: ResourceLimits) -> BTreeMap<String, v1::value::Scalar> {
    let limits = [("cpus", limits.cpus), ("mem", limits.mem)];
    limits
        .into_iter()
        .filter_map(|(name, limit)| {
            let value = match limit? {
                Limit::Value(value) => value,
                Limit::Unlimited(_) => f64::INFINITY,
            };
            Some((name.to_owned(), v1::value::Scalar { value }))
        })
        .collect()
}
