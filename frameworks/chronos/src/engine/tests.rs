//! The engine in a world of its own: offers, tasks and time are given to it.

mod chance;
mod dependencies;
mod failures;
mod lateness;
mod requests;
mod tasks;
mod world;
