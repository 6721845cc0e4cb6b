//! The cluster that dialogues are held with.

use std::time::Duration;

use mesos_local::{Cluster, ClusterConfig};
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{Transport, TransportConfig};

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A master and its agent.
#[derive(Debug)]
pub struct Fixture {
    /// Where the master answers.
    pub master: HostAddress,
    /// Where the first agent answers.
    pub agent: HostAddress,
    /// Makes the requests.
    pub transport: Transport,
    /// `None` when the master is one of the environment.
    pub cluster: Option<Cluster>,
}

impl Fixture {
    /// The cluster that the recorded dialogues were held with: one agent with 8
    /// cpus, or the one that the environment names.
    ///
    /// # Panics
    ///
    /// When there is no cluster to be had.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with a change where the cluster is ours.
    ///
    /// # Panics
    ///
    /// When there is no cluster to be had.
    pub async fn with(change: impl FnOnce(&mut ClusterConfig)) -> Self {
        let transport = Transport::new(TransportConfig::default());
        if let Ok(master) = std::env::var("MESOS_MASTER") {
            let agent = std::env::var("MESOS_AGENT").expect("MESOS_AGENT goes with MESOS_MASTER");
            let parse = |text: String| text.parse().expect("host:port");
            return Self {
                master: parse(master),
                agent: parse(agent),
                transport,
                cluster: None,
            };
        }
        Self::start_with(change).await
    }

    /// The same cluster with a configuration of its own, never one of the
    /// environment.
    ///
    /// # Panics
    ///
    /// When there is no cluster to be had.
    pub async fn start_with(change: impl FnOnce(&mut ClusterConfig)) -> Self {
        let cluster = Cluster::builder()
            .resources("cpus:8;mem:8192;disk:20480;ports:[31000-32000]")
            .attributes("rack:r1;zone:a;level:10;range:[1-5]")
            .configure(change)
            .start()
            .await
            .expect("a cluster");
        let address = cluster.master_address();
        let agent = cluster.agent_addresses()[0];
        Self {
            master: HostAddress::http(address.ip().to_string(), address.port()),
            agent: HostAddress::http(agent.ip().to_string(), agent.port()),
            transport: Transport::new(TransportConfig::default()),
            cluster: Some(cluster),
        }
    }
}
