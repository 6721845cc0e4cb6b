//! What the executor's driver promises, each promise as a test against a
//! scripted agent: nothing that was told is lost, an agent that is away is
//! waited for if and only if the framework checkpoints, a shutdown ends in time,
//! and the token is the executor's own.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

#[path = "executor/agent.rs"]
mod agent;
#[path = "executor/driver.rs"]
mod driver;
#[path = "executor/token.rs"]
mod token;
