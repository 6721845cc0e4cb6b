//! The command line. Flags are taken as Marathon had them, with underscores, and
//! with dashes; each also from the environment as `MARATHON_…`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_service::http::ServerConfig;

use crate::input::{AcceptedRoles, Defaults};
use crate::io::Config;
use crate::state::Settings;
use crate::validate::Features;

/// Runs applications for as long as they are wanted, on Apache Mesos.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "EXAMPLES:\n  \
    marathon --master local\n      \
    everything in one process: a cluster of three agents, the API on port 8080\n  \
    marathon --master zk://zk1:2181,zk2:2181/mesos --data-dir /var/lib/marathon\n\n  \
    curl -X POST localhost:8080/v2/apps -H 'Content-Type: application/json' \\\n       \
    -d '{\"id\": \"hello\", \"cmd\": \"python3 -m http.server $PORT\", \"cpus\": 0.1, \"mem\": 32}'"
)]
pub struct Args {
    /// Where the master is: host:port, zk://.../path, file:///path, or `local`
    #[arg(long, env = "MARATHON_MASTER", value_name = "ADDRESS")]
    pub master: MasterAddress,

    /// Keep the state in this directory; without it, it ends with the process
    #[arg(
        long,
        alias = "data_dir",
        env = "MARATHON_DATA_DIR",
        value_name = "DIR"
    )]
    pub data_dir: Option<PathBuf>,

    /// Listen on this address
    #[arg(long, alias = "http_address", env = "MARATHON_HTTP_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    pub http_address: IpAddr,

    /// Listen on this port; 0 is any
    #[arg(
        long,
        alias = "http_port",
        env = "MARATHON_HTTP_PORT",
        default_value_t = 8080,
        value_name = "PORT"
    )]
    pub http_port: u16,

    /// The name by which others reach this host
    #[arg(
        long,
        env = "MARATHON_HOSTNAME",
        default_value = "localhost",
        value_name = "NAME"
    )]
    pub hostname: String,

    /// Register with Mesos under this name
    #[arg(
        long,
        alias = "framework_name",
        env = "MARATHON_FRAMEWORK_NAME",
        default_value = "marathon",
        value_name = "NAME"
    )]
    pub framework_name: String,

    /// Run tasks as this user of the agents; by default the one that runs this
    #[arg(
        long,
        alias = "mesos_user",
        env = "MARATHON_MESOS_USER",
        value_name = "USER"
    )]
    pub mesos_user: Option<String>,

    /// The role of apps that do not name one
    #[arg(
        long,
        alias = "mesos_role",
        env = "MARATHON_MESOS_ROLE",
        default_value = "*",
        value_name = "ROLE"
    )]
    pub mesos_role: String,

    /// The principal to authenticate with
    #[arg(
        long,
        alias = "mesos_authentication_principal",
        env = "MARATHON_MESOS_AUTHENTICATION_PRINCIPAL",
        value_name = "PRINCIPAL",
        requires = "mesos_authentication_secret_file"
    )]
    pub mesos_authentication_principal: Option<String>,

    /// The file that holds its secret
    #[arg(
        long,
        alias = "mesos_authentication_secret_file",
        env = "MARATHON_MESOS_AUTHENTICATION_SECRET_FILE",
        value_name = "FILE"
    )]
    pub mesos_authentication_secret_file: Option<PathBuf>,

    /// Seconds that Mesos keeps the tasks while there is no Marathon
    #[arg(
        long,
        alias = "failover_timeout",
        env = "MARATHON_FAILOVER_TIMEOUT",
        default_value_t = 604_800,
        value_name = "SECONDS"
    )]
    pub failover_timeout: u64,

    /// The first service port that is given out
    #[arg(
        long,
        alias = "local_port_min",
        env = "MARATHON_LOCAL_PORT_MIN",
        default_value_t = 10_000,
        value_name = "PORT"
    )]
    pub local_port_min: u16,

    /// The last one
    #[arg(
        long,
        alias = "local_port_max",
        env = "MARATHON_LOCAL_PORT_MAX",
        default_value_t = 20_000,
        value_name = "PORT"
    )]
    pub local_port_max: u16,

    /// The network of apps that ask for one without naming it
    #[arg(
        long,
        alias = "default_network_name",
        env = "MARATHON_DEFAULT_NETWORK_NAME",
        value_name = "NAME"
    )]
    pub default_network_name: Option<String>,

    /// What to enable: secrets, external_volumes, gpu_resources
    #[arg(
        long,
        alias = "enable_features",
        env = "MARATHON_ENABLE_FEATURES",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    pub enable_features: Vec<String>,

    /// Deployments that may be on their way at once
    #[arg(
        long,
        alias = "max_running_deployments",
        env = "MARATHON_MAX_RUNNING_DEPLOYMENTS",
        default_value_t = 100,
        value_name = "NUMBER"
    )]
    pub max_running_deployments: usize,

    /// Apps that there may be
    #[arg(
        long,
        alias = "max_apps",
        env = "MARATHON_MAX_APPS",
        value_name = "NUMBER"
    )]
    pub max_apps: Option<usize>,

    /// Milliseconds in which a task must come to run
    #[arg(
        long,
        alias = "task_launch_timeout",
        env = "MARATHON_TASK_LAUNCH_TIMEOUT",
        default_value_t = 300_000,
        value_name = "MS"
    )]
    pub task_launch_timeout: u64,

    /// Launches before more tasks run
    #[arg(
        long,
        alias = "launch_tokens",
        env = "MARATHON_LAUNCH_TOKENS",
        default_value_t = 100,
        value_name = "NUMBER"
    )]
    pub launch_tokens: u32,

    /// What the variables of ports and of the host begin with
    #[arg(
        long,
        alias = "env_vars_prefix",
        env = "MARATHON_ENV_VARS_PREFIX",
        value_name = "PREFIX"
    )]
    pub env_vars_prefix: Option<String>,

    /// Requests at once; more are refused
    #[arg(
        long,
        alias = "http_max_concurrent_requests",
        env = "MARATHON_HTTP_MAX_CONCURRENT_REQUESTS",
        value_name = "NUMBER"
    )]
    pub http_max_concurrent_requests: Option<usize>,

    /// Pages of this origin may ask
    #[arg(
        long,
        alias = "access_control_allow_origin",
        env = "MARATHON_ACCESS_CONTROL_ALLOW_ORIGIN",
        value_name = "ORIGIN"
    )]
    pub access_control_allow_origin: Option<String>,
}

/// A command line that says something that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Args {
    /// How Marathon is to be started.
    ///
    /// # Errors
    ///
    /// When something that was said cannot be.
    pub fn config(&self, user: &str, seed: u64) -> Result<Config, Invalid> {
        let mut features = Features::default();
        for name in &self.enable_features {
            match name.as_str() {
                "secrets" => features.secrets = true,
                "external_volumes" => features.external_volumes = true,
                "gpu_resources" => features.gpu_resources = true,
                // What these enable is always there.
                "vips" | "task_killing" | "" => {}
                other => {
                    return Err(Invalid(format!(
                        "--enable_features: there is no feature {other}; there are secrets, \
                         external_volumes, gpu_resources, vips and task_killing"
                    )));
                }
            }
        }
        if self.local_port_min > self.local_port_max {
            return Err(Invalid(format!(
                "--local_port_min {} is greater than --local_port_max {}",
                self.local_port_min, self.local_port_max
            )));
        }
        let credentials = match (
            &self.mesos_authentication_principal,
            &self.mesos_authentication_secret_file,
        ) {
            (Some(principal), Some(file)) => Some(
                Credentials::basic_from_file(principal, file)
                    .map_err(|error| Invalid(error.to_string()))?,
            ),
            _ => None,
        };
        let user = self.mesos_user.clone().unwrap_or_else(|| user.to_owned());
        let mut server = ServerConfig {
            allow_origin: self.access_control_allow_origin.clone(),
            ..ServerConfig::default()
        };
        server.limits.max_concurrent_requests = self.http_max_concurrent_requests;
        Ok(Config {
            master: self.master.clone(),
            credentials,
            settings: Settings {
                defaults: Defaults {
                    role: self.mesos_role.clone(),
                    network_name: self.default_network_name.clone(),
                    user: None,
                    accepted_roles: AcceptedRoles::default(),
                },
                features,
                service_ports: self.local_port_min..=self.local_port_max,
                max_running_deployments: self.max_running_deployments,
                max_apps: self.max_apps,
                launch_timeout: Duration::from_millis(self.task_launch_timeout),
                launch_tokens: self.launch_tokens,
                env_vars_prefix: self.env_vars_prefix.clone(),
                ..Settings::default()
            },
            data_dir: self.data_dir.clone(),
            http: SocketAddr::new(self.http_address, self.http_port),
            server,
            framework_name: self.framework_name.clone(),
            user,
            failover_timeout: Duration::from_secs(self.failover_timeout),
            hostname: self.hostname.clone(),
            seed,
        })
    }
}
