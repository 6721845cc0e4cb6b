//! What the master is told to run for an instance: here of an app, in
//! `task/pod.rs` of a pod.

mod checks;
mod container;
mod environment;
mod pod;
mod volumes;

pub(super) use pod::group;

use std::collections::BTreeMap;

use mesos_sdk::placement::Launch;
use mesos_sdk::v1;

use crate::app::{App, Artifact, EnvValue, Limit, ResourceLimits, Secret};
use crate::instance::Instance;
use crate::pod::Resources;
use crate::spec::Spec;
use crate::state::Settings;

/// The executor that an app names, or the flags for it; nothing of Mesos's own.
fn executor<'a>(app: &'a App, settings: &'a Settings) -> Option<&'a str> {
    let named = match app.executor.as_str() {
        "" => settings.executor.as_str(),
        named => named,
    };
    (!named.is_empty() && named != "//cmd").then_some(named)
}

/// What an instance asks for, its executor included.
pub(super) fn total(spec: &Spec, settings: &Settings) -> Resources {
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
    if executor(app, settings).is_none() {
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
    let inside = environment::own_ports(app, instance, ports);
    let told = environment::Told {
        task_id: &task_id,
        hostname: &launch.hostname,
        ports,
        inside: &inside,
        enforces_role,
    };
    let environment = environment::of_app(app, &told, settings);
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
        discovery: Some(container::discovery(app, ports)),
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
    let container = app.container.as_ref();
    let container = container.map(|it| container::info(app, it, &task_id, ports, settings));
    let Some(executor) = executor(app, settings) else {
        info.command = Some(command);
        info.container = container;
        return info;
    };
    let what = app.cmd.clone().unwrap_or_else(|| {
        let words = app.args.as_deref().unwrap_or_default();
        words.join(" ")
    });
    command.shell = Some(true);
    command.value = Some(format!(
        "chmod ug+rx '{executor}' && exec '{executor}' {what}"
    ));
    command.arguments.clear();
    let own = app.executor_resources.unwrap_or_default();
    let resources = [("cpus", own.cpus), ("mem", own.mem), ("disk", own.disk)];
    info.executor = Some(v1::ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: format!("marathon-{task_id}"),
        },
        command: Some(command),
        container,
        resources: split(&mut info.resources, &resources),
        ..v1::ExecutorInfo::default()
    });
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
