//! One container of a pod.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::app::{Artifact, EnvValue, LinuxInfo, PullConfig, ResourceLimits, number};

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodContainer {
    /// Its name in the pod.
    pub name: String,
    /// What it runs; without it, what its image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// What it needs.
    #[serde(default)]
    pub resources: Resources,
    /// How much more it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimits>,
    /// Its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Its environment, over that of the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, EnvValue>,
    /// The user that runs it, instead of the pod's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What tells that it is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<Health>,
    /// A check that tells but never kills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<PodCheck>,
    /// What it mounts of the pod's volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// What is fetched into its sandbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// What others want to know of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// Whether it gets a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Settings of the Mesos containerizer, passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux_info: Option<LinuxInfo>,
}

/// What a container needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Processors.
    #[serde(serialize_with = "number::write")]
    pub cpus: f64,
    /// Memory in MiB.
    #[serde(serialize_with = "number::write")]
    pub mem: f64,
    /// Disk in MiB.
    #[serde(serialize_with = "number::write")]
    pub disk: f64,
    /// GPUs.
    pub gpus: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpus: 1.0,
            mem: 128.0,
            disk: 0.0,
            gpus: 0,
        }
    }
}

impl Resources {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |left: f64, right: f64| ((left + right) * 1000.0).round() / 1000.0;
        Self {
            cpus: sum(self.cpus, other.cpus),
            mem: sum(self.mem, other.mem),
            disk: sum(self.disk, other.disk),
            gpus: self.gpus + other.gpus,
        }
    }
}

/// What a container runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exec {
    /// The command.
    pub command: Command,
    /// Whether the first word takes the place of the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_entrypoint: Option<bool>,
}

/// A command, for a shell or as words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// For a shell.
    Shell(String),
    /// As words.
    Argv(Vec<String>),
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its name, of which there is one in the pod.
    pub name: String,
    /// Inside; not with host networking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port: Option<u16>,
    /// On the host; 0 is any, and without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// `tcp`, `udp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocol: Vec<String>,
    /// What others want to know of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The networks it is open in; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_names: Vec<String>,
}

/// The image of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Whose form it has.
    pub kind: ImageKind,
    /// Its name.
    pub id: String,
    /// How to prove that it may be pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_config: Option<PullConfig>,
    /// Whether it is pulled though it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_pull: Option<bool>,
    /// What finds it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Whose form an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ImageKind {
    /// Docker's.
    Docker,
}

/// What tells that a container is healthy; exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Asks over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HealthHttp>,
    /// Connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<HealthTcp>,
    /// Runs a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<HealthExec>,
    /// Time after the start in which failures do not count.
    #[serde(default = "secs::<300>")]
    pub grace_period_seconds: u64,
    /// Time from one check to the next.
    #[serde(default = "secs::<60>")]
    pub interval_seconds: u64,
    /// Failures after which the container is killed; 0 is never.
    #[serde(default = "three")]
    pub max_consecutive_failures: u32,
    /// Time in which the answer must come.
    #[serde(default = "secs::<20>")]
    pub timeout_seconds: u64,
    /// Time from the start to the first check.
    #[serde(default = "secs::<15>")]
    pub delay_seconds: u64,
}

/// A check that tells only; exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodCheck {
    /// Asks over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HealthHttp>,
    /// Connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<HealthTcp>,
    /// Runs a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<HealthExec>,
    /// Time from one check to the next.
    #[serde(default = "secs::<60>")]
    pub interval_seconds: u64,
    /// Time in which the answer must come.
    #[serde(default = "secs::<20>")]
    pub timeout_seconds: u64,
    /// Time from the start to the first check.
    #[serde(default = "secs::<15>")]
    pub delay_seconds: u64,
}

fn secs<const N: u64>() -> u64 {
    N
}

fn three() -> u32 {
    3
}

/// A health check over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthHttp {
    /// The name of the port.
    pub endpoint: String,
    /// The path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `HTTP` or `HTTPS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

/// A health check that connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthTcp {
    /// The name of the port.
    pub endpoint: String,
}

/// A health check that runs a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthExec {
    /// The command.
    pub command: Command,
}

impl Health {
    /// The name of the port that it asks.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        endpoint(self.http.as_ref(), self.tcp.as_ref())
    }
}

impl PodCheck {
    /// The name of the port that it asks.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        endpoint(self.http.as_ref(), self.tcp.as_ref())
    }
}

fn endpoint<'a>(http: Option<&'a HealthHttp>, tcp: Option<&'a HealthTcp>) -> Option<&'a str> {
    let http = http.map(|it| it.endpoint.as_str());
    http.or(tcp.map(|it| it.endpoint.as_str()))
}

/// How a container ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// Seconds between SIGTERM and SIGKILL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_grace_period_seconds: Option<f64>,
}

/// A volume of the pod, inside a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    /// The volume's name in the pod.
    pub name: String,
    /// Where inside.
    pub mount_path: String,
    /// Whether it may only be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}
