//! Gives everything that reads bytes from outside bytes that nobody thinks of:
//! recorded dialogues, changed at random but repeatably.
//!
//! A target is a function of bytes that panics when a promise is broken and
//! otherwise says what kind of outcome it was. Inputs that lead to an outcome
//! of a new kind are kept and changed further.

pub mod corpus;
pub mod mutate;
pub mod run;
pub mod targets;
