//! Pods: what of them apps do not have, and what apps have too in other words.

use crate::app::{Limit, NetworkMode, UnreachableStrategy};
use crate::pod::{Command, Endpoint, Health, Pod, PodCheck, PodContainer, PodVolume};
use crate::violations::Violations;

use super::container::one_persistent;
use super::scheduling::{constraint_error, timeout};
use super::{Features, MAX_URI_LENGTH, environment, has_duplicates, impossible, not_enabled};

/// The longest name of containers, endpoints and volumes.
const MAX_NAME: usize = 63;

/// The last segments of paths that are told apart from others.
const MAX_PATH: usize = 1024;

/// All that is wrong with a pod by itself.
///
/// # Errors
///
/// When anything is.
pub fn validate_pod(pod: &Pod, features: Features) -> Result<(), Violations> {
    let mut wrong = Violations::new();
    wrong.require(!pod.id.is_root(), "/id", "must not be root");
    wrong.require(
        pod.user.as_ref().is_none_or(|user| !user.is_empty()),
        "/user",
        "must not be empty",
    );
    environment(
        "/environment",
        &pod.environment,
        &pod.secrets,
        features,
        &mut wrong,
    );
    wrong.require(
        !pod.containers.is_empty(),
        "/containers",
        "must not be empty",
    );
    let names = pod.containers.iter().map(|it| &it.name);
    wrong.require(
        !has_duplicates(names),
        "/containers",
        "container names must be unique",
    );
    for (index, container) in pod.containers.iter().enumerate() {
        let path = format!("/containers({index})");
        one_container(pod, container, features, &path, &mut wrong);
    }
    endpoints(pod, &mut wrong);
    volumes(pod, &mut wrong);
    networks(pod, &mut wrong);
    scheduling(pod, &mut wrong);
    impossible::validate(&pod.clone().into(), &impossible::OF_PODS, &mut wrong);
    executor(pod, &mut wrong);
    timeout(pod.deployment_timeout_seconds, &mut wrong);
    wrong.into_result()
}

/// Names of containers, endpoints and volumes.
fn name(text: &str, path: String, wrong: &mut Violations) {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let is_name = bytes.len() <= MAX_NAME
        && bytes.first().is_some_and(|it| is_letter(*it))
        && bytes.last().is_some_and(|it| is_letter(*it))
        && bytes.iter().all(|it| is_letter(*it) || *it == b'-');
    wrong.require(
        is_name,
        path,
        "must be of 1 to 63 lower-case letters, digits and dashes, and begin and end with a \
         letter or digit",
    );
}

fn one_container(
    pod: &Pod,
    container: &PodContainer,
    features: Features,
    path: &str,
    wrong: &mut Violations,
) {
    name(&container.name, format!("{path}/name"), wrong);
    let of = container.resources;
    for (what, amount) in [("cpus", of.cpus), ("mem", of.mem), ("disk", of.disk)] {
        wrong.require(
            amount.is_finite() && amount >= 0.0,
            format!("{path}/resources/{what}"),
            format!("error.min: must be at least 0, is {amount}"),
        );
    }
    if of.gpus > 0 {
        wrong.require(features.gpu_resources, "/", not_enabled("gpu_resources"));
    }
    if let Some(limits) = container.resource_limits {
        for (what, limit, least) in [("cpus", limits.cpus, of.cpus), ("mem", limits.mem, of.mem)] {
            if let Some(Limit::Value(limit)) = limit {
                wrong.require(
                    limit >= least,
                    format!("{path}/resourceLimits/{what}"),
                    format!(
                        "resource limit must be greater than or equal to requested resource ({least})"
                    ),
                );
            }
        }
        wrong.require(
            !pod.legacy_shared_cgroups.unwrap_or(false),
            format!("{path}/resourceLimits"),
            "resourceLimits cannot be defined if legacySharedCgroups is enabled",
        );
    }
    if let Some(exec) = &container.exec {
        command(&exec.command, format!("{path}/exec/command"), wrong);
        let is_shell = matches!(exec.command, Command::Shell(_));
        wrong.require(
            !(is_shell && exec.override_entrypoint == Some(false)),
            format!("{path}/exec/overrideEntrypoint"),
            "may not be false with a shell command",
        );
    } else {
        wrong.require(
            container.image.is_some(),
            format!("{path}/exec"),
            "must be defined where there is no image",
        );
    }
    if let Some(image) = &container.image {
        wrong.require(
            !image.id.is_empty(),
            format!("{path}/image/id"),
            "must not be empty",
        );
        if let Some(pull) = &image.pull_config {
            wrong.require(features.secrets, "/", not_enabled("secrets"));
            wrong.require(
                pod.secrets.contains_key(&pull.secret),
                format!("{path}/image/pullConfig"),
                "pullConfig.secret must refer to an existing secret",
            );
        }
    }
    environment(
        &format!("{path}/environment"),
        &container.environment,
        &pod.secrets,
        features,
        wrong,
    );
    for (index, endpoint) in container.endpoints.iter().enumerate() {
        one_endpoint(pod, endpoint, &format!("{path}/endpoints({index})"), wrong);
    }
    if let Some(check) = &container.health_check {
        health(container, check, &format!("{path}/healthCheck"), wrong);
    }
    if let Some(check) = &container.check {
        plain_check(container, check, &format!("{path}/check"), wrong);
    }
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        let path = format!("{path}/volumeMounts({index})");
        name(&mount.name, format!("{path}/name"), wrong);
        wrong.require(
            (1..=MAX_PATH).contains(&mount.mount_path.len()),
            format!("{path}/mountPath"),
            "must be of 1 to 1024 characters",
        );
        wrong.require(
            pod.volumes.iter().any(|it| it.name == mount.name),
            format!("{path}/name"),
            "Referenced Volume in VolumeMount should exist",
        );
    }
    for (index, artifact) in container.artifacts.iter().enumerate() {
        wrong.require(
            (1..=MAX_URI_LENGTH).contains(&artifact.uri.len()),
            format!("{path}/artifacts({index})/uri"),
            format!("must be of 1 to {MAX_URI_LENGTH} characters"),
        );
    }
    let grace = container
        .lifecycle
        .and_then(|it| it.kill_grace_period_seconds);
    wrong.require(
        grace.is_none_or(|grace| (0.0..=1e9).contains(&grace)),
        format!("{path}/lifecycle/killGracePeriodSeconds"),
        "error.min: must be at least 0",
    );
}

fn command(command: &Command, path: String, wrong: &mut Violations) {
    let is_empty = match command {
        Command::Shell(line) => line.is_empty(),
        Command::Argv(words) => words.is_empty(),
    };
    wrong.require(!is_empty, path, "must not be empty");
}

fn one_endpoint(pod: &Pod, endpoint: &Endpoint, path: &str, wrong: &mut Violations) {
    name(&endpoint.name, format!("{path}/name"), wrong);
    let is_in = |mode| pod.networks.iter().any(|network| network.mode == mode);
    wrong.require(
        !(is_in(NetworkMode::Host) && endpoint.container_port.is_some()),
        format!("{path}/containerPort"),
        "is not allowed when using host-mode networking",
    );
    wrong.require(
        !(is_in(NetworkMode::Container) && endpoint.container_port.is_none()),
        format!("{path}/containerPort"),
        "is required when using container-mode networking",
    );
    wrong.require(
        !has_duplicates(&endpoint.protocol),
        format!("{path}/protocol"),
        "Duplicate protocols within the same endpoint are not allowed",
    );
    wrong.require(
        endpoint
            .protocol
            .iter()
            .all(|it| it == "tcp" || it == "udp"),
        format!("{path}/protocol"),
        "is not one of (tcp,udp)",
    );
    let networks = pod.networks.iter();
    let names: Vec<_> = networks.filter_map(|it| it.name.as_ref()).collect();
    wrong.require(
        endpoint.network_names.iter().all(|it| names.contains(&it)),
        format!("{path}/networkNames"),
        "must be names of the pod's networks",
    );
    wrong.require(
        names.len() <= 1 || endpoint.host_port.is_none() || endpoint.network_names.len() == 1,
        path,
        "networkNames must be a single item list when hostPort is specified and more than 1 \
         container network is defined",
    );
}

fn endpoints(pod: &Pod, wrong: &mut Violations) {
    let names = pod.endpoints().map(|(_, it)| &it.name);
    wrong.require(
        !has_duplicates(names),
        "/",
        "endpoint names must be unique across all containers",
    );
    let set = |port: Option<u16>| port.filter(|port| *port != 0);
    let inside = pod.endpoints().filter_map(|(_, it)| set(it.container_port));
    wrong.require(
        !has_duplicates(inside),
        "/",
        "container ports must be unique across all containers",
    );
    let on_host = pod.endpoints().filter_map(|(_, it)| set(it.host_port));
    wrong.require(
        !has_duplicates(on_host),
        "/",
        "host ports must be unique across all containers",
    );
}

fn health(container: &PodContainer, check: &Health, path: &str, wrong: &mut Violations) {
    let kinds = [
        check.http.is_some(),
        check.tcp.is_some(),
        check.exec.is_some(),
    ];
    wrong.require(
        kinds.into_iter().filter(|is_it| *is_it).count() == 1,
        path,
        "Only one of http, tcp, or command may be specified",
    );
    if let Some(endpoint) = check.endpoint() {
        wrong.require(
            container.endpoints.iter().any(|it| it.name == endpoint),
            format!("{path}/endpoint"),
            "contained in the container endpoints",
        );
    }
    if let Some(exec) = &check.exec {
        command(&exec.command, format!("{path}/exec/command"), wrong);
    }
    wrong.require(
        check.timeout_seconds < check.interval_seconds,
        format!("{path}/timeoutSeconds"),
        "must be less than intervalSeconds",
    );
}

fn plain_check(container: &PodContainer, check: &PodCheck, path: &str, wrong: &mut Violations) {
    let kinds = [
        check.http.is_some(),
        check.tcp.is_some(),
        check.exec.is_some(),
    ];
    wrong.require(
        kinds.into_iter().filter(|is_it| *is_it).count() == 1,
        path,
        "must have exactly one of http, tcp and exec",
    );
    if let Some(endpoint) = check.endpoint() {
        wrong.require(
            container.endpoints.iter().any(|it| it.name == endpoint),
            format!("{path}/endpoint"),
            "contained in the container endpoints",
        );
    }
    let scheme = check.http.as_ref().and_then(|http| http.scheme.as_deref());
    wrong.require(
        scheme.is_none_or(|scheme| scheme == "HTTP"),
        format!("{path}/http/scheme"),
        "must be HTTP: Mesos makes no checks over HTTPS that only tell",
    );
    if let Some(exec) = &check.exec {
        command(&exec.command, format!("{path}/exec/command"), wrong);
    }
}

fn volumes(pod: &Pod, wrong: &mut Violations) {
    wrong.require(
        !has_duplicates(pod.volumes.iter().map(|it| &it.name)),
        "/volumes",
        "volume names must be unique",
    );
    for (index, volume) in pod.volumes.iter().enumerate() {
        one_volume(pod, volume, &format!("/volumes({index})"), wrong);
    }
}

fn one_volume(pod: &Pod, volume: &PodVolume, path: &str, wrong: &mut Violations) {
    name(&volume.name, format!("{path}/name"), wrong);
    let kinds = [
        volume.host.is_some(),
        volume.persistent.is_some(),
        volume.secret.is_some(),
    ];
    wrong.require(
        kinds.into_iter().filter(|is_it| *is_it).count() <= 1,
        path,
        "must have at most one of host, persistent and secret",
    );
    let mut mounts = pod.containers.iter().flat_map(|it| &it.volume_mounts);
    wrong.require(
        mounts.any(|it| it.name == volume.name),
        path,
        "volume must be referenced by at least one container",
    );
    if let Some(secret) = &volume.secret {
        wrong.require(
            pod.secrets.contains_key(secret),
            path,
            "volume.secret must refer to an existing secret",
        );
    }
    if let Some(persistent) = &volume.persistent {
        one_persistent(persistent, &format!("{path}/persistent"), wrong);
    }
}

fn networks(pod: &Pod, wrong: &mut Violations) {
    let count = |mode| pod.networks.iter().filter(|it| it.mode == mode).count();
    let counts = (
        count(NetworkMode::Host),
        count(NetworkMode::Bridge),
        count(NetworkMode::Container),
    );
    wrong.require(
        matches!(counts, (1, 0, 0) | (0, 1, 0) | (0, 0, 1..)),
        "/networks",
        "May specify a single host network, single bridge network, or else 1-to-n container networks",
    );
    for network in &pod.networks {
        let is_named = network.name.is_some();
        match network.mode {
            NetworkMode::Host => wrong.require(
                !is_named && network.labels.is_empty(),
                "/networks",
                "Host networks may not have names or labels",
            ),
            NetworkMode::Bridge => {
                wrong.require(!is_named, "/networks", "Bridge networks may not have names");
            }
            NetworkMode::Container => {}
        }
    }
    let names = pod.networks.iter().filter_map(|it| it.name.as_ref());
    wrong.require(
        !has_duplicates(names),
        "/networks",
        "Duplicate networks are not allowed",
    );
}

fn scheduling(pod: &Pod, wrong: &mut Violations) {
    let of = &pod.scheduling;
    for (index, constraint) in of.placement.constraints.iter().enumerate() {
        if let Some(error) = constraint_error(&constraint.parts()) {
            let path = format!("/scheduling/placement/constraints({index})");
            wrong.add(path, error);
        }
    }
    let backoff = of.backoff;
    let is_time = |seconds: f64| (0.0..=1e9).contains(&seconds);
    wrong.require(
        is_time(backoff.backoff) && is_time(backoff.max_launch_delay),
        "/scheduling/backoff",
        "times must not be negative",
    );
    wrong.require(
        backoff.backoff_factor.is_finite() && backoff.backoff_factor >= 1.0,
        "/scheduling/backoff/backoffFactor",
        "error.min: must be at least 1",
    );
    for (what, share) in [
        ("minimumHealthCapacity", of.upgrade.minimum_health_capacity),
        ("maximumOverCapacity", of.upgrade.maximum_over_capacity),
    ] {
        wrong.require(
            (0.0..=1.0).contains(&share),
            format!("/scheduling/upgrade/{what}"),
            "must be between 0.0 and 1.0",
        );
    }
    if let UnreachableStrategy::Enabled {
        inactive_after_seconds,
        expunge_after_seconds,
    } = of.unreachable_strategy
    {
        let at = "/scheduling/unreachableStrategy";
        wrong.require(
            !pod.is_resident(),
            at,
            "unreachableStrategy must be disabled for pods with persistent volumes",
        );
        wrong.require(
            expunge_after_seconds >= inactive_after_seconds,
            at,
            "inactiveAfterSeconds must be less or equal to expungeAfterSeconds",
        );
    }
    let roles = &of.placement.accepted_resource_roles;
    let at = "/scheduling/placement/acceptedResourceRoles";
    wrong.require(!has_duplicates(roles), at, "Elements must be unique.");
    wrong.require(
        roles.iter().all(|role| role == "*" || *role == pod.role),
        at,
        format!("must be of \"*\" and the pod's role, \"{}\"", pod.role),
    );
    if pod.is_resident() {
        wrong.require(
            of.upgrade.maximum_over_capacity == 0.0,
            "/scheduling/upgrade/maximumOverCapacity",
            "must be 0 for pods with persistent volumes",
        );
        wrong.require(
            roles.is_empty() || roles.iter().any(|role| role == "*"),
            at,
            "A resident pod must have `acceptedResourceRoles = [\"*\"]`.",
        );
    }
}

fn executor(pod: &Pod, wrong: &mut Violations) {
    let own = pod.executor_resources;
    for (what, amount, least) in [
        ("cpus", own.cpus, 0.1),
        ("mem", own.mem, 32.0),
        ("disk", own.disk, 10.0),
    ] {
        wrong.require(
            amount.is_finite() && amount >= least,
            format!("/executorResources/{what}"),
            format!("error.min: must be at least {least}, is {amount}"),
        );
    }
}
