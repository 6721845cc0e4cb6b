//! Chronos: runs jobs when they are due, or after the jobs they depend on.
//!
//! - Values: `job` (what is to run), `schedule` (when), `run`, `progress` (what
//!   became of it), `input` and `show` (jobs as clients send and see them).
//! - Logic: `state` (all that is known, as keys and values) and `engine`, which
//!   steps it: it never waits, reads a clock or draws chance.
//! - Io: `machine` (the engine on the event loop), `api`, `io`, `notify`. It waits
//!   and decides nothing.

pub mod api;
pub mod args;
pub mod effects;
pub mod engine;
pub mod input;
pub mod io;
pub mod job;
pub mod machine;
pub mod notify;
pub mod progress;
pub mod request;
pub mod run;
pub mod schedule;
pub mod show;
pub mod state;
pub mod timestamp;
