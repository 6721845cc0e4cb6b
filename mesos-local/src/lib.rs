//! An Apache Mesos master and agents in one process.

pub mod agent;
pub mod messages;
pub mod time;
