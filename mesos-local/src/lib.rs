//! An Apache Mesos master and agents in one process.
//!
//! It speaks Mesos's v1 HTTP API on loopback, answers as Mesos does, and runs
//! tasks as real processes, so that a framework is tried, developed and tested
//! without anything being installed. A [`Cluster`] starts in milliseconds; when
//! it is dropped, or its process dies, its tasks die with it.
//!
//! ```
//! use mesos_local::Cluster;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), mesos_local::Error> {
//! let cluster = Cluster::builder()
//!     .agents(2)
//!     .resources("cpus:4;mem:1024")
//!     .start()
//!     .await?;
//! // Run the framework on `cluster.address()`, and see whether it copes:
//! cluster.fail_over_master().await;
//! cluster.kill_agent(0).await;
//! cluster.start_agent(0).await;
//! cluster.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A program that takes a master's address gives its users a cluster of their
//! own for the address `local` with [`connect`].
//!
//! # What can be made to go wrong
//!
//! | what happens | method |
//! |---|---|
//! | another master is elected, and knows only the agents | [`fail_over_master`](Cluster::fail_over_master) |
//! | an agent's machine loses power | [`kill_agent`](Cluster::kill_agent) |
//! | an agent's process dies, its tasks run on | [`crash_agent`](Cluster::crash_agent) |
//! | an agent leaves in good order | [`stop_agent`](Cluster::stop_agent) |
//! | it comes back | [`start_agent`](Cluster::start_agent) |
//! | master and agent do not hear each other | [`partition_agent`](Cluster::partition_agent), [`heal_agent`](Cluster::heal_agent) |
//! | status updates come late, or not at first | [`delay_updates`](Cluster::delay_updates), [`drop_updates`](Cluster::drop_updates) |
//! | every connection breaks | [`cut_connections`](Cluster::cut_connections) |
//!
//! Executors and tasks are processes: a test that wants one dead kills it.
//!
//! # How faithful it is
//!
//! Statuses, messages and the order of events are those that a real Mesos was
//! seen to give; dialogues recorded from one are held again in the tests. Where
//! Mesos is unsafe for a process of yours this is not: slow readers are cut off,
//! sizes have limits, and nothing leaves a sandbox. There is no isolation but
//! that of containers in a Docker engine ([`ClusterConfig::docker_socket`]), and
//! what is not supported, such as image stores, is answered with 501 and a
//! sentence that says so.
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | start a cluster, break it | [`Cluster`], [`ClusterBuilder`] |
//! | say what agents offer | [`AgentSpec`] |
//! | set times and limits | [`ClusterConfig`] |
//! | ask for credentials, say who may do what, speak TLS | [`security`] |
//! | have masters of several processes elect a leader | [`ClusterBuilder::zookeeper`] |
//! | know how masters, agents and the allocator decide | [`master`], [`agent`], [`allocator`] |

pub mod agent;
pub mod allocator;
mod as_json;
mod cluster;
mod connect;
mod conversion;
mod http;
mod link_api;
mod logging;
pub mod master;
mod master_api;
pub mod messages;
mod operator_api;
mod random;
mod scheduler_api;
mod scratch;
pub mod security;
pub mod simulation;
pub mod time;
mod version;
mod views;

pub use cluster::{
    AgentPlace, AgentSpec, Cluster, ClusterBuilder, ClusterConfig, Error, SimulatedAgents,
};
pub use connect::connect;
pub use mesos_sdk::duration;
