//! The definition of an app in its canonical form: what is stored, compared and
//! answered. How requests become one is told in [`crate::input`], what is asked
//! of one in [`crate::validate`].

mod container;
mod csi;
mod health;
mod linux;
mod network;
pub(crate) mod number;
mod policy;

pub use container::{
    Container, ContainerKind, Docker, External, LegacyDockerNetwork, Parameter, Persistent,
    PersistentKind, PortMapping, PullConfig, Volume, VolumeMode,
};
pub use csi::{CsiAccessMode, CsiAccessType, CsiCapability, CsiOptions};
pub use health::{
    Check, CheckCommand, CheckExec, CheckHttp, CheckTcp, HealthCheck, HealthCommand,
    HealthProtocol, IpProtocol, ReadinessCheck, ReadinessProtocol,
};
pub use linux::{IpcInfo, IpcMode, LinuxInfo, Seccomp};
pub use network::{LegacyIpAddress, Network, NetworkMode, PortDefinition};
pub use policy::{KillSelection, Limit, ResourceLimits, UnreachableStrategy, UpgradeStrategy};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::path_id::PathId;
use crate::timestamp::Timestamp;

/// An application: what is to run, how many times and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// Its name.
    pub id: PathId,
    /// Roles whose resources may be used; absent, as the flags say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_resource_roles: Option<Vec<String>>,
    /// Words that are run without a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// The factor by which the delay of launches grows.
    #[serde(serialize_with = "number::write")]
    pub backoff_factor: f64,
    /// The first delay of a launch after a failure.
    pub backoff_seconds: u64,
    /// A check of Mesos that tells but never kills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// What is run by a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// Where instances may run: field, operator and often a value.
    pub constraints: Vec<Vec<String>>,
    /// The container they run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Processors of an instance.
    #[serde(serialize_with = "number::write")]
    pub cpus: f64,
    /// How long a deployment of it may take before it is rolled back by itself;
    /// absent, as long as it takes. Ours; other Marathons do not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_timeout_seconds: Option<u64>,
    /// Apps and groups that are deployed before this one.
    pub dependencies: Vec<PathId>,
    /// Disk of an instance in MiB.
    #[serde(serialize_with = "number::write")]
    pub disk: f64,
    /// The environment of an instance.
    pub env: BTreeMap<String, EnvValue>,
    /// A custom executor: empty, `//cmd` or a path.
    pub executor: String,
    /// What a custom executor takes for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_resources: Option<ExecutorResources>,
    /// What is fetched into the sandbox.
    pub fetch: Vec<Artifact>,
    /// What tells that an instance is healthy.
    pub health_checks: Vec<HealthCheck>,
    /// GPUs of an instance.
    pub gpus: u32,
    /// How many are wanted.
    pub instances: u32,
    /// Which go first when there are too many.
    pub kill_selection: KillSelection,
    /// What others want to know of the app.
    pub labels: BTreeMap<String, String>,
    /// The longest delay of a launch.
    pub max_launch_delay_seconds: u64,
    /// Memory of an instance in MiB.
    #[serde(serialize_with = "number::write")]
    pub mem: f64,
    /// The networks it is in.
    pub networks: Vec<Network>,
    /// Whether one instance runs on every agent that the constraints admit,
    /// instead of a number of them. Ours; other Marathons do not know it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_every_agent: bool,
    /// Ports of the host; with host networking only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_definitions: Option<Vec<PortDefinition>>,
    /// What tells that an instance is ready for the next one of a deployment.
    pub readiness_checks: Vec<ReadinessCheck>,
    /// Whether the host's ports must be those of the definitions.
    pub require_ports: bool,
    /// How much more an instance may use than it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimits>,
    /// The role of Mesos that its resources are of.
    pub role: String,
    /// Secrets that the environment and volumes name.
    pub secrets: BTreeMap<String, Secret>,
    /// How long an instance that fails its health checks is kept at most until
    /// another, started for it, is healthy; absent, it is killed at once. Ours;
    /// other Marathons do not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_before_kill_seconds: Option<u64>,
    /// Time between SIGTERM and SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_kill_grace_period_seconds: Option<u64>,
    /// Whether it gets a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// What becomes of instances whose agent is out of reach.
    pub unreachable_strategy: UnreachableStrategy,
    /// How many run at least and at most while a deployment replaces them.
    pub upgrade_strategy: UpgradeStrategy,
    /// The user of the agent that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When this definition was made; its name among the versions.
    pub version: Timestamp,
    /// What changed when.
    pub version_info: VersionInfo,
}

/// When an app was last scaled and last changed otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// Its number of instances, or anything else.
    pub last_scaling_at: Timestamp,
    /// Anything but the number of instances.
    pub last_config_change_at: Timestamp,
}

/// A value of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvValue {
    /// This text.
    Text(String),
    /// What a secret of the app holds.
    Secret {
        /// The secret's name in `secrets`.
        secret: String,
    },
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name in the store of secrets.
    pub source: String,
}

/// What a custom executor takes for itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutorResources {
    /// Processors.
    #[serde(serialize_with = "number::write")]
    pub cpus: f64,
    /// Memory in MiB.
    #[serde(serialize_with = "number::write")]
    pub mem: f64,
    /// Disk in MiB.
    #[serde(serialize_with = "number::write")]
    pub disk: f64,
}

impl Default for ExecutorResources {
    fn default() -> Self {
        Self {
            cpus: 0.1,
            mem: 32.0,
            disk: 10.0,
        }
    }
}

/// Something that is fetched into the sandbox before a task starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Where it is.
    pub uri: String,
    /// Whether archives are unpacked.
    #[serde(default = "yes")]
    pub extract: bool,
    /// Whether it may be executed.
    #[serde(default)]
    pub executable: bool,
    /// Whether the agent keeps it for the next one.
    #[serde(default)]
    pub cache: bool,
    /// Its name in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dest_path: Option<String>,
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The label that says that an app has one instance at most, ever.
pub const SINGLE_INSTANCE_LABEL: &str = "MARATHON_SINGLE_INSTANCE_APP";

impl App {
    /// An app with every default, of one instance, without a command.
    #[must_use]
    pub fn new(id: PathId, role: &str, now: Timestamp) -> Self {
        Self {
            id,
            accepted_resource_roles: None,
            args: None,
            backoff_factor: 1.15,
            backoff_seconds: 1,
            check: None,
            cmd: None,
            constraints: Vec::new(),
            container: None,
            cpus: 1.0,
            deployment_timeout_seconds: None,
            dependencies: Vec::new(),
            disk: 0.0,
            env: BTreeMap::new(),
            executor: String::new(),
            executor_resources: None,
            fetch: Vec::new(),
            health_checks: Vec::new(),
            gpus: 0,
            instances: 1,
            kill_selection: KillSelection::default(),
            labels: BTreeMap::new(),
            max_launch_delay_seconds: 300,
            mem: 128.0,
            networks: vec![Network::host()],
            on_every_agent: false,
            port_definitions: None,
            readiness_checks: Vec::new(),
            require_ports: false,
            resource_limits: None,
            role: role.to_owned(),
            secrets: BTreeMap::new(),
            start_before_kill_seconds: None,
            task_kill_grace_period_seconds: None,
            tty: None,
            unreachable_strategy: UnreachableStrategy::default(),
            upgrade_strategy: UpgradeStrategy::default(),
            user: None,
            version: now,
            version_info: VersionInfo {
                last_scaling_at: now,
                last_config_change_at: now,
            },
        }
    }

    /// Whether its instances keep volumes when their tasks end.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.volumes().any(|volume| volume.persistent.is_some())
    }

    /// Whether a volume of another provider is mounted.
    #[must_use]
    pub fn has_external_volumes(&self) -> bool {
        self.volumes().any(|volume| volume.external.is_some())
    }

    /// The volumes of other providers that no two instances may mount at once:
    /// their places among the volumes, their providers and names.
    pub fn exclusive_volumes(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.volumes().enumerate().filter_map(|(index, volume)| {
            let external = volume.external.as_ref()?;
            let is_shared = match external.csi() {
                Some(Ok(csi)) => {
                    let mode = csi.capability.access_mode;
                    let is_written = volume.mode == Some(VolumeMode::Rw);
                    mode.is_shareable()
                        && !(is_written && mode == CsiAccessMode::MultiNodeSingleWriter)
                }
                Some(Err(_)) => false,
                None => external.shared.unwrap_or(false),
            };
            let named = external.provider.as_deref().zip(external.name.as_deref());
            let (provider, name) = named.filter(|_| !is_shared)?;
            Some((index, provider, name))
        })
    }

    /// Whether a volume is mounted that no two instances may mount at once, or
    /// that a Docker driver keeps.
    #[must_use]
    pub fn has_exclusive_volumes(&self) -> bool {
        let mut external = self.volumes().filter_map(|volume| volume.external.as_ref());
        let is_csi = |it: &External| it.provider.as_deref() == Some("csi");
        self.is_resident()
            || external.any(|it| !is_csi(it))
            || self.exclusive_volumes().next().is_some()
    }

    /// Whether there may never be two instances of it.
    #[must_use]
    pub fn is_single_instance(&self) -> bool {
        self.labels
            .get(SINGLE_INSTANCE_LABEL)
            .is_some_and(|value| value == "true")
    }

    /// Whether it shares the network of its hosts.
    #[must_use]
    pub fn has_host_network(&self) -> bool {
        let mut modes = self.networks.iter().map(|network| network.mode);
        modes.all(|mode| mode == NetworkMode::Host)
    }

    /// The mappings of its ports; with other than host networking only.
    #[must_use]
    pub fn port_mappings(&self) -> &[PortMapping] {
        let container = self.container.as_ref();
        let mappings = container.and_then(|container| container.port_mappings.as_deref());
        mappings.unwrap_or_default()
    }

    /// The ports by which proxies know it, in the order of its ports.
    #[must_use]
    pub fn service_ports(&self) -> Vec<u16> {
        if self.has_host_network() {
            let ports = self.port_definitions.iter().flatten();
            ports.map(|definition| definition.port).collect()
        } else {
            let mappings = self.port_mappings().iter();
            mappings.map(|mapping| mapping.service_port).collect()
        }
    }

    /// The same, to be changed.
    pub fn service_ports_mut(&mut self) -> Vec<&mut u16> {
        if self.has_host_network() {
            let ports = self.port_definitions.iter_mut().flatten();
            ports.map(|definition| &mut definition.port).collect()
        } else {
            let containers = self.container.iter_mut();
            let mappings = containers.flat_map(|it| it.port_mappings.iter_mut().flatten());
            mappings.map(|mapping| &mut mapping.service_port).collect()
        }
    }

    /// The ports that an instance wants on its host, in the order of its ports:
    /// 0 is any, and nothing where a port has none on the host.
    #[must_use]
    pub fn host_ports(&self) -> Vec<Option<u16>> {
        if self.has_host_network() {
            let definitions = self.port_definitions.iter().flatten();
            let fixed = |port| if self.require_ports { port } else { 0 };
            definitions.map(|it| Some(fixed(it.port))).collect()
        } else {
            self.port_mappings().iter().map(|it| it.host_port).collect()
        }
    }

    /// How many ports an instance has.
    #[must_use]
    pub fn port_count(&self) -> usize {
        if self.has_host_network() {
            self.port_definitions.as_ref().map_or(0, Vec::len)
        } else {
            self.port_mappings().len()
        }
    }

    /// Whether its instances are to be replaced when it becomes `next`: whether
    /// anything that concerns them is another.
    #[must_use]
    pub fn is_upgrade(&self, next: &Self) -> bool {
        let mut same = self.clone();
        same.instances = next.instances;
        same.deployment_timeout_seconds = next.deployment_timeout_seconds;
        same.start_before_kill_seconds = next.start_before_kill_seconds;
        same.version = next.version;
        same.version_info = next.version_info;
        same != *next
    }

    /// Whether instances are to be replaced though nothing but their number may
    /// differ: a restart was asked for.
    #[must_use]
    pub fn needs_restart(&self, next: &Self) -> bool {
        self.version_info != next.version_info && self.instances == next.instances
    }

    fn volumes(&self) -> impl Iterator<Item = &Volume> {
        let containers = self.container.iter();
        containers.flat_map(|container| &container.volumes)
    }
}
