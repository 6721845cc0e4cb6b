//! Jobs that are due run, once, though leaders and agents are killed and the
//! network falls apart in halves.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod bug;
mod gate;
mod judge;
mod node;
mod outside;
mod process;
mod real;
#[expect(dead_code, reason = "other tests restart it, too")]
#[path = "../../../../mesos-sdk/tests/zookeeper/server.rs"]
mod server;
mod simulation;
