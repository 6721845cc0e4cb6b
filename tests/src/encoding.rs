//! The two encodings of the API. Dialogues are written and compared as JSON
//! values; what goes over the wire is JSON text, or protobuf.

use bytes::Bytes;
use mesos_proto::{json, wire};
use mesos_sdk::v1::{master, scheduler};
use serde_json::Value;

use crate::framework::SCHEDULER;

/// How calls are written, or events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `application/json`
    #[default]
    Json,
    /// `application/x-protobuf`
    Protobuf,
}

impl Encoding {
    /// Its name in headers.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The encoding that a response says it has.
    #[must_use]
    pub fn of(headers: &http::HeaderMap) -> Self {
        let value = headers.get(http::header::CONTENT_TYPE);
        if value.is_some_and(|value| value == Self::Protobuf.media_type()) {
            Self::Protobuf
        } else {
            Self::Json
        }
    }

    /// A call that a master understands at a path.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn call(self, path: &str, call: &Value) -> Bytes {
        if self == Self::Json {
            return call.to_string().into();
        }
        let none = |error: json::Error| -> Bytes { panic!("{call} is no call: {error}") };
        if path == SCHEDULER {
            let call = json::from_value::<scheduler::Call>(call);
            call.map_or_else(none, |call| wire::encode(&call))
        } else {
            let call = json::from_value::<master::Call>(call);
            call.map_or_else(none, |call| wire::encode(&call))
        }
    }

    /// An event that a master sends to those who subscribed at a path. What is
    /// no event is a string of what it is.
    #[must_use]
    pub fn event(self, path: &str, record: Bytes) -> Value {
        let read = match self {
            Self::Json => serde_json::from_slice(&record).ok(),
            Self::Protobuf if path == SCHEDULER => {
                let event = wire::decode::<scheduler::Event>(record.clone());
                event.ok().map(|event| as_printed(&event))
            }
            Self::Protobuf => {
                let event = wire::decode::<master::Event>(record.clone());
                event.ok().map(|event| as_printed(&event))
            }
        };
        read.unwrap_or_else(|| Value::String(String::from_utf8_lossy(&record).into_owned()))
    }
}

/// A message as a master prints it in JSON.
#[must_use]
pub fn as_printed<M>(message: &M) -> Value
where
    M: prost::Message + prost::Name + Default,
{
    serde_json::from_slice(&json::to_vec_with_defaults(message)).unwrap_or_default()
}
