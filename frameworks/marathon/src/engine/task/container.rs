//! The container of an app's task, its networks, and what others may find of its
//! ports.

use mesos_sdk::v1;

use crate::app::{App, Container, ContainerKind, NetworkMode, PortMapping};
use crate::state::Settings;

use super::{label, labels, pod, secret, volumes};

/// The container of an app's task.
pub(super) fn info(
    app: &App,
    container: &Container,
    task_id: &str,
    ports: &[u16],
    settings: &Settings,
) -> v1::ContainerInfo {
    let mut info = v1::ContainerInfo {
        volumes: volumes::volumes(app, container),
        tty_info: app.tty.filter(|tty| *tty).map(|_| v1::TtyInfo::default()),
        ..v1::ContainerInfo::default()
    };
    match container.kind {
        ContainerKind::Mesos => {
            info.r#type = v1::container_info::Type::Mesos.into();
            info.network_infos = networks(app, ports, settings);
            info.linux_info = container
                .linux_info
                .as_ref()
                .map(|info| pod::linux_info(Some(info)));
            let image = container.docker.as_ref();
            let image = image.map(|docker| v1::Image {
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
            });
            info.mesos = Some(v1::container_info::MesosInfo { image });
        }
        ContainerKind::Docker => {
            info.r#type = v1::container_info::Type::Docker.into();
            // The engine takes the name of one, and nothing else.
            let named = app.networks.iter().find_map(|it| it.name.clone());
            let named = named.map(|name| v1::NetworkInfo {
                name: Some(name),
                ..v1::NetworkInfo::default()
            });
            info.network_infos = named.into_iter().collect();
            info.docker = container
                .docker
                .as_ref()
                .map(|docker| docker_info(app, docker, task_id, ports));
        }
    }
    info
}

/// The networks of a container that Mesos makes, with the ports of the host that
/// lead into each.
fn networks(app: &App, ports: &[u16], settings: &Settings) -> Vec<v1::NetworkInfo> {
    let networks = app.networks.iter().filter_map(|network| {
        let name = match network.mode {
            NetworkMode::Host => return None,
            NetworkMode::Bridge => settings.defaults.bridge_name.clone(),
            NetworkMode::Container => network.name.clone()?,
        };
        let mappings = app.port_mappings().iter().zip(ports);
        let mappings = mappings.filter(|(mapping, _)| {
            let names = &mapping.network_names;
            mapping.host_port.is_some() && names.iter().all(|it| *it == name)
        });
        let mappings = mappings.flat_map(|(mapping, port)| {
            let protocols = mapping.protocol.split(',');
            protocols.map(|protocol| v1::network_info::PortMapping {
                host_port: u32::from(*port),
                container_port: u32::from(container_port(mapping, *port)),
                protocol: Some(protocol.to_owned()),
            })
        });
        Some(v1::NetworkInfo {
            port_mappings: mappings.collect(),
            // One address, whichever.
            ip_addresses: vec![v1::network_info::IpAddress::default()],
            labels: Some(labels(&network.labels)),
            name: Some(name),
            ..v1::NetworkInfo::default()
        })
    });
    networks.collect()
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

/// What others may find of an app's task.
pub(super) fn discovery(app: &App, host_ports: &[u16]) -> v1::DiscoveryInfo {
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
            if mapping.host_port.is_some() {
                those.labels.push(label("network-scope", "host"));
                add(*port, &mapping.name, &mapping.protocol, those);
                continue;
            }
            those.labels.push(label("network-scope", "container"));
            let of_app = app.networks.iter().filter_map(|it| it.name.as_ref());
            let networks: Vec<&String> = match mapping.network_names.as_slice() {
                [] => of_app.collect(),
                named => named.iter().collect(),
            };
            for network in networks {
                let mut those = those.clone();
                those.labels.push(label("network-name", network));
                let number = mapping.container_port;
                add(number, &mapping.name, &mapping.protocol, those);
            }
        }
    }
    v1::DiscoveryInfo {
        visibility: v1::discovery_info::Visibility::Framework.into(),
        name: Some(app.id.to_dotted()),
        ports: Some(v1::Ports { ports }),
        ..v1::DiscoveryInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(networks: serde_json::Value, container: serde_json::Value) -> App {
        let mut app = App::new("/a".parse().unwrap(), "*", Default::default());
        app.networks = serde_json::from_value(networks).unwrap();
        app.container = Some(serde_json::from_value(container).unwrap());
        app
    }

    fn infos(app: &App, ports: &[u16]) -> Vec<v1::NetworkInfo> {
        let container = app.container.as_ref().unwrap();
        info(app, container, "t", ports, &Settings::default()).network_infos
    }

    #[test]
    fn containers_that_mesos_makes_are_in_their_networks_with_their_ports() {
        let mappings = json!([
            {"containerPort": 80, "hostPort": 0, "networkNames": ["one"], "protocol": "udp,tcp"},
            {"containerPort": 0, "hostPort": 0, "networkNames": ["two"]},
            {"containerPort": 90},
        ]);
        let container = json!({"type": "MESOS", "portMappings": mappings});
        let two = app(
            json!([{"mode": "container", "name": "one", "labels": {"a": "b"}},
                {"mode": "container", "name": "two"}]),
            container.clone(),
        );
        let all = infos(&two, &[31_000, 31_001, 0]);
        let shown: Vec<_> = all
            .iter()
            .map(|info| {
                let mappings = info.port_mappings.iter();
                let mappings = mappings.map(|it| (it.host_port, it.container_port, it.protocol()));
                (info.name(), mappings.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("one", vec![(31_000, 80, "udp"), (31_000, 80, "tcp")]),
                ("two", vec![(31_001, 31_001, "tcp")]),
            ]
        );
        let bridge = app(json!([{"mode": "container/bridge"}]), container);
        assert_eq!(
            infos(&bridge, &[31_000, 31_001, 0])[0].name(),
            "mesos-bridge"
        );
        let ports = discovery(&two, &[31_000, 31_001, 0]).ports.unwrap().ports;
        let labels = |port: &v1::Port| -> Vec<String> {
            let labels = port.labels.iter().flat_map(|it| &it.labels);
            labels
                .map(|it| format!("{}={}", it.key, it.value()))
                .collect()
        };
        assert_eq!(
            ports.len(),
            5,
            "one for each protocol, and each network inside"
        );
        assert_eq!(labels(&ports[0]), ["network-scope=host"]);
        assert_eq!(ports[4].number, 90);
        assert_eq!(
            labels(&ports[4]),
            ["network-scope=container", "network-name=two"]
        );
    }

    #[test]
    fn the_engine_is_told_the_name_of_a_network() {
        let app = app(
            json!([{"mode": "container", "name": "own", "labels": {"a": "b"}}]),
            json!({"type": "DOCKER", "docker": {"image": "i"}}),
        );
        let infos = infos(&app, &[]);
        assert_eq!((infos.len(), infos[0].name()), (1, "own"));
        assert!(infos[0].labels.is_none());
    }
}
