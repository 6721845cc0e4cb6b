//! Containers, their images and volumes.

use regex::Regex;

use crate::app::{
    App, Container, ContainerKind, CsiAccessMode, External, Persistent, PersistentKind, Volume,
    VolumeMode,
};
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
    external_volumes(app, container, wrong);
}

/// What all external volumes of a container are together.
fn external_volumes(app: &App, container: &Container, wrong: &mut Violations) {
    let external = container.volumes.iter();
    let external = external.filter_map(|volume| Some((volume, volume.external.as_ref()?)));
    let mut names = Vec::new();
    let (mut has_dvdi, mut reason) = (false, None);
    for (volume, external) in external {
        let is_own = match external.csi() {
            None => {
                has_dvdi = true;
                !external.shared.unwrap_or(false)
            }
            Some(Err(_)) => true,
            Some(Ok(csi)) => {
                let mode = csi.capability.access_mode;
                let is_written = volume.mode == Some(VolumeMode::Rw);
                if !mode.is_shareable() {
                    reason = Some("while non-shareable CSI volumes are defined");
                } else if is_written && mode == CsiAccessMode::MultiNodeSingleWriter {
                    let text = "while a multi-node single-writer volume is defined mounted as \
                                read/write";
                    reason.get_or_insert(text);
                }
                !mode.is_shareable()
            }
        };
        if is_own {
            names.extend(external.name.as_ref());
        }
    }
    wrong.require(
        !has_duplicates(names),
        "/container/volumes",
        "Volume names must be unique.",
    );
    wrong.require(
        !has_dvdi || app.instances <= 1,
        "/",
        format!(
            "Number of instances is limited to 1 when declaring DVDI volumes in app [{}]",
            app.id
        ),
    );
    if let Some(reason) = reason.filter(|_| app.instances > 1) {
        let count = app.instances;
        wrong.add(
            "/instances",
            format!("got {count}, expected 1 or less {reason}"),
        );
    }
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
        let kind = app.container.as_ref().map(|it| it.kind);
        one_external(volume, external, kind.unwrap_or_default(), path, wrong);
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

fn one_external(
    volume: &Volume,
    external: &External,
    kind: ContainerKind,
    path: &str,
    wrong: &mut Violations,
) {
    let at = format!("{path}/external");
    let provider = external.provider.as_deref();
    wrong.require(
        matches!(provider, Some("dvdi" | "csi")),
        format!("{at}/provider"),
        "is not one of (dvdi,csi)",
    );
    wrong.require(
        external.name.as_ref().is_some_and(|name| !name.is_empty()),
        format!("{at}/name"),
        "not defined",
    );
    let is_written = volume.mode == Some(VolumeMode::Rw);
    match external.csi() {
        None => {}
        Some(Err(error)) => wrong.add(format!("{at}/options"), error),
        Some(Ok(csi)) => {
            wrong.require(
                !csi.plugin_name.is_empty(),
                format!("{at}/options/pluginName"),
                "must not be empty",
            );
            wrong.require(
                kind == ContainerKind::Mesos,
                &at,
                "CSI volumes are of the Mesos containerizer only",
            );
            wrong.require(
                !(is_written && csi.capability.access_mode.is_read_only()),
                path,
                "CSI volume must be mounted readonly with a read-only access mode",
            );
        }
    }
    if provider != Some("dvdi") {
        return;
    }
    let driver = external.options.get("dvdi/driver");
    wrong.require(
        driver
            .and_then(|driver| driver.as_str())
            .is_some_and(|driver| !driver.is_empty()),
        format!("{at}/options"),
        "must have dvdi/driver",
    );
    wrong.require(
        external.options.values().all(serde_json::Value::is_string),
        format!("{at}/options"),
        "must be texts",
    );
    wrong.require(
        ![".", ".."].contains(&volume.container_path.as_str()),
        format!("{path}/containerPath"),
        "can not be one of (.,..)",
    );
    match kind {
        ContainerKind::Mesos => wrong.require(
            is_written,
            format!("{path}/mode"),
            "must be RW: Mesos mounts volumes of Docker drivers to be written to",
        ),
        ContainerKind::Docker => {
            wrong.require(
                external.options.len() <= 1,
                format!("{at}/options"),
                "must only contain dvdi/driver",
            );
            wrong.require(
                external.size.is_none(),
                format!("{at}/size"),
                "must be undefined for Docker containers",
            );
        }
    }
}
