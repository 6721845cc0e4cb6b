//! A cluster in this process: a master and agents on a thread of their own,
//! reached over HTTP as any other, and broken from here in the ways that
//! clusters break.
//!
//! The models decide; what lives here carries their messages and keeps their
//! time. Tasks are processes and end with the cluster, however it ends.

mod builder;
mod config;
mod crowd;
mod election;
mod flags;
mod links;
mod master_plan;
mod master_shell;
mod network;
mod places;
mod plan;
mod registry_store;
mod running;
mod seat;
mod uplink;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use builder::ClusterBuilder;
pub use config::{AgentSpec, ClusterConfig, SimulatedAgents};
pub(crate) use election::Standing;
pub(crate) use master_shell::MasterHandle;

use plan::Plan;
use running::Order;

/// A running cluster. It stops, and every task with it, when it is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mesos_local::Error> {
/// let cluster = mesos_local::Cluster::builder()
///     .agents(2)
///     .resources("cpus:4;mem:1024")
///     .start()
///     .await?;
/// println!("a framework's master is {}", cluster.address());
/// cluster.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cluster {
    master: SocketAddr,
    agents: Vec<AgentPlace>,
    work_dir: PathBuf,
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// Where an agent is and what it offers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentPlace {
    /// Its number in the cluster, from 0.
    pub index: usize,
    /// Where its HTTP API listens.
    pub address: SocketAddr,
    /// The host name that its offers show.
    pub hostname: String,
    /// What it offers, in Mesos's text form.
    pub resources: String,
}

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text of resources is none.
    #[error("resources `{text}` cannot be offered: {reason}")]
    Resources {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text of attributes is none.
    #[error("attributes `{text}` cannot be read: {reason}")]
    Attributes {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text that should say where the Docker engine listens does not.
    #[error("{0}")]
    Docker(String),
    /// An address is taken, or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// There are not enough ports after the first one.
    #[error("{count} agents need {count} ports, and there are fewer from {first} on")]
    Ports {
        /// The first agent's port.
        first: u16,
        /// How many agents there are.
        count: usize,
    },
    /// Simulated agents follow no elected leader.
    #[error("simulated agents stay with their own master, which cannot be an elected one")]
    Simulated,
    /// The work directory, the thread or an agent could not be made.
    #[error("cannot start {what}")]
    Start {
        /// What.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Cluster {
    /// Starts a cluster. When this returns the master answers; agents register
    /// in the milliseconds after.
    ///
    /// # Errors
    ///
    /// When an address cannot be listened on, a text of resources or attributes
    /// is none, or the system refuses a directory, thread or process.
    pub async fn start(config: ClusterConfig) -> Result<Self, Error> {
        let plan = Plan::new(config)?;
        let master = plan.master_address();
        let agents = plan.agents();
        let work_dir = plan.work_dir().to_owned();
        let (orders, inbox) = mpsc::unbounded_channel();
        let (report, started) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("mesos-local".to_owned())
            .spawn(move || running::run(plan, inbox, report))
            .map_err(|source| Error::Start {
                what: "the cluster's thread".to_owned(),
                source,
            })?;
        let cluster = Self {
            master,
            agents,
            work_dir,
            orders: Some(orders),
            thread: Some(thread),
        };
        started.await.unwrap_or_else(|_| {
            Err(Error::Start {
                what: "the cluster".to_owned(),
                source: io::Error::other("its thread has panicked"),
            })
        })?;
        Ok(cluster)
    }

    /// Says step by step what the cluster is to be.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Where the master listens.
    #[must_use]
    pub fn master_address(&self) -> SocketAddr {
        self.master
    }

    /// Where the master listens, as frameworks are told: `127.0.0.1:5050`.
    #[must_use]
    pub fn address(&self) -> String {
        self.master.to_string()
    }

    /// Where each agent's HTTP API listens.
    #[must_use]
    pub fn agent_addresses(&self) -> Vec<SocketAddr> {
        self.agents.iter().map(|agent| agent.address).collect()
    }

    /// The agents, in order.
    #[must_use]
    pub fn agents(&self) -> &[AgentPlace] {
        &self.agents
    }

    /// The directory with the agents' sandboxes. It is removed when the cluster
    /// stops unless it was given in the configuration.
    #[must_use]
    pub fn work_dir(&self) -> &std::path::Path {
        &self.work_dir
    }

    /// Kills every task, ends every agent and the master, and returns when all
    /// of it is done.
    pub async fn stop(mut self) {
        self.order(Order::Stop).await;
        self.join();
    }

    /// Replaces the master by one that knows only which agents were part of the
    /// cluster, as when another is elected: every connection ends, offers are
    /// void, frameworks subscribe again and agents come back with their tasks.
    /// With ZooKeeper the master leaves the election and stands again, so that
    /// another process leads if there is one.
    pub async fn fail_over_master(&self) {
        self.order(Order::FailOverMaster).await;
    }

    /// Ends the master without a word, as `kill -9` does, and keeps its registry:
    /// every connection ends, and whoever calls is hung up on until
    /// [`start_master`](Self::start_master). With ZooKeeper the master leaves
    /// the election and stands again at once.
    pub async fn kill_master(&self) {
        self.order(Order::KillMaster).await;
    }

    /// Starts the master again. As without ZooKeeper, agents look for it once
    /// the one that they knew has been silent for all of the ping timeouts.
    pub async fn start_master(&self) {
        self.order(Order::StartMaster).await;
    }

    /// Lets an agent leave in good order: its tasks are killed and lost, and it
    /// is removed. [`start_agent`](Self::start_agent) brings it back.
    ///
    /// # Panics
    ///
    /// Here and below, when there is no agent of this number.
    pub async fn stop_agent(&self, index: usize) {
        self.order_agent(index, Order::StopAgent).await;
    }

    /// Ends an agent and its tasks without a word, as if its machine had lost
    /// power; the master notices the broken connection.
    pub async fn kill_agent(&self, index: usize) {
        self.order_agent(index, Order::KillAgent).await;
    }

    /// Ends the process of an agent alone, as `kill -9` does: its tasks and
    /// executors run on, and report again when it is back. Those of frameworks
    /// that do not checkpoint are lost, as always when an agent goes.
    pub async fn crash_agent(&self, index: usize) {
        self.order_agent(index, Order::CrashAgent).await;
    }

    /// Starts an agent again after it was stopped, killed or crashed, on the same
    /// address, with the same work directory and so with the same id. Executors
    /// that run subscribe again, or are killed; what ended with the agent is
    /// reported as failed to frameworks that checkpoint.
    pub async fn start_agent(&self, index: usize) {
        self.order_agent(index, Order::StartAgent).await;
    }

    /// Puts another agent in the place of one, on the same address and with an
    /// empty work directory, so that it has another id. Executors of the old
    /// one that still run are nobody's and end with the cluster.
    pub async fn replace_agent(&self, index: usize) {
        self.order_agent(index, Order::ReplaceAgent).await;
    }

    /// Loses every message between the master and an agent from now on. Neither
    /// is told; tasks run on.
    pub async fn partition_agent(&self, index: usize) {
        self.order_agent(index, Order::PartitionAgent).await;
    }

    /// Ends a partition; the agent registers again.
    pub async fn heal_agent(&self, index: usize) {
        self.order_agent(index, Order::HealAgent).await;
    }

    /// Delays every status update on its way to the master; zero ends it.
    pub async fn delay_updates(&self, delay: Duration) {
        self.order(|done| Order::DelayUpdates(delay, done)).await;
    }

    /// Loses the next `count` status updates on their way to the master. Agents
    /// send them again, after ten seconds the first time.
    pub async fn drop_updates(&self, count: usize) {
        self.order(|done| Order::DropUpdates(count, done)).await;
    }

    /// Cuts every connection that clients have to the master; it listens on.
    pub async fn cut_connections(&self) {
        self.order(Order::CutConnections).await;
    }

    async fn order_agent(
        &self,
        index: usize,
        order: impl FnOnce(usize, oneshot::Sender<()>) -> Order,
    ) {
        let count = self.agents.len();
        assert!(
            index < count,
            "there are {count} agents, from 0, and no {index}"
        );
        self.order(|done| order(index, done)).await;
    }

    /// Gives an order and waits until it is carried out.
    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, carried_out) = oneshot::channel();
        let orders = self.orders.as_ref().expect("taken only when it is dropped");
        if orders.send(order(done)).is_ok() {
            // An error says that the cluster has ended, and all with it.
            let _ = carried_out.await;
        }
    }

    fn join(&mut self) {
        // Without anybody left to give orders the thread ends.
        drop(self.orders.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the cluster's thread has panicked");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.join();
    }
}
