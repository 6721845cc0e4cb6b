//! The protobuf encoding, with the check that `prost` leaves out: in the Mesos
//! API many fields are required, and a message without them is refused.

mod reader;
mod required;
mod rewrite;

use bytes::Bytes;

pub(crate) use reader::{Reader, Value};
pub(crate) use required::missing;

use crate::schema::Schema;

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not protobuf, or of another message.
    #[error("malformed protobuf: {reason}")]
    Malformed {
        /// What was expected and where.
        reason: String,
    },
    /// Fields that every such message has are absent.
    #[error("Missing required fields: {}", paths.join(", "))]
    MissingFields {
        /// The fields from the root, such as `subscribe.framework_info.user`
        /// or `operations[0].launch.task_infos[1].task_id`; the first hundred.
        paths: Vec<String>,
    },
}

/// Decodes a message and checks that its required fields are present, as a
/// master does. Fields of type `bytes` share memory with `body`. Bytes in a
/// string that are no UTF-8 become U+FFFD.
///
/// # Errors
/// [`Error::Malformed`] when the bytes are not this message;
/// [`Error::MissingFields`] when required fields are absent.
///
/// # Examples
/// ```
/// use mesos_proto::{v1, wire};
///
/// let id = v1::FrameworkId { value: "f-1".into() };
/// let bytes = wire::encode(&id);
/// assert_eq!(wire::decode::<v1::FrameworkId>(bytes)?, id);
///
/// let error = wire::decode::<v1::FrameworkId>(Vec::new().into()).unwrap_err();
/// assert_eq!(error.to_string(), "Missing required fields: value");
/// # Ok::<(), wire::Error>(())
/// ```
pub fn decode<M>(body: Bytes) -> Result<M, Error>
where
    M: prost::Message + prost::Name + Default,
{
    let schema = Schema::get();
    let table = schema.of::<M>();
    let message = match M::decode(body.clone()) {
        Ok(message) => message,
        // Another look, for the only thing that Mesos takes and `prost` does not.
        Err(error) => rewrite::rewrite(schema, table, &body)
            .ok()
            .and_then(|mended| M::decode(Bytes::from(mended)).ok())
            .ok_or_else(|| Error::Malformed {
                reason: error.to_string(),
            })?,
    };
    match missing(schema, table, &body) {
        Ok(paths) if paths.is_empty() => Ok(message),
        Ok(paths) => Err(Error::MissingFields { paths }),
        Err(reader::Malformed) => Err(Error::Malformed {
            reason: "a field is cut off".to_owned(),
        }),
    }
}

/// Encodes a message so that Mesos can read it. What `prost` writes by itself
/// is not always that: it leaves out values of maps that are zero.
pub fn encode<M>(message: &M) -> Bytes
where
    M: prost::Message + prost::Name,
{
    let schema = Schema::get();
    let table = schema.of::<M>();
    let bytes = message.encode_to_vec();
    if let Ok(false) = required::is_complete(schema, table, &bytes)
        && let Ok(complete) = rewrite::rewrite(schema, table, &bytes)
    {
        return Bytes::from(complete);
    }
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests;
