//! Several `mesos-local` processes that elect a leader in a real ZooKeeper,
//! which the tests start; see the server's file for when they are skipped.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

mod group;
mod kills;
mod programs;
#[path = "../../../mesos-sdk/tests/zookeeper/server.rs"]
mod server;
