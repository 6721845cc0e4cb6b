//! Checks of instances: of their health, their readiness, and checks that tell
//! only.

use serde::{Deserialize, Serialize};

/// What tells that an instance is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// What is run, of `COMMAND`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<HealthCommand>,
    /// Time after the start in which failures do not count.
    #[serde(default = "secs::<300>")]
    pub grace_period_seconds: u64,
    /// Whether an answer of 100 to 199 counts for nothing.
    #[serde(default, rename = "ignoreHttp1xx")]
    pub ignore_http_1xx: bool,
    /// Time from one check to the next.
    #[serde(default = "secs::<60>")]
    pub interval_seconds: u64,
    /// The family of addresses that executors use.
    #[serde(default, rename = "ipProtocol")]
    pub ip_protocol: IpProtocol,
    /// Failures after which the instance is killed; 0 is never.
    #[serde(default = "three")]
    pub max_consecutive_failures: u32,
    /// The path, of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The port, as a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The port, as its place among the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u32>,
    /// How it is checked, and by whom.
    #[serde(default)]
    pub protocol: HealthProtocol,
    /// Time in which the answer must come.
    #[serde(default = "secs::<20>")]
    pub timeout_seconds: u64,
    /// Time from the start to the first check, of those that executors make.
    #[serde(default = "secs::<15>")]
    pub delay_seconds: u64,
}

fn secs<const N: u64>() -> u64 {
    N
}

fn three() -> u32 {
    3
}

/// How health is checked: by Marathon or, with `MESOS_` and `COMMAND`, by the
/// task's executor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "they are the protocols' names")]
pub enum HealthProtocol {
    #[default]
    Http,
    Https,
    Tcp,
    Command,
    MesosHttp,
    MesosHttps,
    MesosTcp,
}

impl HealthProtocol {
    /// Whether the executor of the task checks.
    #[must_use]
    pub fn is_of_mesos(self) -> bool {
        !matches!(self, Self::Http | Self::Https | Self::Tcp)
    }
}

/// The family of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpProtocol {
    /// IPv4.
    #[default]
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

/// What a health check of type `COMMAND` runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCommand {
    /// The command, for a shell.
    pub value: String,
}

/// A check that executors make and that tells only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Asks over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<CheckHttp>,
    /// Connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<CheckTcp>,
    /// Runs a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<CheckExec>,
    /// Time from one to the next.
    #[serde(default = "secs::<60>")]
    pub interval_seconds: u64,
    /// Time in which the answer must come.
    #[serde(default = "secs::<20>")]
    pub timeout_seconds: u64,
    /// Time from the start to the first.
    #[serde(default = "secs::<15>")]
    pub delay_seconds: u64,
}

/// A check over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckHttp {
    /// The port, as a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The port, as its place among the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u32>,
    /// The path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `HTTP` or `HTTPS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

/// A check that connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckTcp {
    /// The port, as a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The port, as its place among the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u32>,
}

/// A check that runs a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckExec {
    /// The command.
    pub command: CheckCommand,
}

/// A command, for a shell or as words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCommand {
    /// For a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// As words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
}

/// What tells that an instance is ready, during deployments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessCheck {
    /// Its name.
    #[serde(default = "readiness_name")]
    pub name: String,
    /// HTTP or HTTPS.
    #[serde(default)]
    pub protocol: ReadinessProtocol,
    /// The path.
    #[serde(default = "slash")]
    pub path: String,
    /// The name of the port.
    #[serde(default = "http_api")]
    pub port_name: String,
    /// Time from one check to the next.
    #[serde(default = "secs::<30>")]
    pub interval_seconds: u64,
    /// Time in which the answer must come; less than the interval.
    #[serde(default = "secs::<10>")]
    pub timeout_seconds: u64,
    /// Statuses that say ready.
    #[serde(default = "ok_only")]
    pub http_status_codes_for_ready: Vec<u16>,
    /// Whether the last answer is shown.
    #[serde(default)]
    pub preserve_last_response: bool,
}

/// HTTP or HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "they are the protocols' names")]
pub enum ReadinessProtocol {
    #[default]
    Http,
    Https,
}

fn readiness_name() -> String {
    "readinessCheck".to_owned()
}

fn slash() -> String {
    "/".to_owned()
}

fn http_api() -> String {
    "http-api".to_owned()
}

fn ok_only() -> Vec<u16> {
    vec![200]
}
