//! A configuration made step by step.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use mesos_sdk::address::ZooKeeperAddress;

use super::{AgentSpec, Cluster, ClusterConfig, Error};

/// Makes a [`Cluster`]; see [`Cluster::builder`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClusterBuilder {
    config: ClusterConfig,
    count: Option<usize>,
    common: AgentSpec,
    specs: Vec<AgentSpec>,
}

impl ClusterBuilder {
    /// So many agents, all alike.
    pub fn agents(mut self, count: usize) -> Self {
        self.count = Some(count);
        self
    }

    /// One more agent, of its own kind. Once this is used, [`agents`](Self::agents)
    /// counts nothing.
    pub fn agent(mut self, spec: AgentSpec) -> Self {
        self.specs.push(spec);
        self
    }

    /// So many agents besides whose tasks end after this time without a process;
    /// see [`SimulatedAgents`](super::SimulatedAgents).
    pub fn simulated_agents(mut self, count: usize, task_time: Duration) -> Self {
        self.config.simulated_agents.count = count;
        self.config.simulated_agents.task_time = task_time;
        self
    }

    /// What each agent offers that does not say otherwise, in Mesos's text form.
    pub fn resources(mut self, resources: impl Into<String>) -> Self {
        self.common.resources = Some(resources.into());
        self
    }

    /// The attributes of each agent that does not say otherwise, in Mesos's
    /// text form.
    pub fn attributes(mut self, attributes: impl Into<String>) -> Self {
        self.common.attributes = Some(attributes.into());
        self
    }

    /// How often freed resources are offered again.
    pub fn allocation_interval(mut self, interval: Duration) -> Self {
        self.config.allocation_interval = interval;
        self
    }

    /// How long offers stand.
    pub fn offer_timeout(mut self, timeout: Duration) -> Self {
        self.config.offer_timeout = Some(timeout);
        self
    }

    /// How long an agent may take to answer a ping, and how many pings may stay
    /// without an answer before it is unreachable.
    pub fn agent_pings(mut self, timeout: Duration, max_timeouts: u32) -> Self {
        self.config.agent_ping_timeout = timeout;
        self.config.max_agent_ping_timeouts = max_timeouts;
        self
    }

    /// Where the master listens.
    pub fn listen(mut self, ip: IpAddr, port: u16) -> Self {
        self.config.ip = ip;
        self.config.port = port;
        self
    }

    /// Where masters of several processes elect the one that leads.
    pub fn zookeeper(mut self, group: ZooKeeperAddress) -> Self {
        self.config.zookeeper = Some(group);
        self
    }

    /// Where sandboxes lie, and stay.
    pub fn work_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.config.work_dir = Some(directory.into());
        self
    }

    /// How many bytes of events wait for a client that reads slowly.
    pub fn stream_buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.stream_buffer_bytes = bytes;
        self
    }

    /// Changes what has no step of its own.
    pub fn configure(mut self, change: impl FnOnce(&mut ClusterConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// The configuration as it stands.
    #[must_use]
    pub fn config(&self) -> ClusterConfig {
        let mut config = self.config.clone();
        if !self.specs.is_empty() {
            config.agents.clone_from(&self.specs);
        } else if let Some(count) = self.count {
            config.agents = vec![AgentSpec::default(); count];
        }
        for agent in &mut config.agents {
            let AgentSpec {
                resources,
                attributes,
                ..
            } = &self.common;
            agent.resources = agent.resources.take().or_else(|| resources.clone());
            agent.attributes = agent.attributes.take().or_else(|| attributes.clone());
        }
        config
    }

    /// Starts the cluster.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub async fn start(self) -> Result<Cluster, Error> {
        Cluster::start(self.config()).await
    }
}
