//! The command line of `mesos-local`.

mod security;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use mesos_local::{AgentSpec, ClusterConfig, SimulatedAgents, duration};
use mesos_sdk::address::{MasterAddress, ZooKeeperAddress};

use security::SecurityArguments;

const EXAMPLES: &str = "\
EXAMPLES
  mesos-local
      A master on 127.0.0.1:5050 and three agents, on the ports after it.

  mesos-local --agents 1 --resources 'cpus:4;mem:4096;disk:10240;ports:[31000-32000]' \\
              --attributes 'rack:r1;zone:a'
      One agent that offers exactly this.

  mesos-local --agent 'cpus:8;mem:1024' --agent 'cpus:1;mem:512@zone:b'
      Two agents that differ; attributes follow an @.

  mesos-local --port 0 --agent-port 0
      Free ports; the first lines printed say which.

  mesos-local --zk zk://127.0.0.1:2181/mesos --port 5060 --agents 0 &
  mesos-local --zk zk://127.0.0.1:2181/mesos --port 5061 --agents 0 &
  mesos-local --zk zk://127.0.0.1:2181/mesos --port 5062 --agents-only
      Two masters of which one leads, and three agents that follow it.

  mesos-local --simulated-agents 10000 --simulated-task-time 2s
      Ten thousand agents whose tasks finish after two seconds without a process.

Then, from any framework: its master is 127.0.0.1:5050. To look at it:
  curl -s http://127.0.0.1:5050/state
  curl -s -H 'Content-Type: application/json' -d '{\"type\":\"GET_AGENTS\"}' \\
       http://127.0.0.1:5050/api/v1

Tasks run as processes of this machine without isolation, as this user or, for
root, as the user they name; those with a container of type DOCKER run in the
Docker engine. Ctrl-C ends the cluster with every task in it.

Durations are numbers with units: 500ms, 15secs, 10mins, 1.5hrs (also s, m, h, d, w).
MESOS_LOCAL_LOG=info or debug shows on standard error what happens.";

/// An Apache Mesos master and agents in one process.
///
/// Speaks the v1 HTTP API of Mesos on loopback and runs tasks as real
/// processes: for trying, developing and testing frameworks without installing
/// anything.
#[derive(Debug, Parser)]
#[command(name = "mesos-local", version, after_long_help = EXAMPLES, after_help = "--help shows examples and every option's meaning.")]
pub(crate) struct Arguments {
    /// How many agents; 3 by default, none with --simulated-agents.
    #[arg(long, env = "MESOS_LOCAL_AGENTS", value_name = "COUNT")]
    agents: Option<usize>,

    /// So many agents that run nothing: what is launched on them is running at
    /// once and finishes after --simulated-task-time. They offer what --resources
    /// says, or cpus:16;mem:65536;disk:1048576;ports:[31000-32000].
    #[arg(
        long,
        env = "MESOS_LOCAL_SIMULATED_AGENTS",
        default_value_t = 0,
        value_name = "COUNT",
        conflicts_with = "zookeeper"
    )]
    simulated_agents: usize,

    /// How long tasks of simulated agents take.
    #[arg(long, env = "MESOS_LOCAL_SIMULATED_TASK_TIME", default_value = "10s", value_name = "DURATION", value_parser = duration::parse)]
    simulated_task_time: Duration,

    /// One agent with these resources, and after an @ these attributes. Repeat
    /// it for each agent; it replaces --agents.
    #[arg(
        long = "agent",
        value_name = "RESOURCES[@ATTRIBUTES]",
        conflicts_with = "agents"
    )]
    agent: Vec<String>,

    /// What every agent offers that does not say otherwise, in Mesos's text
    /// form; kinds that are not named follow from the machine.
    #[arg(long, env = "MESOS_LOCAL_RESOURCES", value_name = "TEXT")]
    resources: Option<String>,

    /// What every agent offers besides, and may take back at any time, such as
    /// 'cpus:4': only to frameworks with REVOCABLE_RESOURCES.
    #[arg(long, env = "MESOS_LOCAL_OVERSUBSCRIBED", value_name = "TEXT")]
    oversubscribed: Option<String>,

    /// Attributes of every agent that does not say otherwise, such as
    /// 'rack:r1;zone:a'.
    #[arg(long, env = "MESOS_LOCAL_ATTRIBUTES", value_name = "TEXT")]
    attributes: Option<String>,

    /// Where the master listens; agents listen on the loopback addresses from
    /// here on, or on this address when it is not a loopback one.
    #[arg(
        long,
        env = "MESOS_LOCAL_IP",
        default_value = "127.0.0.1",
        value_name = "ADDRESS"
    )]
    ip: IpAddr,

    /// The master's port; 0 takes a free one.
    #[arg(long, env = "MESOS_LOCAL_PORT", default_value_t = 5050)]
    port: u16,

    /// The first agent's port, each further one has the next; 0 takes free ones.
    #[arg(
        long,
        env = "MESOS_LOCAL_AGENT_PORT",
        default_value_t = 5051,
        value_name = "PORT"
    )]
    agent_port: u16,

    /// Elect a leader among all mesos-local processes that name this ZooKeeper
    /// group, zk://host:port,host:port/path. The agents of each process follow
    /// the leader.
    #[arg(long = "zk", env = "MESOS_LOCAL_ZK", value_name = "ADDRESS", value_parser = group)]
    zookeeper: Option<ZooKeeperAddress>,

    /// After how long without a word ZooKeeper takes a master for dead.
    #[arg(long, env = "MESOS_LOCAL_ZK_SESSION_TIMEOUT", default_value = "10s", value_name = "DURATION", value_parser = duration::parse)]
    zk_session_timeout: Duration,

    /// With --zk: never lead. The master's port only sends on to the leader.
    #[arg(long, env = "MESOS_LOCAL_AGENTS_ONLY", requires = "zookeeper")]
    agents_only: bool,

    /// Where sandboxes lie, and stay. Without it: a temporary directory that is
    /// removed at the end, in TMPDIR where that is set, in /dev/shm where there
    /// is room, or else in /tmp.
    #[arg(long, env = "MESOS_LOCAL_WORK_DIR", value_name = "DIRECTORY")]
    work_dir: Option<PathBuf>,

    /// The cluster's name, shown by /state.
    #[arg(long, env = "MESOS_LOCAL_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,

    /// How often freed resources are offered again.
    #[arg(long, env = "MESOS_LOCAL_ALLOCATION_INTERVAL", default_value = "1s", value_name = "DURATION", value_parser = duration::parse)]
    allocation_interval: Duration,

    /// Rescind offers after this time; by default they stand.
    #[arg(long, env = "MESOS_LOCAL_OFFER_TIMEOUT", value_name = "DURATION", value_parser = duration::parse)]
    offer_timeout: Option<Duration>,

    /// How long an agent may take to answer a ping.
    #[arg(long, env = "MESOS_LOCAL_AGENT_PING_TIMEOUT", default_value = "15s", value_name = "DURATION", value_parser = duration::parse)]
    agent_ping_timeout: Duration,

    /// After how many unanswered pings an agent is unreachable.
    #[arg(
        long,
        env = "MESOS_LOCAL_MAX_AGENT_PING_TIMEOUTS",
        default_value_t = 5,
        value_name = "COUNT"
    )]
    max_agent_ping_timeouts: u32,

    /// How long a disconnected agent may take to come back.
    #[arg(long, env = "MESOS_LOCAL_AGENT_REREGISTER_TIMEOUT", default_value = "10mins", value_name = "DURATION", value_parser = duration::parse)]
    agent_reregister_timeout: Duration,

    /// How many ended frameworks are remembered.
    #[arg(
        long,
        env = "MESOS_LOCAL_MAX_COMPLETED_FRAMEWORKS",
        default_value_t = 50,
        value_name = "COUNT"
    )]
    max_completed_frameworks: usize,

    /// How many ended tasks of a framework are remembered.
    #[arg(
        long,
        env = "MESOS_LOCAL_MAX_COMPLETED_TASKS_PER_FRAMEWORK",
        default_value_t = 1000,
        value_name = "COUNT"
    )]
    max_completed_tasks_per_framework: usize,

    /// How many bytes of events wait for a client that reads slowly before it
    /// is cut off.
    #[arg(long, env = "MESOS_LOCAL_STREAM_BUFFER", default_value_t = 256 << 20, value_name = "BYTES")]
    stream_buffer: usize,

    /// Where the Docker engine listens that runs tasks in containers, as
    /// unix:///path or tcp://host:port. Without it: DOCKER_HOST, or
    /// unix:///var/run/docker.sock.
    #[arg(long, env = "MESOS_LOCAL_DOCKER_SOCKET", value_name = "ADDRESS")]
    docker_socket: Option<String>,

    /// Run every task as the user of this process, whatever user it names.
    /// Without it root switches users.
    #[arg(long, env = "MESOS_LOCAL_NO_SWITCH_USER")]
    no_switch_user: bool,

    #[command(flatten)]
    security: SecurityArguments,
}

/// Reads `zk://host:port/path`.
fn group(text: &str) -> Result<ZooKeeperAddress, String> {
    match text.parse() {
        Ok(MasterAddress::ZooKeeper(group)) => Ok(group),
        Ok(_) => Err("zk://host:port/path is expected".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Arguments {
    /// What the cluster is to be.
    pub(crate) fn into_config(self) -> Result<ClusterConfig, clap::Error> {
        if self.agent.is_empty() && self.count() > 250 {
            let text = "at most 250 agents fit in one process, besides simulated ones";
            return Err(clap::Error::raw(ErrorKind::ValueValidation, text));
        }
        if self.allocation_interval.is_zero() {
            let text = "--allocation-interval must be longer than nothing\n";
            return Err(clap::Error::raw(ErrorKind::ValueValidation, text));
        }
        let mut config = ClusterConfig::default();
        config.agents = self.specs();
        config.simulated_agents = self.simulated();
        config.name = self.cluster;
        config.ip = self.ip;
        config.port = self.port;
        config.agent_port = self.agent_port;
        config.zookeeper = self.zookeeper;
        config.zookeeper_session_timeout = self.zk_session_timeout;
        config.is_candidate = !self.agents_only;
        config.work_dir = self.work_dir;
        config.allocation_interval = self.allocation_interval;
        config.offer_timeout = self.offer_timeout;
        config.agent_ping_timeout = self.agent_ping_timeout;
        config.max_agent_ping_timeouts = self.max_agent_ping_timeouts;
        config.agent_reregister_timeout = self.agent_reregister_timeout;
        config.max_completed_frameworks = self.max_completed_frameworks;
        config.max_completed_tasks_per_framework = self.max_completed_tasks_per_framework;
        config.stream_buffer_bytes = self.stream_buffer;
        config.docker_socket = self.docker_socket;
        config.switch_user = !self.no_switch_user;
        config.security = self.security.into_security()?;
        Ok(config)
    }

    fn count(&self) -> usize {
        let default = if self.simulated_agents > 0 { 0 } else { 3 };
        self.agents.unwrap_or(default)
    }

    fn simulated(&self) -> SimulatedAgents {
        let mut simulated = SimulatedAgents::default();
        simulated.count = self.simulated_agents;
        simulated.task_time = self.simulated_task_time;
        simulated.attributes.clone_from(&self.attributes);
        if let Some(resources) = &self.resources {
            simulated.resources.clone_from(resources);
        }
        simulated
    }

    fn specs(&self) -> Vec<AgentSpec> {
        let spec = |resources: Option<&str>, attributes: Option<&str>| {
            let mut spec = AgentSpec::default();
            spec.resources = resources.map(str::to_owned);
            spec.attributes = attributes.map(str::to_owned);
            spec.oversubscribed.clone_from(&self.oversubscribed);
            spec
        };
        let (resources, attributes) = (self.resources.as_deref(), self.attributes.as_deref());
        if self.agent.is_empty() {
            return vec![spec(resources, attributes); self.count()];
        }
        self.agent
            .iter()
            .map(|text| match text.split_once('@') {
                Some((resources, attributes)) => spec(Some(resources), Some(attributes)),
                None => spec(Some(text), attributes),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn config(arguments: &[&str]) -> ClusterConfig {
        Arguments::try_parse_from([&["mesos-local"], arguments].concat())
            .unwrap()
            .into_config()
            .unwrap()
    }

    #[test]
    fn the_command_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn agents_are_alike_or_told_one_by_one() {
        let alike = config(&[
            "--agents",
            "2",
            "--resources",
            "cpus:4",
            "--attributes",
            "rack:r1",
            "--oversubscribed",
            "cpus:1",
        ]);
        let expected = AgentSpec::new("cpus:4")
            .attributes("rack:r1")
            .oversubscribed("cpus:1");
        assert_eq!(alike.agents, vec![expected; 2]);
        let told = config(&["--agent", "cpus:8;mem:1024", "--agent", "cpus:1@zone:b"]);
        assert_eq!(
            told.agents,
            [
                AgentSpec::new("cpus:8;mem:1024"),
                AgentSpec::new("cpus:1").attributes("zone:b")
            ]
        );
    }

    #[test]
    fn simulated_agents_stand_instead_of_others_or_beside_them() {
        let simulated = config(&["--simulated-agents", "10000", "--resources", "cpus:2"]);
        assert_eq!(simulated.agents, []);
        assert_eq!(simulated.simulated_agents.count, 10_000);
        assert_eq!(simulated.simulated_agents.resources, "cpus:2");
        let both = config(&["--simulated-agents", "5", "--agents", "1"]);
        assert_eq!((both.agents.len(), both.simulated_agents.count), (1, 5));
    }

    #[test]
    fn durations_have_units() {
        let config = config(&[
            "--allocation-interval",
            "500ms",
            "--agent-ping-timeout",
            "15secs",
        ]);
        assert_eq!(config.allocation_interval, Duration::from_millis(500));
        assert_eq!(config.agent_ping_timeout, Duration::from_secs(15));
        let refused = ["mesos-local", "--offer-timeout", "5"];
        let error = Arguments::try_parse_from(refused).unwrap_err().to_string();
        assert!(error.contains("`5` is no duration"), "{error}");
    }

    #[test]
    fn the_mesos_defaults_hold() {
        let config = config(&[]);
        assert_eq!(config.agents.len(), 3);
        assert_eq!((config.port, config.agent_port), (5050, 5051));
        assert_eq!(config.allocation_interval, Duration::from_secs(1));
    }
}
