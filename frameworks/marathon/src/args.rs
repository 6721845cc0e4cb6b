//! The command line: what the original took, with underscores or with dashes,
//! and each flag as `MARATHON_..` in the environment, too.

mod config;
mod retired;

use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};
use mesos_sdk::address::MasterAddress;
use mesos_service::flags::{self, FlagRules, FlagsError, HttpFlags, Parsed, Secret};

pub use config::Invalid;

const RULES: FlagRules = FlagRules {
    prefix: "MARATHON_",
    environment: HttpFlags::ENVIRONMENT,
    retired: retired::FLAGS,
};

/// Runs applications for as long as they are wanted, on Apache Mesos.
#[derive(Debug, Parser)]
#[command(
    name = "marathon",
    version,
    rename_all = "snake_case",
    after_help = "Flags may be written with dashes too, and as MARATHON_<FLAG> in the \
    environment. --disable_<flag> turns off what is on.\n\n\
    EXAMPLES:\n  \
    marathon --master local\n      \
    everything in one process: a cluster of three agents, the API on port 8080\n  \
    marathon --master mesos:5050 --data_dir /var/lib/marathon\n      \
    one Marathon, which keeps its state in a file\n  \
    marathon --master zk://zk1:2181,zk2:2181/mesos --zk zk://zk1:2181,zk2:2181/marathon\n      \
    one of several, of which one leads\n\n  \
    curl -X POST localhost:8080/v2/apps -H 'Content-Type: application/json' \\\n       \
    -d '{\"id\": \"hello\", \"cmd\": \"python3 -m http.server $PORT\", \"cpus\": 0.1, \"mem\": 32}'\n\n\
    EXIT STATUS: 0 when told to end, 100 when ZooKeeper cannot be reached, 103 when it does not \
    lead any more, 106 when the master does not take the framework, 108 when the state has \
    tasks and not the id of their framework, 110 when the master has removed the framework, \
    111 when a port cannot be listened on, 112 for a command line that cannot be, 1 for \
    everything else. Supervisors should start it again."
)]
pub struct Args {
    /// Where the master is: host:port, http://.., zk://../path, file:///path, or `local`
    #[arg(long, value_name = "ADDRESS")]
    pub master: MasterAddress,

    /// Keep the state in ZooKeeper and elect a leader there: zk://host:port,../path, with user:password@ before the hosts where it asks for them
    #[arg(long, value_name = "ADDRESS")]
    pub zk: Option<Secret>,
    /// Keep the state in a file of this directory, for one instance
    #[arg(long, value_name = "DIR", conflicts_with = "zk")]
    pub data_dir: Option<PathBuf>,
    /// Milliseconds after which ZooKeeper takes a silent instance for dead
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub zk_session_timeout: u64,
    /// Milliseconds that connecting to ZooKeeper may take
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub zk_connection_timeout: u64,
    /// Versions of an app that are kept
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub zk_max_versions: usize,

    #[expect(
        missing_docs,
        reason = "clap would take it for the command's description"
    )]
    #[command(flatten)]
    pub http: HttpFlags,
    /// Events that a reader may be behind before it is cut off
    #[arg(long, value_name = "NUMBER", default_value_t = 1024)]
    pub event_stream_max_outstanding_messages: u64,
    /// Followers pass the stream of events on rather than send readers to the leader
    #[arg(long, default_value_t = false, action = ArgAction::Set, hide_possible_values = true)]
    pub proxy_events: bool,
    /// Where people find the page of this instance
    #[arg(long, value_name = "URL")]
    pub webui_url: Option<String>,
    /// Where people find the page of the master
    #[arg(long, value_name = "URL")]
    pub mesos_leader_ui_url: Option<String>,

    /// Register with Mesos under this name
    #[arg(long, value_name = "NAME", default_value = "marathon")]
    pub framework_name: String,
    /// Run tasks as this user of the agents; by default the one that runs this
    #[arg(long, value_name = "USER")]
    pub mesos_user: Option<String>,
    /// The role of apps that do not name one
    #[arg(long, value_name = "ROLE", default_value = "*")]
    pub mesos_role: String,
    /// Seconds that Mesos keeps the tasks while there is no Marathon
    #[arg(long, value_name = "SECONDS", default_value_t = 604_800)]
    pub failover_timeout: u64,
    /// Tasks survive a restart of their agent
    #[arg(long, default_value_t = true, action = ArgAction::Set, hide_possible_values = true)]
    pub checkpoint: bool,
    /// Authenticate with the master; follows from the principal
    #[arg(long, default_value_t = false, action = ArgAction::Set, hide_possible_values = true, requires_if("true", "mesos_authentication_principal"))]
    pub mesos_authentication: bool,
    /// The principal to register and to authenticate with
    #[arg(long, value_name = "PRINCIPAL")]
    pub mesos_authentication_principal: Option<String>,
    /// Its secret; every user of this machine may see it here
    #[arg(
        long,
        value_name = "SECRET",
        requires = "mesos_authentication_principal",
        conflicts_with = "mesos_authentication_secret_file"
    )]
    pub mesos_authentication_secret: Option<Secret>,
    /// The file that holds its secret
    #[arg(long, value_name = "FILE", requires = "mesos_authentication_principal")]
    pub mesos_authentication_secret_file: Option<PathBuf>,

    /// What to enable: secrets, external_volumes, gpu_resources
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub enable_features: Vec<String>,
    /// The executor of apps that name none; //cmd is Mesos's own
    #[arg(long, value_name = "PATH", default_value = "//cmd")]
    pub executor: String,
    /// Roles of the resources that apps use which do not say
    #[arg(
        long,
        value_name = "ROLES",
        value_delimiter = ',',
        conflicts_with = "accepted_resource_roles_default_behavior"
    )]
    pub default_accepted_resource_roles: Vec<String>,
    /// Which resources apps use that do not say
    #[arg(long, value_enum, default_value_t = Resources::Any)]
    pub accepted_resource_roles_default_behavior: Resources,
    /// Whose apps must be of the group's role: those of no new group, or of new ones at the top
    #[arg(long, value_enum, default_value_t = EnforceRole::Off)]
    pub new_group_enforce_role: EnforceRole,
    /// The network of apps that ask for one without naming it
    #[arg(long, value_name = "NAME")]
    pub default_network_name: Option<String>,
    /// The network that Mesos knows as the bridge of its hosts
    #[arg(long, value_name = "NAME", default_value = "mesos-bridge")]
    pub mesos_bridge_name: String,
    /// What the variables of ports and of the host begin with
    #[arg(long, value_name = "PREFIX")]
    pub env_vars_prefix: Option<String>,
    /// The first service port that is given out
    #[arg(long, value_name = "PORT", default_value_t = 10_000)]
    pub local_port_min: u16,
    /// The last one
    #[arg(long, value_name = "PORT", default_value_t = 20_000)]
    pub local_port_max: u16,
    /// Apps that there may be
    #[arg(long, value_name = "NUMBER")]
    pub max_apps: Option<usize>,
    /// Deployments that may be on their way at once
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub max_running_deployments: usize,

    /// Milliseconds until a launch that nobody answers is given up
    #[arg(long, value_name = "MS", default_value_t = 300_000)]
    pub task_launch_confirm_timeout: u64,
    /// Milliseconds in which a task must come to run
    #[arg(long, value_name = "MS", default_value_t = 300_000)]
    pub task_launch_timeout: u64,
    /// Launches before more tasks run
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub launch_tokens: u32,
    /// Milliseconds until there may be as many again
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    pub launch_token_refresh_interval: u64,
    /// Milliseconds for which an offer that is of no use is not to be made again
    #[arg(long, value_name = "MS", default_value_t = 120_000)]
    pub decline_offer_duration: u64,
    /// Launch nothing on agents that are to be unavailable
    #[arg(long, default_value_t = true, action = ArgAction::Set, hide_possible_values = true)]
    pub maintenance_mode: bool,
    /// Seconds before an agent is to be unavailable in which nothing is launched there any more
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub draining_seconds: u64,
    /// Whether agents with GPUs are for apps that want some only
    #[arg(long, value_enum, default_value_t = GpuScheduling::Restricted)]
    pub gpu_scheduling_behavior: GpuScheduling,
    /// Tell the master when nothing is wanted
    #[arg(long, default_value_t = true, action = ArgAction::Set, hide_possible_values = true)]
    pub suppress_offers: bool,
    /// Health checks of its own that may be open at once
    #[arg(long, value_name = "NUMBER", default_value_t = 256)]
    pub max_concurrent_marathon_health_checks: usize,

    /// What names of metrics begin with
    #[arg(long, value_name = "PREFIX", default_value = "marathon")]
    pub metrics_name_prefix: String,
    /// Show metrics to Prometheus at /metrics/prometheus
    #[arg(long, default_value_t = true, action = ArgAction::Set, hide_possible_values = true)]
    pub metrics_prometheus: bool,
    /// How much is logged: off, error, warn, info, debug or trace; RUST_LOG says more
    #[arg(long, value_name = "LEVEL")]
    pub logging_level: Option<String>,
}

/// Which resources apps use that do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Resources {
    /// Those reserved for their role, and the others.
    Any,
    /// Those that are not reserved.
    Unreserved,
    /// Those reserved for their role.
    Reserved,
}

/// What agents with GPUs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GpuScheduling {
    /// Apps that want GPUs.
    Restricted,
    /// All apps.
    Unrestricted,
}

/// Which new groups enforce their role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnforceRole {
    /// None.
    Off,
    /// Those at the top.
    Top,
}

/// Reads the command line, which begins after the program's name, and the
/// environment.
///
/// # Errors
///
/// When they are no good, and when help is asked for.
pub fn parse(
    arguments: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Parsed<Args>, FlagsError> {
    flags::parse(&RULES, arguments, environment)
}

#[cfg(test)]
mod tests;
