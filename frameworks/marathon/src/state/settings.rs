//! How Marathon was started, as far as its decisions depend on it.

use std::ops::RangeInclusive;
use std::time::Duration;

use mesos_sdk::placement::Gpus;

use crate::input::Defaults;
use crate::validate::Features;

/// How Marathon was started, as far as its decisions depend on it. The defaults
/// are those of the flags.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What definitions get that do not say it themselves.
    pub defaults: Defaults,
    /// What is enabled.
    pub features: Features,
    /// Whether apps in new groups at the top have their group's role.
    pub new_groups_enforce_role: bool,
    /// Where service ports are taken from.
    pub service_ports: RangeInclusive<u16>,
    /// How many deployments may be on their way at once.
    pub max_running_deployments: usize,
    /// How many apps there may be.
    pub max_apps: Option<usize>,
    /// How many versions of an app are kept.
    pub max_versions: usize,
    /// Until a launch that nobody answers is given up.
    pub launch_confirm_timeout: Duration,
    /// Until a task that does not come to run is killed.
    pub launch_timeout: Duration,
    /// Until the end of a task is asked for again.
    pub kill_retry: Duration,
    /// How many launches there may be before more tasks run.
    pub launch_tokens: u32,
    /// When there may be as many again.
    pub launch_token_refresh: Duration,
    /// How long an offer that is of no use is not to be made again.
    pub decline_duration: Duration,
    /// How long offers are kept for what may come.
    pub offer_hold: Duration,
    /// How long before agents are to be unavailable nothing is launched there any
    /// more; nothing where that is of no interest.
    pub maintenance: Option<Duration>,
    /// What agents with GPUs are for.
    pub gpu_agents: Gpus,
    /// The executor of apps that name none.
    pub executor: String,
    /// Whether the master is told when nothing is wanted.
    pub suppress_offers: bool,
    /// The principal that reservations are made as.
    pub principal: Option<String>,
    /// What the variables of ports and of the host begin with.
    pub env_vars_prefix: Option<String>,
    /// How many checks of health and readiness may be open at once.
    pub max_concurrent_probes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            defaults: Defaults::default(),
            features: Features::default(),
            new_groups_enforce_role: false,
            service_ports: 10_000..=20_000,
            max_running_deployments: 100,
            max_apps: None,
            max_versions: 50,
            launch_confirm_timeout: Duration::from_secs(300),
            launch_timeout: Duration::from_secs(300),
            kill_retry: Duration::from_secs(30),
            launch_tokens: 100,
            launch_token_refresh: Duration::from_secs(30),
            decline_duration: Duration::from_secs(120),
            offer_hold: Duration::from_secs(2),
            maintenance: Some(Duration::ZERO),
            gpu_agents: Gpus::Restricted,
            executor: String::new(),
            suppress_offers: true,
            principal: None,
            env_vars_prefix: None,
            max_concurrent_probes: 256,
        }
    }
}
