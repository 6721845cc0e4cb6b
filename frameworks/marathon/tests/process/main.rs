//! The program as a process: its command line, its signals, its exit statuses,
//! and what outlives it.

#![expect(clippy::unwrap_used, reason = "a test fails where its world does")]

#[path = "../tutorial/client.rs"]
mod client;
mod command_line;
mod deployments;
mod discovery;
mod docker;
mod instance;
mod killed;
mod library;
mod removed;
#[path = "../../../../mesos-sdk/tests/zookeeper/server.rs"]
mod server;
mod together;
mod unhealthy;
mod world;
