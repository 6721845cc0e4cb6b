//! An Apache Mesos master and agents in one process.

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

pub use cluster::{AgentPlace, AgentSpec, Cluster, ClusterBuilder, ClusterConfig, Error};
pub use connect::connect;
pub use mesos_sdk::duration;
