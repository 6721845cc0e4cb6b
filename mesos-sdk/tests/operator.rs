//! The operator's side against a scripted server: every call is typed, events
//! heal and fill the cluster, files are followed, containers are spoken with.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

#[path = "operator/calls.rs"]
mod calls;
#[path = "operator/container.rs"]
mod container;
#[path = "operator/files.rs"]
mod files;
#[path = "operator/server.rs"]
mod server;
#[path = "operator/watch.rs"]
mod watch;
