//! The container an app runs in, its image, volumes and mapped ports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The container an app runs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Who makes it.
    #[serde(default, rename = "type")]
    pub kind: ContainerKind,
    /// Its image, for either of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<Docker>,
    /// What is mounted.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Ports inside, on the host and for proxies; not with host networking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_mappings: Option<Vec<PortMapping>>,
    /// Settings of the Mesos containerizer, passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux_info: Option<super::LinuxInfo>,
}

/// Who makes containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerKind {
    /// The Docker engine of the agent.
    #[default]
    Docker,
    /// Mesos itself.
    Mesos,
}

/// An image and how it is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Docker {
    /// Whether the image is pulled though it is there.
    #[serde(default)]
    pub force_pull_image: bool,
    /// Its name.
    pub image: String,
    /// Words for `docker run`.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Whether it may do what the host's root may.
    #[serde(default)]
    pub privileged: bool,
    /// How to prove that it may be pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_config: Option<PullConfig>,
    /// The network as requests said it before there was `networks`.
    #[serde(default, skip_serializing)]
    pub network: Option<LegacyDockerNetwork>,
    /// What is not taken any more, to be told.
    #[serde(default, skip_serializing)]
    pub credential: Option<Value>,
    /// Mappings where requests had them before.
    #[serde(default, skip_serializing)]
    pub port_mappings: Option<Vec<PortMapping>>,
}

/// A word for `docker run`, without its dashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Such as `hostname`.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The secret that holds a configuration of Docker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullConfig {
    /// Its name in `secrets`.
    pub secret: String,
}

/// `container.docker.network` of old requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LegacyDockerNetwork {
    /// The host's bridge.
    Bridge,
    /// The host's own.
    Host,
    /// No network, which was never supported.
    None,
    /// A named one.
    User,
}

/// A port inside a container, on the host and for proxies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// Inside; 0 is that of the host.
    #[serde(default)]
    pub container_port: u16,
    /// On the host; 0 is any, and without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// For proxies; 0 is replaced by a free one.
    #[serde(default)]
    pub service_port: u16,
    /// `tcp`, `udp` or `udp,tcp`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What others want to know of it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The networks it is open in; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_names: Vec<String>,
}

pub(super) fn tcp() -> String {
    "tcp".to_owned()
}

impl PortMapping {
    /// A port inside, over TCP, open on no port of the host.
    #[must_use]
    pub fn tcp(container_port: u16) -> Self {
        Self {
            container_port,
            host_port: None,
            service_port: 0,
            protocol: tcp(),
            name: None,
            labels: BTreeMap::new(),
            network_names: Vec::new(),
        }
    }
}

/// Something that is mounted: of the host, kept by Mesos, kept by another
/// provider, or a secret; exactly one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Where inside.
    pub container_path: String,
    /// A path of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    /// Whether it may be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<VolumeMode>,
    /// A volume that Mesos keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent: Option<Persistent>,
    /// A volume that another provider keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The name of a secret, mounted as a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Whether a volume may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VolumeMode {
    /// Read and written.
    Rw,
    /// Read.
    Ro,
}

/// A volume that Mesos keeps when the task has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "PersistentInput")]
pub struct Persistent {
    /// On which disk.
    #[serde(rename = "type")]
    pub kind: PersistentKind,
    /// MiB.
    pub size: u64,
    /// MiB at most; of disks that are mounted only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// The profile of the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// Which disks: `["path", "LIKE", "…"]`.
    #[serde(default)]
    pub constraints: Vec<Vec<String>>,
}

/// The same as it is read: a profile is one of disks that are mounted whole.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistentInput {
    #[serde(rename = "type")]
    kind: Option<PersistentKind>,
    size: u64,
    max_size: Option<u64>,
    profile_name: Option<String>,
    #[serde(default)]
    constraints: Vec<Vec<String>>,
}

impl From<PersistentInput> for Persistent {
    fn from(input: PersistentInput) -> Self {
        let by_default = match input.profile_name {
            Some(_) => PersistentKind::Mount,
            None => PersistentKind::Root,
        };
        Self {
            kind: input.kind.unwrap_or(by_default),
            size: input.size,
            max_size: input.max_size,
            profile_name: input.profile_name,
            constraints: input.constraints,
        }
    }
}

/// Kinds of disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersistentKind {
    /// The agent's own.
    #[default]
    Root,
    /// A directory on a disk.
    Path,
    /// A whole disk.
    Mount,
}

/// A volume that another provider keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct External {
    /// Its name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `dvdi` or `csi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What the provider is told.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// Whether several instances may mount it; of `dvdi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
}
