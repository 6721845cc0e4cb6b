//! The Apache Mesos v1 API as Rust types.

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes,
    clippy::semicolon_if_nothing_returned,
    reason = "generated from the .proto files"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/mesos_v1.rs"));
}

pub mod json;
mod schema;
pub mod wire;

pub use generated::mesos::v1;

/// The descriptors of every message, as an encoded
/// `google.protobuf.FileDescriptorSet` without comments: for tools that look
/// at messages by name.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
