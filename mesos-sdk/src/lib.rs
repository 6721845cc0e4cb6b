//! Write Apache Mesos frameworks in Rust.

pub mod address;
pub mod attributes;
pub mod client;
pub mod credentials;
pub mod detect;
pub mod error;
pub mod framework_info;
pub mod ids;
pub mod offer;
pub mod operator;
pub mod reconciler;
pub mod recordio;
pub mod resources;
pub mod scheduler;
pub mod session;
pub mod status;
pub mod task;
pub mod transport;

pub use error::{CallError, Error};
pub use mesos_proto::v1;
