//! The command line: what the original took, with underscores or with dashes,
//! and each flag as `CHRONOS_..` in the environment, too.

mod config;
mod retired;

use std::path::PathBuf;

use clap::{ArgAction, Parser};
use mesos_sdk::address::MasterAddress;
use mesos_service::flags::{self, FlagRules, FlagsError, HttpFlags, Parsed, Secret};

pub use config::Invalid;

const RULES: FlagRules = FlagRules {
    prefix: "CHRONOS_",
    environment: HttpFlags::ENVIRONMENT,
    retired: retired::FLAGS,
};

/// Runs jobs when they are due, or after the jobs they depend on, on Apache Mesos.
#[derive(Debug, Parser)]
#[command(
    name = "chronos",
    version,
    rename_all = "snake_case",
    after_help = "Flags may be written with dashes too, and as CHRONOS_<FLAG> in the \
    environment. --disable_<flag> turns off what is on.\n\n\
    EXAMPLES:\n  \
    chronos --master local\n      \
    everything in one process: a cluster of three agents, the API on port 8080\n  \
    chronos --master mesos:5050 --data_dir /var/lib/chronos\n      \
    one Chronos, which keeps its state in a file\n  \
    chronos --master zk://zk1:2181,zk2:2181/mesos --zk_hosts zk1:2181,zk2:2181\n      \
    one of several, of which one leads\n\n  \
    curl -X POST localhost:8080/v1/scheduler/iso8601 -H 'Content-Type: application/json' \\\n       \
    -d '{\"name\": \"hello\", \"command\": \"echo hello\", \"schedule\": \"R//PT10S\"}'\n  \
    curl -X POST localhost:8080/v1/scheduler/iso8601 -H 'Content-Type: application/json' \\\n       \
    -d '{\"name\": \"report\", \"command\": \"make report\", \"cron\": \"30 6 * * mon-fri\", \
    \"scheduleTimeZone\": \"Europe/Berlin\"}'\n\n\
    EXIT STATUS: 0 when told to end, 2 for a command line that cannot be, 103 when it does not \
    lead any more, 1 for everything else. Supervisors should start it again."
)]
pub struct Args {
    /// Where the master is: host:port, http://.., zk://../path, file:///path, or `local`
    #[arg(long, value_name = "ADDRESS", default_value = "local")]
    pub master: MasterAddress,

    /// Keep the state in ZooKeeper and elect a leader there: host:port,.. or zk://host:port,../path
    #[arg(long, value_name = "HOSTS")]
    pub zk_hosts: Option<Secret>,
    /// The path in ZooKeeper, unless it is in --zk_hosts
    #[arg(long, value_name = "PATH", default_value = "/chronos/state")]
    pub zk_path: String,
    /// user:password for ZooKeeper
    #[arg(long, value_name = "CREDENTIALS")]
    pub zk_auth: Option<Secret>,
    /// Milliseconds after which ZooKeeper takes a silent instance for dead, and that connecting may take
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub zk_timeout: u64,
    /// Keep the state in a file of this directory, for one instance. Without it and --zk_hosts: in memory with --master local, else in /var/lib/chronos, or ~/.local/state/chronos of users other than root
    #[arg(long, value_name = "DIR", conflicts_with = "zk_hosts")]
    pub data_dir: Option<PathBuf>,

    #[expect(
        missing_docs,
        reason = "clap would take it for the command's description"
    )]
    #[command(flatten)]
    pub http: HttpFlags,
    /// Where people find the page of this instance
    #[arg(long, value_name = "URL")]
    pub webui_url: Option<String>,

    /// Register with Mesos under this name
    #[arg(long, value_name = "NAME", default_value = "chronos")]
    pub mesos_framework_name: String,
    /// Run tasks as this user of the agents; by default the one that runs this
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// The role of which resources are used
    #[arg(long, value_name = "ROLE", default_value = "*")]
    pub mesos_role: String,
    /// Seconds that Mesos keeps the tasks while there is no Chronos
    #[arg(long, value_name = "SECONDS", default_value_t = 604_800)]
    pub failover_timeout: u64,
    /// Tasks survive a restart of their agent
    #[arg(long, default_value_t = true, action = ArgAction::Set, hide_possible_values = true)]
    pub mesos_checkpoint: bool,
    /// The principal to register and to authenticate with
    #[arg(long, value_name = "PRINCIPAL")]
    pub mesos_authentication_principal: Option<String>,
    /// The file that holds its secret
    #[arg(long, value_name = "FILE", requires = "mesos_authentication_principal")]
    pub mesos_authentication_secret_file: Option<PathBuf>,
    /// Milliseconds for which offers that nothing needs are not to be made again
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    pub decline_offer_duration: u64,
    /// Milliseconds until offers are asked for again when none come
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    pub revive_offers_interval: u64,

    /// Processors of jobs that do not say
    #[arg(long, value_name = "CPUS", default_value_t = 0.1)]
    pub mesos_task_cpu: f64,
    /// Memory of jobs that do not say, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 128.0)]
    pub mesos_task_mem: f64,
    /// Disk of jobs that do not say, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256.0)]
    pub mesos_task_disk: f64,
    /// Milliseconds before a further attempt, of jobs that do not say
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    pub failure_retry: u64,
    /// Disable a job after so many failed runs in a row; 0 for never
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub disable_after_failures: u64,
    /// Tasks that are remembered of each job: so many that went well, and as many others
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    pub job_history_limit: u32,
    /// Seconds that the agent of a task may be out of reach until its run counts as lost
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub unreachable_timeout: u64,

    /// What stands before what owners are told
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// The mail server through which owners are told: host or host:port
    #[arg(long, value_name = "SERVER")]
    pub mail_server: Option<String>,
    /// The user of the mail server
    #[arg(long, value_name = "USER", requires = "mail_password")]
    pub mail_user: Option<String>,
    /// The user's password
    #[arg(long, value_name = "PASSWORD", requires = "mail_user")]
    pub mail_password: Option<Secret>,
    /// Whom mail is from
    #[arg(long, value_name = "ADDRESS", requires = "mail_server")]
    pub mail_from: Option<String>,
    /// Speak TLS with the mail server from the first byte on; otherwise where it offers it
    #[arg(long, default_value_t = false, action = ArgAction::Set, hide_possible_values = true)]
    pub mail_ssl: bool,
    /// Slack's webhook
    #[arg(long, value_name = "URL")]
    pub slack_url: Option<Secret>,
    /// Mattermost's webhook
    #[arg(long, value_name = "URL")]
    pub mattermost_url: Option<Secret>,
    /// Tell a program of failures, as JSON by POST
    #[arg(long, value_name = "URL")]
    pub http_notification_url: Option<Secret>,
    /// user:password for that
    #[arg(long, value_name = "CREDENTIALS", requires = "http_notification_url")]
    pub http_notification_credentials: Option<Secret>,
}

/// Reads a command line, without the program's name, and its environment.
///
/// # Errors
///
/// What is wrong with it, or the help that was asked for.
pub fn parse(
    arguments: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Parsed<Args>, FlagsError> {
    flags::parse(&RULES, arguments, environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, environment: &[(&str, &str)]) -> Parsed<Args> {
        let line = line.split_whitespace().map(str::to_owned);
        let environment = environment.iter();
        let owned = environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        parse(line, owned).unwrap()
    }

    #[test]
    fn flags_of_the_original_are_taken_in_both_spellings_and_from_the_environment() {
        let line = "--master zk://zk1:2181/mesos --zk_hosts zk1:2181 --http-port 4400 \
                    --failure_retry 1000 --disable_after_failures 3 --mesos_task_cpu=0.5";
        let args = read(line, &[("CHRONOS_JOB_HISTORY_LIMIT", "7")]).flags;
        assert_eq!(args.http.http_port, 4400);
        assert_eq!((args.failure_retry, args.disable_after_failures), (1000, 3));
        assert_eq!((args.mesos_task_cpu, args.job_history_limit), (0.5, 7));
        assert!(args.mesos_checkpoint);
    }

    #[test]
    fn flags_of_former_times_are_passed_over_with_a_word() {
        let line =
            "--schedule_horizon 60 --cassandra_contact_points a,b --reconciliation_interval 1";
        let parsed = read(line, &[]);
        assert_eq!(parsed.notices.len(), 3, "{:?}", parsed.notices);
        assert_eq!(parsed.flags.master, MasterAddress::Local);
    }
}
