//! What an agent is told when it starts, and the limits it keeps to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mesos_sdk::v1;

use crate::security::TokenKey;

use crate::agent::EngineAddress;

/// Everything an agent has to know before it can register.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The host name that offers show.
    pub hostname: String,
    /// Where the agent's HTTP API answers; tasks see it in their environment.
    pub address: SocketAddr,
    /// What the agent offers.
    pub resources: Vec<v1::Resource>,
    /// What constraints can look at.
    pub attributes: Vec<v1::Attribute>,
    /// Region and zone, when there are any.
    pub domain: Option<v1::DomainInfo>,
    /// The agent's own directory: sandboxes, cached downloads.
    pub work_dir: PathBuf,
    /// The master's address as `/flags` shows it.
    pub master: String,
    /// The version of Mesos whose behaviour is followed.
    pub version: String,
    /// `--resources` as `/flags` shows it.
    pub resources_flag: String,
    /// `--attributes` as `/flags` shows it.
    pub attributes_flag: String,
    /// Where ids and uuids come from: the same seed gives the same ids.
    pub seed: u64,
    /// Tasks run as the user their command or framework names; needs root.
    pub switch_user: bool,
    /// Signs the tokens that executors show, where they have to.
    pub tokens: Option<TokenKey>,
    /// Whether the agent's HTTP API is in TLS.
    pub is_https: bool,
    /// The executors of commands use the executor API.
    pub http_command_executor: bool,
    /// Where the Docker engine listens that runs containers.
    pub docker: EngineAddress,
    /// Limits and delays.
    pub limits: AgentLimits,
}

impl AgentConfig {
    /// `slave(1)@ip:port`, the name under which Mesos knows the agent's process.
    #[must_use]
    pub fn pid(&self) -> String {
        format!("slave(1)@{}", self.address)
    }
}

/// Delays and bounds, by default those of Mesos (`src/slave/constants.hpp`).
#[derive(Debug, Clone, PartialEq)]
pub struct AgentLimits {
    /// How long after a status update was sent it is sent again.
    pub update_retry_min: Duration,
    /// The delay doubles up to this one.
    pub update_retry_max: Duration,
    /// How long after an unanswered registration the next one is sent.
    pub registration_retry: Duration,
    /// The registration delay doubles up to this one.
    pub registration_retry_max: Duration,
    /// Between SIGTERM and SIGKILL where the kill policy does not say.
    pub kill_grace: Duration,
    /// How long an executor may take to subscribe after it was started.
    pub executor_registration_timeout: Duration,
    /// How long it may take to subscribe again when the agent was away.
    pub executor_reregistration_timeout: Duration,
    /// How long executors wait for an agent that is away.
    pub recovery_timeout: Duration,
    /// How long it may take to end when it was told to.
    pub executor_shutdown_grace: Duration,
    /// How often it is told that the connection lives.
    pub executor_heartbeat: Duration,
    /// How many bytes of events wait for an executor that reads slowly.
    pub executor_buffer_bytes: usize,
    /// Ended frameworks that are remembered.
    pub max_completed_frameworks: usize,
    /// Ended executors of one framework that are remembered.
    pub max_completed_executors: usize,
    /// Sandboxes that are kept of executors that are not remembered.
    pub max_forgotten_sandboxes: usize,
    /// The most bytes one URI may have.
    pub max_fetch_bytes: u64,
    /// The most files that one archive may hold.
    pub max_fetch_files: usize,
    /// How long fetching one URI may take.
    pub fetch_timeout: Duration,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self {
            update_retry_min: Duration::from_secs(10),
            update_retry_max: Duration::from_secs(600),
            registration_retry: Duration::from_secs(1),
            registration_retry_max: Duration::from_secs(60),
            kill_grace: Duration::from_secs(3),
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(2),
            recovery_timeout: Duration::from_secs(15 * 60),
            executor_shutdown_grace: Duration::from_secs(5),
            executor_heartbeat: Duration::from_secs(30 * 60),
            executor_buffer_bytes: 64 << 20,
            max_completed_frameworks: 50,
            max_completed_executors: 150,
            max_forgotten_sandboxes: 2500,
            max_fetch_bytes: 4 << 30,
            max_fetch_files: 1_000_000,
            fetch_timeout: Duration::from_secs(600),
        }
    }
}
