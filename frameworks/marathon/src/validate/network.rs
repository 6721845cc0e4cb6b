//! Networks and ports.

use crate::app::{App, ContainerKind, NetworkMode};
use crate::violations::Violations;

use super::has_duplicates;

/// Protocols of ports.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "udp,tcp"];

pub(super) fn validate(app: &App, wrong: &mut Violations) {
    networks(app, wrong);
    if app.has_host_network() {
        wrong.require(
            app.port_mappings().is_empty(),
            "/container",
            "portMappings are not allowed with host-networking",
        );
        definitions(app, wrong);
    } else {
        let definitions = app.port_definitions.iter().flatten();
        wrong.require(
            definitions.count() == 0,
            "/portDefinitions",
            "portDefinitions are only allowed with host-networking",
        );
        mappings(app, wrong);
    }
}

fn networks(app: &App, wrong: &mut Violations) {
    let count = |mode| app.networks.iter().filter(|it| it.mode == mode).count();
    let (hosts, bridges, containers) = (
        count(NetworkMode::Host),
        count(NetworkMode::Bridge),
        count(NetworkMode::Container),
    );
    let at = "/networks";
    wrong.require(
        matches!(
            (hosts, bridges, containers),
            (1, 0, 0) | (0, 1, 0) | (0, 0, 1..)
        ),
        at,
        "May specify a single host network, single bridge network, or else 1-to-n container networks",
    );
    for network in &app.networks {
        match network.mode {
            NetworkMode::Host => wrong.require(
                network.name.is_none() && network.labels.is_empty(),
                at,
                "Host networks may not have names or labels",
            ),
            NetworkMode::Bridge => wrong.require(
                network.name.is_none(),
                at,
                "Bridge networks may not have names",
            ),
            NetworkMode::Container => {}
        }
    }
    let named = app
        .networks
        .iter()
        .filter_map(|network| network.name.as_ref());
    wrong.require(
        !has_duplicates(named),
        at,
        "Duplicate networks are not allowed",
    );
    let is_docker = app
        .container
        .as_ref()
        .is_some_and(|it| it.kind == ContainerKind::Docker);
    wrong.require(
        !is_docker || containers <= 1,
        "/",
        "may only specify a single container network when using the Docker container engine",
    );
}

fn definitions(app: &App, wrong: &mut Violations) {
    let Some(definitions) = &app.port_definitions else {
        return;
    };
    let at = "/portDefinitions";
    wrong.require(
        !has_duplicates(definitions.iter().filter_map(|it| it.name.as_ref())),
        at,
        "Port names must be unique.",
    );
    let fixed = definitions
        .iter()
        .map(|it| it.port)
        .filter(|port| *port != 0);
    wrong.require(!has_duplicates(fixed), at, "Ports must be unique.");
    for (index, definition) in definitions.iter().enumerate() {
        protocol(&definition.protocol, &format!("{at}({index})"), wrong);
        if let Some(name) = &definition.name {
            port_name(name, &format!("{at}({index})"), wrong);
        }
    }
}

fn mappings(app: &App, wrong: &mut Violations) {
    let mappings = app.port_mappings();
    let at = "/container/portMappings";
    wrong.require(
        !has_duplicates(mappings.iter().filter_map(|it| it.name.as_ref())),
        at,
        "Port names must be unique.",
    );
    let networks = app.networks.iter();
    let names: Vec<_> = networks
        .filter_map(|network| network.name.as_deref())
        .collect();
    for (index, mapping) in mappings.iter().enumerate() {
        let path = format!("{at}({index})");
        protocol(&mapping.protocol, &path, wrong);
        if let Some(name) = &mapping.name {
            port_name(name, &path, wrong);
        }
        for (place, name) in mapping.network_names.iter().enumerate() {
            wrong.require(
                names.contains(&name.as_str()),
                format!("{path}/networkNames({place})"),
                format!("is not one of ({})", names.join(",")),
            );
        }
        wrong.require(
            mapping.host_port.is_none() || names.len() <= 1 || mapping.network_names.len() == 1,
            path,
            "networkNames must be a single item list when hostPort is specified and more than 1 \
             container network is defined",
        );
    }
}

fn protocol(protocol: &str, path: &str, wrong: &mut Violations) {
    wrong.require(
        PROTOCOLS.contains(&protocol),
        format!("{path}/protocol"),
        "is not one of (tcp,udp,udp,tcp)",
    );
}

fn port_name(name: &str, path: &str, wrong: &mut Violations) {
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    wrong.require(
        is_name,
        format!("{path}/name"),
        "must contain only alphanumeric chars or hyphens, and must begin with a letter",
    );
}
