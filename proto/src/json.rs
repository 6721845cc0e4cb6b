//! The JSON that Mesos speaks. It is not the JSON mapping of protobuf 3:
//!
//! - names are the snake_case ones of the `.proto` files;
//! - enums are written by name, and numbers are refused;
//! - `bytes` are base64;
//! - 64-bit integers are JSON numbers;
//! - a `double` always has a fraction or an exponent (`8.0`);
//! - a field that is not set is absent.
//!
//! What is read is a little wider, as a master reads: unknown fields and `null`
//! are passed over, an unknown name in an enum that is not required leaves the
//! field unset, numbers and booleans may stand in strings, one value may stand
//! for a list of one, of a repeated key the last counts, and bytes in a string
//! that are no UTF-8 become U+FFFD. Where a master would wrap a number that is
//! too large around, it is refused here.
//!
//! ```
//! use mesos_proto::{json, v1::scheduler::{Call, call::Type}};
//!
//! let call: Call = json::from_str(
//!     r#"{"type": "REVIVE", "framework_id": {"value": "f-1"}, "revive": {"roles": ["db"]}}"#,
//! )?;
//! assert_eq!(call.r#type(), Type::Revive);
//! assert_eq!(
//!     json::to_string(&call),
//!     r#"{"framework_id":{"value":"f-1"},"type":"REVIVE","revive":{"roles":["db"]}}"#,
//! );
//!
//! let error = json::from_str::<Call>(r#"{"framework_id": {}}"#).unwrap_err();
//! assert_eq!(error.to_string(), "Missing required fields: framework_id.value");
//! # Ok::<(), json::Error>(())
//! ```

mod parse;
mod read;
mod value;
mod write;

use bytes::Bytes;

use crate::{schema::Schema, wire};
use value::Value;

/// Why a text is not the message it should be. The texts are Mesos's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not JSON. A master answers `Failed to parse body into
    /// JSON: ` and this.
    #[error("{message}")]
    Syntax {
        /// What is wrong and where, such as `syntax error at line 1 near: }`.
        message: String,
    },
    /// It is JSON, but not of this message. A master answers `Failed to
    /// convert JSON into Call protobuf: ` and this.
    #[error("{message}")]
    Convert {
        /// Which field is wrong, such as `Missing required fields: type`.
        message: String,
    },
}

/// The message as JSON text, in the order of field numbers.
pub fn to_string<M>(message: &M) -> String
where
    M: prost::Message + prost::Name + Default,
{
    String::from_utf8(to_vec(message)).expect("strings in a message are UTF-8")
}

/// The message as the bytes of JSON text.
pub fn to_vec<M>(message: &M) -> Vec<u8>
where
    M: prost::Message + prost::Name + Default,
{
    write(message, write::Unset::Absent)
}

/// The message as JSON text the way a master prints it: optional fields that
/// have a declared default, and are not deprecated, appear with that default
/// while they are unset.
pub fn to_vec_with_defaults<M>(message: &M) -> Vec<u8>
where
    M: prost::Message + prost::Name + Default,
{
    write(message, write::Unset::Default)
}

fn write<M>(message: &M, unset: write::Unset) -> Vec<u8>
where
    M: prost::Message + prost::Name + Default,
{
    let schema = Schema::get();
    write::write(schema, schema.of::<M>(), &message.encode_to_vec(), unset)
}

/// The message as a JSON value.
pub fn to_value<M>(message: &M) -> serde_json::Value
where
    M: prost::Message + prost::Name + Default,
{
    parse::parse(&to_vec(message), usize::MAX)
        .expect("what is written can be read")
        .into_serde()
}

/// Reads a message from the bytes of a JSON text.
///
/// # Errors
/// [`Error::Syntax`] when it is not JSON, or nested deeper than 200 levels;
/// [`Error::Convert`] when a field is of another type or out of range, or when
/// required fields are missing.
pub fn from_slice<M>(text: &[u8]) -> Result<M, Error>
where
    M: prost::Message + prost::Name + Default,
{
    convert(&parse::parse(text, parse::MAX_DEPTH)?)
}

/// Reads a message from JSON text.
///
/// # Errors
/// As [`from_slice`].
pub fn from_str<M>(text: &str) -> Result<M, Error>
where
    M: prost::Message + prost::Name + Default,
{
    from_slice(text.as_bytes())
}

/// Reads a message from a JSON value.
///
/// # Errors
/// [`Error::Convert`], as [`from_slice`].
pub fn from_value<M>(value: &serde_json::Value) -> Result<M, Error>
where
    M: prost::Message + prost::Name + Default,
{
    convert(&Value::from_serde(value))
}

fn convert<M>(value: &Value<'_>) -> Result<M, Error>
where
    M: prost::Message + prost::Name + Default,
{
    let schema = Schema::get();
    let bytes = read::read(schema, schema.of::<M>(), value)
        .map_err(|message| Error::Convert { message })?;
    wire::decode(Bytes::from(bytes)).map_err(|error| Error::Convert {
        message: error.to_string(),
    })
}

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
