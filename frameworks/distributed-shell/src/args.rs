//! The command line: what can be asked for, and what is refused before
//! anything is contacted.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueHint};
use clap_complete::Shell as CompletionShell;
use mesos_sdk::{address::MasterAddress, resources::Scalar};

/// Run shell commands as tasks of an Apache Mesos cluster.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "distributed-shell",
    version,
    about,
    long_about = "Runs every COMMAND as a task of an Apache Mesos cluster, prints what it writes \
                  as it writes it, and exits with its status.\n\n\
                  MASTER is host:port of a master, a comma-separated list of them, \
                  zk://host:port,.../path, file:///path holding one of these, or `local`, which \
                  starts a cluster inside this process for as long as the commands run.",
    after_help = "Examples:\n  \
        distributed-shell local \"echo hello\" \"echo how are you\"\n  \
        distributed-shell --tag --on-every-agent mesos.example.org:5050 uptime\n  \
        seq 100 | sed 's/^/gzip part-/' | distributed-shell --file - --max-parallel 8 local\n\n\
        Exit status:\n  \
        one command       its own status (128 + n when signal n ended it)\n  \
        several commands  how many failed, at most 101\n  \
        2                 the command line cannot be used\n  \
        124               --timeout ended the only command\n  \
        125               the cluster could not be used; the last line says why\n  \
        130               interrupted; its tasks were killed first"
)]
pub(crate) struct Args {
    /// Where the master is: host:port, zk://.../path, file:///path, or `local`
    #[arg(required_unless_present = "completions")]
    pub(crate) master: Option<MasterAddress>,

    /// A command line for /bin/sh on some agent; repeat for more
    #[arg(required_unless_present_any = ["file", "completions"], value_name = "COMMAND")]
    pub(crate) commands: Vec<String>,

    /// Read commands from FILE too, one a line (`-` is standard input)
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,

    /// Processors each task gets
    #[arg(long, env = "DISTRIBUTED_SHELL_CPUS", default_value = "1", value_parser = quantity)]
    pub(crate) cpus: Scalar,

    /// Memory each task gets, in MiB
    #[arg(long, env = "DISTRIBUTED_SHELL_MEM", default_value = "32", value_parser = quantity)]
    pub(crate) mem: Scalar,

    /// Disk each task gets, in MiB
    #[arg(long, env = "DISTRIBUTED_SHELL_DISK", default_value = "0", value_parser = quantity)]
    pub(crate) disk: Scalar,

    /// GPUs each task gets
    #[arg(long, env = "DISTRIBUTED_SHELL_GPUS", default_value_t = 0)]
    pub(crate) gpus: u32,

    /// Host ports each task gets, told to it as PORT0, PORT1, ... and PORTS
    #[arg(long, env = "DISTRIBUTED_SHELL_PORTS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) ports: u32,

    /// The role to take resources of
    #[arg(long, env = "DISTRIBUTED_SHELL_ROLE", default_value = "*", value_parser = role)]
    pub(crate) role: String,

    /// The user that tasks run as [default: the one who runs this]
    #[arg(long, env = "DISTRIBUTED_SHELL_USER")]
    pub(crate) user: Option<String>,

    /// The name the framework registers under
    #[arg(
        long,
        env = "DISTRIBUTED_SHELL_NAME",
        default_value = "DistributedShell"
    )]
    pub(crate) name: String,

    /// Who we are, to a master that authenticates frameworks
    #[arg(long, env = "DISTRIBUTED_SHELL_PRINCIPAL")]
    pub(crate) principal: Option<String>,

    /// A file with the secret of --principal
    #[arg(long, env = "DISTRIBUTED_SHELL_SECRET_FILE", requires = "principal", value_hint = ValueHint::FilePath)]
    pub(crate) secret_file: Option<PathBuf>,

    /// A variable for the environment of each task (repeatable)
    #[arg(long = "env", short = 'e', value_name = "K=V", value_parser = key_value)]
    pub(crate) environment: Vec<(String, String)>,

    /// A file to fetch into each sandbox before the command starts (repeatable)
    #[arg(long = "uri", value_name = "URI")]
    pub(crate) uris: Vec<String>,

    /// Run only on agents with this attribute (repeatable: all must match)
    #[arg(long = "attribute", short = 'a', value_name = "K=V", value_parser = key_value)]
    pub(crate) attributes: Vec<(String, String)>,

    /// Run each command once on every agent of the cluster
    #[arg(long)]
    pub(crate) on_every_agent: bool,

    /// Run at most this many tasks at a time [default: as many as offers allow]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_parallel: Option<u32>,

    /// Run a command that fails again, up to this many times
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) retries: u32,

    /// Give up after this long, as in 30s, 5m or 1h: tasks that still run are
    /// killed [default: 10s to reach the cluster, no limit after that]
    #[arg(long, env = "DISTRIBUTED_SHELL_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Run each command in a container of this Docker image
    #[arg(long, value_name = "IMAGE")]
    pub(crate) docker_image: Option<String>,

    /// Start each line of output with the number of its command and its host
    #[arg(long)]
    pub(crate) tag: bool,

    /// Keep each command's output in DIR, as N.stdout and N.stderr
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output_dir: Option<PathBuf>,

    /// Print one JSON object a line, for events and for output
    #[arg(long)]
    pub(crate) json: bool,

    /// Say nothing on standard error but errors
    #[arg(long, short = 'q')]
    pub(crate) quiet: bool,

    /// Say what would run, contact nobody
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print a completion script for this shell and exit
    #[arg(long, value_name = "SHELL", exclusive = true)]
    pub(crate) completions: Option<CompletionShell>,
}

impl Args {
    /// Where the master is.
    ///
    /// # Panics
    ///
    /// With `--completions`, which needs none.
    pub(crate) fn master(&self) -> &MasterAddress {
        self.master
            .as_ref()
            .expect("a master is required unless completions are asked for")
    }
}

fn quantity(text: &str) -> Result<Scalar, String> {
    let wrong = || format!("`{text}` is not a quantity: a number such as 0.5 or 2 is");
    let value: f64 = text.trim().parse().map_err(|_| wrong())?;
    if !value.is_finite() || !(0.0..=1e12).contains(&value) {
        return Err(wrong());
    }
    Ok(Scalar::from_f64(value))
}

fn role(text: &str) -> Result<String, String> {
    mesos_sdk::ids::validate_role(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` has no form KEY=VALUE")),
    }
}

/// `30s`, `5m`, `1h`, `250ms`, or a bare number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: 30s, 5m, 1h or 250ms is");
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "ms" => number / 1000.0,
        "" | "s" | "sec" | "secs" => number,
        "m" | "min" | "mins" => number * 60.0,
        "h" | "hr" | "hrs" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("soon").is_err());
        assert!(duration("1e400s").is_err());
    }

    #[test]
    fn quantities_are_finite_and_not_negative() {
        assert_eq!(quantity("0.5"), Ok(Scalar::from_f64(0.5)));
        assert!(quantity("-1").is_err());
        assert!(quantity("inf").is_err());
        assert!(quantity("one").is_err());
    }

    #[test]
    fn a_command_or_a_file_is_required() {
        assert!(Args::try_parse_from(["distributed-shell", "local"]).is_err());
        assert!(Args::try_parse_from(["distributed-shell", "local", "true"]).is_ok());
        assert!(Args::try_parse_from(["distributed-shell", "--file", "-", "local"]).is_ok());
    }
}
