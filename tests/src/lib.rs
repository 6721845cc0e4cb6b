//! Dialogues with a master over HTTP, for the tests of this package: recorded
//! ones to replay, a client that speaks JSON and protobuf, and comparison up to
//! ids, times and host names.
//!
//! The master is a `mesos_local::Cluster`, or the one that `MESOS_MASTER` (and
//! `MESOS_AGENT`) name.

pub mod captures;
pub mod compare;
pub mod encoding;
pub mod engine;
pub mod fixture;
pub mod framework;
pub mod openapi;
pub mod saved;
pub mod scenes;
pub mod wiretap;

/// The framework of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
