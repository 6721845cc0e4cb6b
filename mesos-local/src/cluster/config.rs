//! What a cluster is made of: how many agents, what they offer, where all of it
//! listens, and the flags of the master that matter to frameworks.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use mesos_sdk::address::ZooKeeperAddress;
use mesos_sdk::attributes;
use mesos_sdk::resources::Resources;
use mesos_sdk::v1;

use super::Error;
use crate::security::Security;

/// The first port that agents offer to tasks, as Mesos's default.
const FIRST_TASK_PORT: u64 = 31_000;
/// The last one, below those that Linux gives to outgoing connections.
const LAST_TASK_PORT: u64 = 32_759;

/// Everything a cluster is told when it starts. The default is one agent with
/// the machine's resources on free loopback ports, and an allocator that makes
/// offers every millisecond, so that what runs in it runs at once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// One entry an agent.
    pub agents: Vec<AgentSpec>,
    /// Agents besides, whose tasks have no processes.
    pub simulated_agents: SimulatedAgents,
    /// The name of the cluster, as its state shows it.
    pub name: Option<String>,
    /// Where the master listens. Agents listen on the addresses after it when
    /// it is a loopback address, all on this one otherwise.
    pub ip: IpAddr,
    /// The master's port; 0 takes a free one.
    pub port: u16,
    /// The first agent's port, each further agent has the next one; 0 takes
    /// free ones.
    pub agent_port: u16,
    /// Where masters of several processes elect the one that leads, and agents
    /// find it. Without it the master leads alone.
    pub zookeeper: Option<ZooKeeperAddress>,
    /// After how long without a word ZooKeeper takes a master for dead.
    pub zookeeper_session_timeout: Duration,
    /// Whether the master may be elected. One that may not sends whoever asks
    /// on to the leader, and its agents are all of the cluster that is here.
    pub is_candidate: bool,
    /// Where agents keep their sandboxes, which then stay when the cluster
    /// stops. Without it they lie in a temporary directory that does not.
    pub work_dir: Option<PathBuf>,
    /// How often resources that became free are offered again. Mesos's default
    /// is one second.
    pub allocation_interval: Duration,
    /// How long an offer stands before it is rescinded; for ever when `None`.
    pub offer_timeout: Option<Duration>,
    /// How long the master waits for an agent's answer to a ping.
    pub agent_ping_timeout: Duration,
    /// How many pings in a row may stay without an answer.
    pub max_agent_ping_timeouts: u32,
    /// How long a disconnected agent may take to come back.
    pub agent_reregister_timeout: Duration,
    /// How many ended frameworks are remembered.
    pub max_completed_frameworks: usize,
    /// How many ended tasks are remembered of each framework.
    pub max_completed_tasks_per_framework: usize,
    /// How many unreachable tasks are remembered of each framework.
    pub max_unreachable_tasks_per_framework: usize,
    /// How many bytes of events wait for a client that reads slowly before it
    /// is cut off.
    pub stream_buffer_bytes: usize,
    /// Between SIGTERM and SIGKILL where a task's kill policy does not say.
    pub kill_grace: Duration,
    /// How long an executor may take to subscribe after it was started.
    pub executor_registration_timeout: Duration,
    /// How long it may take to subscribe again after its agent was away.
    pub executor_reregistration_timeout: Duration,
    /// How long it may take to end when it was told to, where it does not say.
    pub executor_shutdown_grace: Duration,
    /// The executors of commands use the executor API, and what they have to say
    /// waits for an agent that is away (`--http_command_executor`).
    pub http_command_executor: bool,
    /// How long after a status update was sent without being acknowledged it is
    /// sent again, the first time; then it doubles up to ten minutes.
    pub update_retry: Duration,
    /// Where the Docker engine listens that runs tasks in containers:
    /// `unix:///path` or `tcp://host:port`. Without it: what the environment
    /// variable `DOCKER_HOST` says, or `/var/run/docker.sock`. The engine has to
    /// be on this machine, because containers see their sandboxes.
    pub docker_socket: Option<String>,
    /// Tasks run as the user their command or framework names. Needs root.
    pub switch_user: bool,
    /// What is asked of whoever speaks to the cluster.
    pub security: Security,
    /// Makes ids and the order of agents in allocations repeatable.
    pub seed: Option<u64>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            agents: vec![AgentSpec::default()],
            simulated_agents: SimulatedAgents::default(),
            name: None,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            agent_port: 0,
            zookeeper: None,
            zookeeper_session_timeout: Duration::from_secs(10),
            is_candidate: true,
            work_dir: None,
            allocation_interval: Duration::from_millis(1),
            offer_timeout: None,
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            stream_buffer_bytes: 256 << 20,
            kill_grace: Duration::from_secs(3),
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_shutdown_grace: Duration::from_secs(5),
            http_command_executor: false,
            update_retry: Duration::from_secs(10),
            docker_socket: None,
            switch_user: true,
            security: Security::default(),
            seed: None,
        }
    }
}

/// What is particular about one agent; what is `None` follows from the machine
/// and the agent's place in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentSpec {
    /// Resources in Mesos's text form, `cpus:4;mem:1024`. Kinds that are not
    /// named are filled in, as an agent of Mesos does.
    pub resources: Option<String>,
    /// What is offered besides and may be taken back at any time, in the same
    /// form: only to frameworks with REVOCABLE_RESOURCES.
    pub oversubscribed: Option<String>,
    /// Attributes in Mesos's text form, `rack:r1;zone:a`.
    pub attributes: Option<String>,
    /// The host name that offers show.
    pub hostname: Option<String>,
    /// Region and zone.
    pub domain: Option<v1::DomainInfo>,
}

/// What a simulated agent offers that is not told.
const SIMULATED_RESOURCES: &str = "cpus:16;mem:65536;disk:1048576;ports:[31000-32000]";

/// Agents that offer resources and run nothing: tasks and task groups that are
/// launched on them are running at once and finish after a given time. They have
/// no HTTP API and no sandboxes, and custom executors do not subscribe there.
/// Thousands of them fit in a process, so that a framework can be tried with a
/// cluster of the size it is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimulatedAgents {
    /// How many.
    pub count: usize,
    /// What each offers, in Mesos's text form; kinds that are not named it does
    /// not have.
    pub resources: String,
    /// The attributes of each, in Mesos's text form.
    pub attributes: Option<String>,
    /// How long each task runs.
    pub task_time: Duration,
}

impl Default for SimulatedAgents {
    fn default() -> Self {
        Self {
            count: 0,
            resources: SIMULATED_RESOURCES.to_owned(),
            attributes: None,
            task_time: Duration::from_secs(10),
        }
    }
}

impl SimulatedAgents {
    pub(crate) fn offered(&self) -> Result<Vec<v1::Resource>, Error> {
        let parsed = Resources::parse(&self.resources, "*");
        let parsed = parsed.map_err(|error| Error::Resources {
            text: self.resources.clone(),
            reason: error.to_string(),
        })?;
        Ok(parsed.into_vec())
    }

    pub(crate) fn parsed_attributes(&self) -> Result<Vec<v1::Attribute>, Error> {
        let spec = AgentSpec {
            attributes: self.attributes.clone(),
            ..AgentSpec::default()
        };
        spec.parsed_attributes()
    }
}

impl AgentSpec {
    /// An agent with these resources, in Mesos's text form.
    #[must_use]
    pub fn new(resources: impl Into<String>) -> Self {
        Self {
            resources: Some(resources.into()),
            ..Self::default()
        }
    }

    /// The same agent with these attributes, in Mesos's text form.
    #[must_use]
    pub fn attributes(mut self, attributes: impl Into<String>) -> Self {
        self.attributes = Some(attributes.into());
        self
    }

    /// The same agent with these resources besides, which may be taken back at
    /// any time, in Mesos's text form.
    #[must_use]
    pub fn oversubscribed(mut self, resources: impl Into<String>) -> Self {
        self.oversubscribed = Some(resources.into());
        self
    }

    /// The same agent with this host name. It should resolve on this machine.
    #[must_use]
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// What the agent at `index` of `count` offers.
    pub(crate) fn offered(&self, index: usize, count: usize) -> Result<Vec<v1::Resource>, Error> {
        let text = self.resources.as_deref().unwrap_or_default();
        let invalid = |reason: String| Error::Resources {
            text: text.to_owned(),
            reason,
        };
        let named = Resources::parse(text, "*").map_err(|error| invalid(error.to_string()))?;
        let missing: Vec<String> = defaults(index, count)
            .into_iter()
            .filter(|(name, _)| !named.iter().any(|resource| resource.name == *name))
            .map(|(name, value)| format!("{name}:{value}"))
            .collect();
        let filled = Resources::parse(&missing.join(";"), "*")
            .map_err(|error| invalid(error.to_string()))?;
        // The order in which a Mesos agent lists them.
        let mut all: Vec<v1::Resource> = named.into_iter().chain(filled).collect();
        let rank = |resource: &v1::Resource| {
            ["cpus", "gpus", "mem", "disk", "ports"]
                .iter()
                .position(|name| *name == resource.name)
                .unwrap_or(usize::MAX)
        };
        all.sort_by_key(rank);
        all.extend(self.revocable()?);
        Ok(all)
    }

    fn revocable(&self) -> Result<Vec<v1::Resource>, Error> {
        let text = self.oversubscribed.as_deref().unwrap_or_default();
        let parsed = Resources::parse(text, "*").map_err(|error| Error::Resources {
            text: text.to_owned(),
            reason: error.to_string(),
        })?;
        let revocable = |mut item: v1::Resource| {
            item.revocable = Some(v1::resource::RevocableInfo {});
            item
        };
        Ok(parsed.into_iter().map(revocable).collect())
    }

    pub(crate) fn parsed_attributes(&self) -> Result<Vec<v1::Attribute>, Error> {
        let text = self.attributes.as_deref().unwrap_or_default();
        attributes::parse(text).map_err(|error| Error::Attributes {
            text: text.to_owned(),
            reason: error.to_string(),
        })
    }
}

/// What an agent offers of each kind that it is not told.
fn defaults(index: usize, count: usize) -> [(&'static str, String); 4] {
    let share = count.max(1) as u64;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let ports = (LAST_TASK_PORT + 1 - FIRST_TASK_PORT) / share;
    let first = FIRST_TASK_PORT + index as u64 * ports;
    // One agent alone offers what a Mesos agent does.
    let last = if count == 1 {
        FIRST_TASK_PORT + 1000
    } else {
        first + ports.max(1) - 1
    };
    [
        ("cpus", cpus.to_string()),
        ("mem", (default_memory_mib() / share).max(64).to_string()),
        ("disk", (10_240 / share).max(64).to_string()),
        ("ports", format!("[{first}-{last}]")),
    ]
}

/// Half of a small machine's memory, all but 1 GiB of a large one's: the rule
/// of Mesos's agent.
fn default_memory_mib() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .as_deref()
        .and_then(total_memory_mib)
        .unwrap_or(2048);
    if total >= 2048 {
        total - 1024
    } else {
        total / 2
    }
}

fn total_memory_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(index: usize, count: usize) -> (u64, u64) {
        let offered = AgentSpec::default().offered(index, count).unwrap();
        let ports = offered
            .iter()
            .find(|resource| resource.name == "ports")
            .unwrap();
        let range = ports.ranges.as_ref().unwrap().range[0];
        (range.begin, range.end)
    }

    #[test]
    fn agents_offer_ports_that_do_not_overlap() {
        assert_eq!(ports(0, 1), (31_000, 32_000));
        for count in [2, 3, 7, 100] {
            let mut last = 30_999;
            for index in 0..count {
                let (begin, end) = ports(index, count);
                assert!(begin > last && end >= begin, "{index} of {count}");
                last = end;
            }
            assert!(last <= LAST_TASK_PORT);
        }
    }

    #[test]
    fn fills_in_what_is_not_named() {
        let offered = AgentSpec::new("mem:100;gpus:1").offered(0, 1).unwrap();
        let names: Vec<&str> = offered
            .iter()
            .map(|resource| resource.name.as_str())
            .collect();
        assert_eq!(names, ["cpus", "gpus", "mem", "disk", "ports"]);
        assert_eq!(offered[2].scalar.as_ref().unwrap().value, 100.0);
    }

    #[test]
    fn reads_meminfo() {
        let text = "MemTotal:        4030484 kB\nMemFree:          500000 kB\n";
        assert_eq!(total_memory_mib(text), Some(3936));
        assert_eq!(total_memory_mib("nothing"), None);
    }
}
