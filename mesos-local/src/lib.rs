//! An Apache Mesos master and agents in one process.

pub mod agent;
pub mod allocator;
pub mod duration;
#[expect(dead_code, reason = "master and agents answer through it")]
mod http;
pub mod master;
pub mod messages;
mod random;
pub mod time;
mod version;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the master's handler shows them")
)]
mod views;
