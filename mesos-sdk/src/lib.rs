//! Write Apache Mesos frameworks in Rust.

pub mod attributes;
pub mod ids;
pub mod recordio;
pub mod resources;

pub use mesos_proto::v1;
