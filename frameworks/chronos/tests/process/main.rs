//! The program as a process: the tutorial, the requests of clients of either
//! generation, what survives `kill -9`, and who leads.

#![expect(clippy::unwrap_used, reason = "a test fails where its world does")]

mod burst;
mod client;
mod clients;
mod instance;
mod kills;
#[path = "../../../../mesos-sdk/tests/zookeeper/server.rs"]
mod server;
mod together;
mod tutorial;
