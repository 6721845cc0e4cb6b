//! The definition of a pod in its canonical form: containers that share an
//! agent, a network and volumes, and start and end together. How a request
//! becomes one is told in `pod/input.rs`, what is asked of one in
//! [`crate::validate`].

mod container;
mod input;

pub use container::{
    Command, Endpoint, Exec, Health, HealthExec, HealthHttp, HealthTcp, Image, ImageKind,
    Lifecycle, PodCheck, PodContainer, Resources, VolumeMount,
};
pub use input::PodInput;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::app::{
    EnvValue, ExecutorResources, KillSelection, LinuxInfo, Network, NetworkMode, Persistent,
    Secret, UnreachableStrategy, UpgradeStrategy, VersionInfo, number,
};
use crate::path_id::PathId;
use crate::timestamp::Timestamp;

/// A pod: which containers run side by side, how many times and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its name.
    pub id: PathId,
    /// What others want to know of it.
    pub labels: BTreeMap<String, String>,
    /// When this definition was made; its name among the versions.
    pub version: Timestamp,
    /// The user of the agent that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The environment of all containers.
    pub environment: BTreeMap<String, EnvValue>,
    /// The containers.
    pub containers: Vec<PodContainer>,
    /// Secrets that the environment and volumes name.
    pub secrets: BTreeMap<String, Secret>,
    /// What containers may mount.
    pub volumes: Vec<PodVolume>,
    /// The networks it is in.
    pub networks: Vec<Network>,
    /// How many are wanted.
    pub scaling: Scaling,
    /// Where and when.
    pub scheduling: Scheduling,
    /// How long a deployment of it may take before it is rolled back by itself;
    /// absent, as long as it takes. Ours; other Marathons do not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_timeout_seconds: Option<u64>,
    /// What its executor takes for itself.
    pub executor_resources: ExecutorResources,
    /// The role of Mesos that its resources are of.
    pub role: String,
    /// Settings of the Mesos containerizer, passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux_info: Option<LinuxInfo>,
    /// Whether its containers share one control group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_shared_cgroups: Option<bool>,
    /// What changed when; the API does not show it of pods.
    pub version_info: VersionInfo,
}

/// How many instances are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// The only kind there is.
    #[serde(default)]
    pub kind: ScalingKind,
    /// So many.
    #[serde(default = "one")]
    pub instances: u32,
}

/// Who says how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScalingKind {
    /// The definition.
    #[default]
    Fixed,
}

fn one() -> u32 {
    1
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            kind: ScalingKind::Fixed,
            instances: 1,
        }
    }
}

/// Where and when instances run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// How long launches wait after failures.
    pub backoff: Backoff,
    /// How many run while a deployment replaces them.
    pub upgrade: UpgradeStrategy,
    /// Where.
    #[serde(default)]
    pub placement: Placement,
    /// Which go first when there are too many.
    #[serde(default)]
    pub kill_selection: KillSelection,
    /// What becomes of instances whose agent is out of reach.
    pub unreachable_strategy: UnreachableStrategy,
}

/// How long launches wait after failures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backoff {
    /// Seconds after the first failure.
    #[serde(serialize_with = "number::write")]
    pub backoff: f64,
    /// The factor by which that grows.
    #[serde(serialize_with = "number::write")]
    pub backoff_factor: f64,
    /// Seconds at most.
    #[serde(serialize_with = "number::write")]
    pub max_launch_delay: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            backoff: 1.0,
            backoff_factor: 1.15,
            max_launch_delay: 300.0,
        }
    }
}

/// Where instances run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Placement {
    /// On which agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<PodConstraint>,
    /// Roles whose resources may be used; empty, as the flags say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted_resource_roles: Vec<String>,
}

/// A constraint as pods write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodConstraint {
    /// What of an agent is looked at.
    pub field_name: String,
    /// How.
    pub operator: String,
    /// With what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl PodConstraint {
    /// As apps write it.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        let parts = [self.field_name.clone(), self.operator.clone()];
        parts.into_iter().chain(self.value.clone()).collect()
    }
}

/// Something that the containers of a pod may mount: of the host, kept by
/// Mesos, a secret, or, with none of them, a directory that goes with the
/// instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodVolume {
    /// Its name in the pod.
    pub name: String,
    /// A path of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A volume that Mesos keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent: Option<Persistent>,
    /// The name of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl Pod {
    /// Whether its instances keep volumes when their tasks end.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.volumes.iter().any(|it| it.persistent.is_some())
    }

    /// Whether it shares the network of its hosts.
    #[must_use]
    pub fn has_host_network(&self) -> bool {
        let mut modes = self.networks.iter().map(|network| network.mode);
        modes.all(|mode| mode == NetworkMode::Host)
    }

    /// A container by its name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&PodContainer> {
        self.containers.iter().find(|it| it.name == name)
    }

    /// Every endpoint with the container that it is of. The ports of an
    /// instance are in this order.
    pub fn endpoints(&self) -> impl Iterator<Item = (&PodContainer, &Endpoint)> {
        let containers = self.containers.iter();
        containers.flat_map(|it| it.endpoints.iter().map(move |endpoint| (it, endpoint)))
    }

    /// The ports that an instance has on its host, in the order of endpoints: 0
    /// for those that have none there.
    pub fn endpoint_ports<'a>(
        &'a self,
        ports: &'a [u16],
    ) -> impl Iterator<Item = (&'a PodContainer, &'a Endpoint, Option<u16>)> {
        let ports = ports.iter().copied().chain(std::iter::repeat(0));
        let with_ports = self.endpoints().zip(ports);
        with_ports.map(|((container, endpoint), port)| {
            (container, endpoint, Some(port).filter(|port| *port != 0))
        })
    }

    /// What all containers and the executor ask for together.
    #[must_use]
    pub fn total(&self) -> Resources {
        let own = Resources {
            cpus: self.executor_resources.cpus,
            mem: self.executor_resources.mem,
            disk: self.executor_resources.disk,
            gpus: 0,
        };
        let containers = self.containers.iter();
        containers.fold(own, |sum, it| sum.and(it.resources))
    }
}
