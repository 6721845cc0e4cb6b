//! An Apache Mesos master and agents in one process.

pub mod messages;
