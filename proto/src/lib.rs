//! The Apache Mesos v1 API as Rust types: every message of the scheduler,
//! executor, operator and resource provider APIs, and the two encodings in
//! which Mesos speaks them.
//!
//! | module | holds |
//! |---|---|
//! | [`v1`] | the messages that the APIs share; each API has a module of its own in it, such as [`v1::scheduler`] |
//! | [`json`] | messages to JSON and back, by the rules of Mesos, which are not those of protobuf 3 |
//! | [`wire`] | messages to protobuf and back, with the check for required fields |
//!
//! The types are made by `prost` from the `.proto` files of this package; no
//! `protoc` is needed to build it. An optional field is an `Option`, a required
//! one is bare, and an enum is an `i32` with a method of the field's name that
//! gives the enum, or its default when the number is unknown.
//!
//! ```
//! use mesos_proto::{json, v1, v1::scheduler::{Call, Event, call, event}, wire};
//!
//! // What a framework sends to decline an offer.
//! let call = Call {
//!     framework_id: Some(v1::FrameworkId { value: "f-1".into() }),
//!     r#type: Some(call::Type::Decline.into()),
//!     decline: Some(call::Decline {
//!         offer_ids: vec![v1::OfferId { value: "o-1".into() }],
//!         filters: Some(v1::Filters { refuse_seconds: Some(60.0) }),
//!     }),
//!     ..Call::default()
//! };
//! assert_eq!(
//!     json::to_string(&call),
//!     r#"{"framework_id":{"value":"f-1"},"type":"DECLINE","decline":{"offer_ids":[{"value":"o-1"}],"filters":{"refuse_seconds":60.0}}}"#,
//! );
//! assert_eq!(wire::decode::<Call>(wire::encode(&call))?, call);
//!
//! // What a master answers.
//! let event: Event = json::from_str(
//!     r#"{"type": "RESCIND", "rescind": {"offer_id": {"value": "o-2"}}}"#,
//! )?;
//! assert_eq!(event.r#type(), event::Type::Rescind);
//! assert_eq!(event.rescind.map(|rescind| rescind.offer_id.value), Some("o-2".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod json;
mod schema;
#[allow(
    clippy::all,
    clippy::allow_attributes,
    clippy::semicolon_if_nothing_returned,
    reason = "generated from the .proto files"
)]
pub mod v1;
pub mod wire;

/// The descriptors of every message, as an encoded
/// `google.protobuf.FileDescriptorSet` without comments: for tools that look
/// at messages by name.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The examples of the README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
