//! Chronos: runs jobs when they are due, or after the jobs they depend on.
//!
//! Values: `schedule` (when a job is due). Logic decides without waiting,
//! reading a clock or drawing chance; io waits and decides nothing.

pub mod notify;
pub mod schedule;
