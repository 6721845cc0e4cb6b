//! Old forms of a definition become today's: `uris`, `ports`, `ipAddress` and
//! the network and ports of `container.docker`.

use crate::app::{
    App, Artifact, Container, ContainerKind, LegacyDockerNetwork, LegacyIpAddress, Network,
    NetworkMode, PortDefinition, PortMapping,
};
use crate::violations::Violations;

use super::AppInput;

/// Suffixes of what is unpacked when it was named by `uris`.
const ARCHIVES: [&str; 9] = [
    ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip",
];

/// The input in today's form. `base` is what it changes.
pub(super) fn modernised(
    mut input: AppInput,
    base: &App,
    bridge_name: &str,
    wrong: &mut Violations,
) -> AppInput {
    contradictions(&input, wrong);
    fetch(&mut input);
    docker(&mut input, wrong);
    ip_address(&mut input, bridge_name, wrong);
    ports(&mut input, base, wrong);
    input.residency = None;
    input
}

/// Whether there is anything in a list.
fn is_some<T>(list: Option<&Vec<T>>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}

fn contradictions(input: &AppInput, wrong: &mut Violations) {
    let docker = input.container.as_ref().and_then(|it| it.docker.as_ref());
    let has_docker_network = docker.is_some_and(|docker| docker.network.is_some());
    wrong.require(
        !is_some(input.uris.as_ref()) || !is_some(input.fetch.as_ref()),
        "/uris",
        "may not be set in conjunction with fetch",
    );
    wrong.require(
        !(has_docker_network && is_some(input.networks.as_ref())),
        "/",
        "must not specify both container.docker.network and networks",
    );
    wrong.require(
        !(input.ip_address.is_some() && is_some(input.networks.as_ref())),
        "/",
        "must not specify both networks and ipAddress",
    );
    let fixed: Vec<u16> = input.ports.iter().flatten().copied().collect();
    let fixed: Vec<u16> = fixed.into_iter().filter(|port| *port != 0).collect();
    let unlike: std::collections::BTreeSet<&u16> = fixed.iter().collect();
    wrong.require(unlike.len() == fixed.len(), "/", "ports must be unique");
    wrong.require(
        docker.is_none_or(|docker| docker.credential.is_none()),
        "/container/docker/credential",
        "must be empty",
    );
    let of_mesos = input
        .container
        .as_ref()
        .filter(|it| it.kind == ContainerKind::Mesos);
    if let Some(docker) = of_mesos.and_then(|it| it.docker.as_ref()) {
        let (at, empty) = ("/container/docker", "must be empty");
        wrong.require(docker.network.is_none(), format!("{at}/network"), empty);
        wrong.require(
            docker.port_mappings.as_ref().is_none_or(Vec::is_empty),
            format!("{at}/portMappings"),
            empty,
        );
        wrong.require(
            docker.parameters.is_empty(),
            format!("{at}/parameters"),
            empty,
        );
    }
}

fn fetch(input: &mut AppInput) {
    let Some(uris) = input.uris.take() else {
        return;
    };
    if uris.is_empty() && input.fetch.is_some() {
        return;
    }
    let artifacts = uris.into_iter().map(|uri| {
        let path = uri.split(['?', '#']).next().unwrap_or_default();
        Artifact {
            extract: ARCHIVES.iter().any(|suffix| path.ends_with(suffix)),
            uri,
            executable: false,
            cache: false,
            dest_path: None,
        }
    });
    input.fetch = Some(artifacts.collect());
}

/// `container.docker.network` and `container.docker.portMappings`.
fn docker(input: &mut AppInput, wrong: &mut Violations) {
    let Some(container) = input.container.as_mut() else {
        return;
    };
    let Some(docker) = container.docker.as_mut() else {
        return;
    };
    let mappings = docker.port_mappings.take();
    let network = docker.network.take();
    if mappings.as_ref().is_some_and(|it| !it.is_empty())
        && container
            .port_mappings
            .as_ref()
            .is_some_and(|it| !it.is_empty())
    {
        wrong.add(
            "/container",
            "cannot specify both portMappings and docker.portMappings",
        );
    }
    if mappings.is_some() && container.port_mappings.is_none() {
        container.port_mappings = mappings;
    }
    if network.is_none() {
        return;
    }
    // With it the address only says more of the network.
    let address = input.ip_address.take().unwrap_or_default();
    wrong.require(
        address.discovery.ports.is_empty(),
        "/ipAddress",
        "ipAddress/discovery is not allowed for Docker containers",
    );
    match network {
        None => {}
        Some(LegacyDockerNetwork::Host) => {
            container.port_mappings = None;
            input.networks = Some(vec![Network::host()]);
        }
        Some(LegacyDockerNetwork::Bridge) => {
            input.networks = Some(vec![Network {
                labels: address.labels,
                ..Network::bridge()
            }]);
        }
        Some(LegacyDockerNetwork::User) => {
            input.networks = Some(vec![Network::container(
                address.network_name,
                address.labels,
            )]);
        }
        Some(LegacyDockerNetwork::None) => {
            wrong.add(
                "/container/docker/network",
                "unsupported docker network type NONE",
            );
        }
    }
}

fn ip_address(input: &mut AppInput, bridge_name: &str, wrong: &mut Violations) {
    let Some(address) = input.ip_address.take() else {
        return;
    };
    let has_ports = is_some(input.ports.as_ref()) || is_some(input.port_definitions.as_ref());
    wrong.require(
        !has_ports,
        "/",
        "cannot specify both an IP address and port",
    );
    let LegacyIpAddress {
        network_name,
        labels,
        discovery,
    } = address;
    let container = input.container.get_or_insert_with(mesos_container);
    if !discovery.ports.is_empty() {
        wrong.require(
            container.kind == ContainerKind::Mesos,
            "/ipAddress",
            "ipAddress/discovery is not allowed for Docker containers",
        );
        wrong.require(
            !is_some(container.port_mappings.as_ref()),
            "/container",
            "container.portMappings and ipAddress.discovery.ports must not both be set",
        );
        let mappings = discovery.ports.into_iter().map(|port| PortMapping {
            name: Some(port.name),
            protocol: port.protocol,
            labels: port.labels,
            ..PortMapping::tcp(port.number)
        });
        container.port_mappings = Some(mappings.collect());
    }
    input.networks = Some(vec![match network_name.as_deref() {
        Some(name) if name == bridge_name => Network {
            labels,
            ..Network::bridge()
        },
        _ => Network::container(network_name, labels),
    }]);
}

pub(super) fn mesos_container() -> Container {
    Container {
        kind: ContainerKind::Mesos,
        docker: None,
        volumes: Vec::new(),
        port_mappings: None,
        linux_info: None,
    }
}

fn ports(input: &mut AppInput, base: &App, wrong: &mut Violations) {
    let Some(ports) = input.ports.take() else {
        return;
    };
    let networks = input.networks.as_ref().unwrap_or(&base.networks);
    let is_host = networks.iter().all(|it| it.mode == NetworkMode::Host);
    if is_host {
        let said = input.port_definitions.as_ref().map(|definitions| {
            let ports = definitions.iter().map(|definition| definition.port);
            ports.collect::<Vec<_>>()
        });
        match said {
            None => {
                let definitions = ports.into_iter().map(PortDefinition::tcp);
                input.port_definitions = Some(definitions.collect());
            }
            Some(said) => wrong.require(
                said == ports,
                "/",
                "cannot specify both ports and port definitions",
            ),
        }
        return;
    }
    // Elsewhere they only ask for as many mappings.
    let container = match input.container.as_mut() {
        Some(container) => container,
        None => input
            .container
            .insert(base.container.clone().unwrap_or_else(mesos_container)),
    };
    let mappings = container.port_mappings.get_or_insert_default();
    while mappings.len() < ports.len() {
        mappings.push(PortMapping::tcp(0));
    }
}
