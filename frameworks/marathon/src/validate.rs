//! Whether a definition makes sense: everything that is wrong with it, in one
//! answer, where it is. What concerns several apps (dependencies, roles of
//! groups, service ports) is asked of the groups.

mod container;
mod health;
mod impossible;
mod network;
mod pod;
mod scheduling;

use std::collections::{BTreeMap, BTreeSet};

use crate::app::{App, EnvValue, Limit, Secret};
use crate::violations::Violations;

pub(crate) use impossible::is_exclusive;
pub use pod::validate_pod;
pub use scheduling::OPERATORS;

/// What the flags enable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `secrets`: in the environment, as files and for pulling images.
    pub secrets: bool,
    /// `external_volumes`.
    pub external_volumes: bool,
    /// `gpu_resources`.
    pub gpu_resources: bool,
}

/// The last segments of paths that the API uses for itself.
const RESERVED_NAMES: [&str; 3] = ["restart", "tasks", "versions"];

/// The longest URI that is fetched.
const MAX_URI_LENGTH: usize = 1024;

/// All that is wrong with an app by itself.
///
/// # Errors
///
/// When anything is.
pub fn validate(app: &App, features: Features) -> Result<(), Violations> {
    let mut wrong = Violations::new();
    id(app, &mut wrong);
    command(app, &mut wrong);
    resources(app, features, &mut wrong);
    environment("/env", &app.env, &app.secrets, features, &mut wrong);
    fetch(app, &mut wrong);
    executor(app, &mut wrong);
    container::validate(app, features, &mut wrong);
    network::validate(app, &mut wrong);
    health::validate(app, &mut wrong);
    scheduling::validate(app, &mut wrong);
    impossible::validate(&app.clone().into(), &impossible::OF_APPS, &mut wrong);
    wrong.into_result()
}

fn id(app: &App, wrong: &mut Violations) {
    wrong.require(!app.id.is_root(), "/id", "must not be root");
    wrong.require(
        !RESERVED_NAMES.contains(&app.id.name()),
        "/id",
        format!("can not be one of ({},.,..)", RESERVED_NAMES.join(",")),
    );
}

fn command(app: &App, wrong: &mut Violations) {
    let has_container = app
        .container
        .as_ref()
        .is_some_and(|it| it.docker.is_some() || it.kind == crate::app::ContainerKind::Mesos);
    let is_one = app.cmd.is_some() != app.args.is_some();
    let is_none = app.cmd.is_none() && app.args.is_none();
    wrong.require(
        is_one || (is_none && (has_container || !app.executor.is_empty())),
        "/",
        "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.",
    );
    wrong.require(
        app.cmd.as_ref().is_none_or(|cmd| cmd.len() > 1),
        "/cmd",
        "must not be an empty string",
    );
}

fn resources(app: &App, features: Features, wrong: &mut Violations) {
    at_least(wrong, "/cpus", app.cpus, 0.001);
    at_least(wrong, "/mem", app.mem, 0.0);
    at_least(wrong, "/disk", app.disk, 0.0);
    if let Some(own) = app.executor_resources {
        at_least(wrong, "/executorResources/cpus", own.cpus, 0.1);
        at_least(wrong, "/executorResources/mem", own.mem, 32.0);
        at_least(wrong, "/executorResources/disk", own.disk, 10.0);
    }
    let limits = app.resource_limits.unwrap_or_default();
    for (path, limit, least) in [
        ("/resourceLimits/cpus", limits.cpus, app.cpus),
        ("/resourceLimits/mem", limits.mem, app.mem),
    ] {
        if let Some(Limit::Value(limit)) = limit {
            wrong.require(
                limit >= least,
                path,
                format!(
                    "resource limit must be greater than or equal to requested resource ({least})"
                ),
            );
        }
    }
    if app.gpus > 0 {
        wrong.require(features.gpu_resources, "/", not_enabled("gpu_resources"));
        let is_docker = app
            .container
            .as_ref()
            .is_some_and(|it| it.kind == crate::app::ContainerKind::Docker);
        wrong.require(
            !is_docker,
            "/",
            "GPU resources only work with the Mesos containerizer",
        );
    }
}

fn at_least(wrong: &mut Violations, path: &str, value: f64, least: f64) {
    wrong.require(
        value.is_finite() && value >= least,
        path,
        format!("error.min: must be at least {least}, is {value}"),
    );
}

fn not_enabled(feature: &str) -> String {
    format!("Feature {feature} is not enabled. Enable with --enable_features {feature})")
}

fn environment(
    at: &str,
    variables: &BTreeMap<String, EnvValue>,
    secrets: &BTreeMap<String, Secret>,
    features: Features,
    wrong: &mut Violations,
) {
    let mut has_secrets = !secrets.is_empty();
    for (name, value) in variables {
        let path = format!("{at}({name})");
        if let EnvValue::Secret { secret } = value {
            has_secrets = true;
            wrong.require(
                secrets.contains_key(secret),
                path.clone(),
                "references an undefined secret",
            );
        }
        wrong.require(
            !name.is_empty() && !name.contains(['=', '\0']),
            path,
            "is no name of a variable of the environment",
        );
    }
    if has_secrets {
        wrong.require(features.secrets, "/", not_enabled("secrets"));
    }
}

fn fetch(app: &App, wrong: &mut Violations) {
    for (index, artifact) in app.fetch.iter().enumerate() {
        let path = format!("/fetch({index})/uri");
        wrong.require(
            artifact.uri.len() <= MAX_URI_LENGTH,
            path.clone(),
            format!("error.maxLength: must be at most {MAX_URI_LENGTH} characters"),
        );
        let is_uri = !artifact.uri.is_empty()
            && !artifact
                .uri
                .contains(|letter: char| letter.is_whitespace() || letter.is_control());
        wrong.require(is_uri, path, "URI has invalid syntax.");
    }
}

fn executor(app: &App, wrong: &mut Violations) {
    let is_path = || {
        let path = app.executor.strip_prefix('/').unwrap_or(&app.executor);
        path.split('/').all(|segment| !segment.is_empty())
    };
    wrong.require(
        app.executor.is_empty() || app.executor == "//cmd" || is_path(),
        "/executor",
        "must be empty, //cmd or a path",
    );
}

/// Elements that are there more than once.
fn has_duplicates<T: Ord>(elements: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    !elements.into_iter().all(|element| seen.insert(element))
}

#[cfg(test)]
mod tests;
