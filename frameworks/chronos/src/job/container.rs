//! What a job runs in.

use serde::{Deserialize, Serialize};

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Who makes it.
    #[serde(rename = "type")]
    pub kind: ContainerKind,
    /// What is in it.
    pub image: String,
    /// How it reaches others.
    pub network: NetworkMode,
    /// The network's name, in the older form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_name: Option<String>,
    /// The networks that it is in.
    pub network_infos: Vec<NetworkInfo>,
    /// What of the agent and elsewhere it sees.
    pub volumes: Vec<Volume>,
    /// Whether the image is fetched again each time.
    pub force_pull_image: bool,
    /// Flags of Docker's command line.
    pub parameters: Vec<Pair>,
}

/// Who makes a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerKind {
    /// The Docker engine.
    Docker,
    /// The agent.
    Mesos,
}

/// How a container reaches others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NetworkMode {
    /// As the agent does.
    Host,
    /// Over a bridge.
    Bridge,
    /// By a network that has a name.
    User,
}

/// A network that a container is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInfo {
    /// Its name.
    pub name: String,
    /// `IPv4` or `IPv6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// For whatever makes the network.
    pub labels: Vec<Pair>,
    /// Ports of the agent that lead inside.
    pub port_mappings: Vec<PortMapping>,
}

/// A port of the agent that leads inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// Outside.
    pub host_port: u16,
    /// Inside.
    pub container_port: u16,
    /// `tcp` or `udp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// Something that a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Where it is on the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    /// Where it is inside.
    pub container_path: String,
    /// Whether it may be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<VolumeMode>,
    /// Somewhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalVolume>,
}

/// Whether a volume may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeMode {
    /// It may.
    #[serde(rename = "RW")]
    ReadWrite,
    /// It may not.
    #[serde(rename = "RO")]
    ReadOnly,
}

/// A volume that some driver brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalVolume {
    /// Its name.
    pub name: String,
    /// The driver.
    pub provider: String,
    /// For the driver.
    pub options: Vec<Pair>,
}

/// A key and a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}
