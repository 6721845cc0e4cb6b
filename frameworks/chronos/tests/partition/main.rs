//! Jobs that are due run, once, though leaders and agents are killed and the
//! network falls apart in halves.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod bug;
mod judge;
mod outside;
mod process;
mod simulation;
