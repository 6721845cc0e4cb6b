//! The API as its contract has it, asked over HTTP: statuses, headers and bodies
//! that clients depend on.

#![expect(clippy::unwrap_used, reason = "a test fails where its world does")]

mod apps;
#[path = "../tutorial/client.rs"]
mod client;
mod events;
mod groups;
mod queue;
mod server;
mod tasks;
