//! Containers, their images and volumes.

use regex::Regex;

use crate::app::{App, Container, ContainerKind, External, Persistent, PersistentKind, Volume};
use crate::violations::Violations;

use super::{Features, has_duplicates, not_enabled};

pub(super) fn validate(app: &App, features: Features, wrong: &mut Violations) {
    let Some(container) = &app.container else {
        return;
    };
    image(app, container, wrong);
    wrong.require(
        container.kind == ContainerKind::Mesos || container.linux_info.is_none(),
        "/container/linuxInfo",
        "is of the Mesos containerizer only",
    );
    for (index, volume) in container.volumes.iter().enumerate() {
        let path = format!("/container/volumes({index})");
        one_volume(app, volume, features, &path, wrong);
    }
    let external = container
        .volumes
        .iter()
        .filter_map(|volume| volume.external.as_ref());
    let unshared = external.filter(|external| !external.shared);
    wrong.require(
        !has_duplicates(unshared.filter_map(|external| external.name.as_ref())),
        "/container/volumes",
        "Volume names must be unique.",
    );
}

fn image(app: &App, container: &Container, wrong: &mut Violations) {
    let Some(docker) = &container.docker else {
        wrong.require(
            container.kind == ContainerKind::Mesos,
            "/container/docker",
            "not defined",
        );
        return;
    };
    wrong.require(
        !docker.image.is_empty(),
        "/container/docker/image",
        "must not be empty",
    );
    if let Some(pull) = &docker.pull_config {
        wrong.require(
            container.kind == ContainerKind::Mesos,
            "/container/docker/pullConfig",
            "pullConfig is not supported with Docker containerizer",
        );
        wrong.require(
            app.secrets.contains_key(&pull.secret),
            "/container/docker/pullConfig",
            "pullConfig.secret must refer to an existing secret",
        );
    }
}

fn one_volume(app: &App, volume: &Volume, features: Features, path: &str, wrong: &mut Violations) {
    let kinds = [
        volume.host_path.is_some(),
        volume.persistent.is_some(),
        volume.external.is_some(),
        volume.secret.is_some(),
    ];
    let count = kinds.into_iter().filter(|is_it| *is_it).count();
    wrong.require(
        count == 1,
        path,
        "must have exactly one of hostPath, persistent, external and secret",
    );
    wrong.require(
        !volume.container_path.is_empty(),
        format!("{path}/containerPath"),
        "must not be empty",
    );
    wrong.require(
        volume.secret.is_some() || volume.mode.is_some(),
        format!("{path}/mode"),
        "must be RO or RW",
    );
    if let Some(persistent) = &volume.persistent {
        let is_dots = [".", ".."].contains(&volume.container_path.as_str());
        wrong.require(
            !is_dots,
            format!("{path}/containerPath"),
            "can not be one of (.,..)",
        );
        wrong.require(
            !volume.container_path.contains('/'),
            format!("{path}/containerPath"),
            "value must not contain \"/\"",
        );
        one_persistent(persistent, &format!("{path}/persistent"), wrong);
    }
    if let Some(external) = &volume.external {
        wrong.require(
            features.external_volumes,
            "/",
            not_enabled("external_volumes"),
        );
        one_external(external, &format!("{path}/external"), wrong);
    }
    if let Some(secret) = &volume.secret {
        wrong.require(
            app.secrets.contains_key(secret),
            path,
            "volume.secret must refer to an existing secret",
        );
    }
}

pub(super) fn one_persistent(persistent: &Persistent, path: &str, wrong: &mut Violations) {
    wrong.require(
        persistent.size > 0,
        format!("{path}/size"),
        "must be greater than 0",
    );
    wrong.require(
        persistent.kind != PersistentKind::Root || persistent.constraints.is_empty(),
        format!("{path}/constraints"),
        "Constraints on root volumes are not supported",
    );
    if let Some(max) = persistent.max_size {
        wrong.require(
            persistent.kind == PersistentKind::Mount,
            path,
            "Only mount volumes can have maxSize",
        );
        wrong.require(
            max > persistent.size,
            path,
            "Max size must be larger than size",
        );
    }
    for (index, constraint) in persistent.constraints.iter().enumerate() {
        let path = format!("{path}/constraints({index})");
        let words: Vec<_> = constraint.iter().map(String::as_str).collect();
        match words[..] {
            ["path", "LIKE" | "UNLIKE", value] => {
                wrong.require(
                    Regex::new(value).is_ok(),
                    path,
                    "Invalid regular expression",
                );
            }
            ["path", _, _] => wrong.add(path, "Operator must be one of LIKE, UNLIKE"),
            _ => wrong.add(path, format!("Unsupported constraint {}", words.join(","))),
        }
    }
}

fn one_external(external: &External, path: &str, wrong: &mut Violations) {
    let provider = external.provider.as_deref();
    wrong.require(
        matches!(provider, Some("dvdi" | "csi")),
        format!("{path}/provider"),
        "is not one of (dvdi,csi)",
    );
    wrong.require(
        external.name.as_ref().is_some_and(|name| !name.is_empty()),
        format!("{path}/name"),
        "not defined",
    );
    if provider == Some("dvdi") {
        wrong.require(
            external.options.contains_key("dvdi/driver"),
            format!("{path}/options"),
            "must have dvdi/driver",
        );
    }
}
