//! Containers as clients send them.

use crate::job::{
    Container, ContainerKind, ExternalVolume, NetworkInfo, NetworkMode, Pair, PortMapping, Volume,
    VolumeMode,
};

use super::fields::Fields;

/// Without an image there is none, as clients send an empty form; what else such
/// a container says would be lost.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Container> {
    let mut inner = fields.object("container")?;
    let image = inner.text("image");
    let says_more = ["networkName", "networkInfos", "volumes", "parameters"];
    let says_more = says_more.iter().any(|name| inner.is_said(name));
    if image.is_empty() && says_more {
        inner.wrong("image", "a container needs one");
    }
    let kind = choice(
        &mut inner,
        "type",
        &[
            ("DOCKER", ContainerKind::Docker),
            ("MESOS", ContainerKind::Mesos),
        ],
    );
    let network = choice(
        &mut inner,
        "network",
        &[
            ("HOST", NetworkMode::Host),
            ("BRIDGE", NetworkMode::Bridge),
            ("USER", NetworkMode::User),
        ],
    );
    let container = Container {
        kind: kind.unwrap_or(ContainerKind::Docker),
        image,
        network: network.unwrap_or(NetworkMode::Host),
        network_name: inner.optional_text("networkName"),
        network_infos: each(&mut inner, "networkInfos", network_info),
        volumes: each(&mut inner, "volumes", volume),
        force_pull_image: inner.switch("forcePullImage", false),
        parameters: each(&mut inner, "parameters", pair),
    };
    let is_mesos = container.kind == ContainerKind::Mesos;
    if is_mesos && !container.parameters.is_empty() {
        inner.wrong("parameters", "only Docker's containers have some");
    }
    fields.adopt("container", inner);
    (!container.image.is_empty()).then_some(container)
}

fn each<T>(fields: &mut Fields<'_>, name: &str, read: impl Fn(&mut Fields<'_>) -> T) -> Vec<T> {
    let mut all = Vec::new();
    for mut item in fields.objects(name) {
        all.push(read(&mut item));
        fields.adopt(name, item);
    }
    all
}

fn choice<T: Copy>(fields: &mut Fields<'_>, name: &str, choices: &[(&str, T)]) -> Option<T> {
    let text = fields.text(name);
    if text.is_empty() {
        return None;
    }
    let found = choices
        .iter()
        .find(|(choice, _)| choice.eq_ignore_ascii_case(&text));
    if found.is_none() {
        let all: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        fields.wrong(name, &format!("'{text}' is none of {}", all.join(", ")));
    }
    found.map(|(_, value)| *value)
}

fn network_info(fields: &mut Fields<'_>) -> NetworkInfo {
    let name = fields.text("name");
    if name.is_empty() {
        fields.wrong("name", "a network needs one");
    }
    let protocols = [("IPv4", "IPv4"), ("IPv6", "IPv6")];
    NetworkInfo {
        name,
        protocol: choice(fields, "protocol", &protocols).map(str::to_owned),
        labels: each(fields, "labels", pair),
        port_mappings: each(fields, "portMappings", port_mapping),
    }
}

fn port_mapping(fields: &mut Fields<'_>) -> PortMapping {
    let mut port = |name: &str| {
        let number = fields.whole(name).unwrap_or(0);
        u16::try_from(number).unwrap_or_else(|_| {
            fields.wrong(name, &format!("{number} is no port"));
            0
        })
    };
    PortMapping {
        host_port: port("hostPort"),
        container_port: port("containerPort"),
        protocol: fields.optional_text("protocol"),
    }
}

fn volume(fields: &mut Fields<'_>) -> Volume {
    let container_path = fields.text("containerPath");
    if container_path.is_empty() {
        fields.wrong("containerPath", "it says where the volume is inside");
    }
    let modes = [("RW", VolumeMode::ReadWrite), ("RO", VolumeMode::ReadOnly)];
    let external = fields.object("external").map(|mut inner| {
        let external = ExternalVolume {
            name: inner.text("name"),
            provider: inner.text("provider"),
            options: each(&mut inner, "options", pair),
        };
        fields.adopt("external", inner);
        external
    });
    Volume {
        host_path: fields.optional_text("hostPath"),
        container_path,
        mode: choice(fields, "mode", &modes),
        external,
    }
}

fn pair(fields: &mut Fields<'_>) -> Pair {
    Pair {
        key: fields.text("key"),
        value: fields.text("value"),
    }
}
