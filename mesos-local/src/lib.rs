//! An Apache Mesos master and agents in one process.

pub mod agent;
pub mod duration;
#[expect(dead_code, reason = "master and agents answer through it")]
mod http;
pub mod messages;
pub mod time;
#[expect(dead_code, reason = "the master's handler shows it")]
mod version;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the master's handler shows them")
)]
mod views;
