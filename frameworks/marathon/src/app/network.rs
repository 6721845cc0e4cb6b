//! The networks and host ports of an app.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A network that an app is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Network {
    /// Its kind.
    #[serde(default)]
    pub mode: NetworkMode,
    /// Its name; of container networks only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What its plugin is told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The kinds of networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NetworkMode {
    /// A named network in which each instance has an address of its own.
    #[default]
    #[serde(rename = "container")]
    Container,
    /// The bridge of the host, with mappings of ports.
    #[serde(rename = "container/bridge")]
    Bridge,
    /// The host's own.
    #[serde(rename = "host")]
    Host,
}

impl Network {
    /// The host's own network.
    #[must_use]
    pub fn host() -> Self {
        Self::of(NetworkMode::Host)
    }

    /// The host's bridge.
    #[must_use]
    pub fn bridge() -> Self {
        Self::of(NetworkMode::Bridge)
    }

    /// A network that others named.
    #[must_use]
    pub fn container(name: Option<String>, labels: BTreeMap<String, String>) -> Self {
        Self {
            name,
            labels,
            ..Self::of(NetworkMode::Container)
        }
    }

    fn of(mode: NetworkMode) -> Self {
        Self {
            mode,
            name: None,
            labels: BTreeMap::new(),
        }
    }
}

/// A port of the host, by which proxies know the app too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortDefinition {
    /// The service port; 0 is replaced by a free one. With `requirePorts` also
    /// the port of the host.
    #[serde(default)]
    pub port: u16,
    /// `tcp`, `udp` or `udp,tcp`.
    #[serde(default = "super::container::tcp")]
    pub protocol: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What others want to know of it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl PortDefinition {
    /// A port over TCP without a name.
    #[must_use]
    pub fn tcp(port: u16) -> Self {
        Self {
            port,
            protocol: super::container::tcp(),
            name: None,
            labels: BTreeMap::new(),
        }
    }
}

/// How requests named a container network before there was `networks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyIpAddress {
    /// The network's name.
    #[serde(default)]
    pub network_name: Option<String>,
    /// What its plugin is told.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The ports in it.
    #[serde(default)]
    pub discovery: LegacyDiscovery,
}

/// The ports of a [`LegacyIpAddress`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct LegacyDiscovery {
    /// Each of them.
    #[serde(default)]
    pub ports: Vec<LegacyDiscoveryPort>,
}

/// A port of a [`LegacyIpAddress`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LegacyDiscoveryPort {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// `tcp` or `udp`.
    #[serde(default = "super::container::tcp")]
    pub protocol: String,
    /// What others want to know of it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}
