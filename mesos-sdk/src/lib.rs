//! Write Apache Mesos frameworks in Rust.

pub use mesos_proto::v1;
