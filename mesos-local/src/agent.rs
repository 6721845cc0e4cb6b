//! An agent: it runs tasks as real processes and reports what becomes of them.

mod config;
mod warden;

pub use config::{AgentConfig, AgentLimits};
pub use warden::Warden;
