//! The protobuf encoding, with the check that `prost` leaves out: in the Mesos
//! API many fields are required, and a message without them is refused.

mod reader;
mod required;

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
        /// or `operations[0].launch.task_infos[1].task_id`.
        paths: Vec<String>,
    },
}

/// Decodes a message and checks that its required fields are present, as a
/// master does. Fields of type `bytes` share memory with `body`.
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
    let message = M::decode(body.clone()).map_err(|error| Error::Malformed {
        reason: error.to_string(),
    })?;
    let schema = Schema::get();
    match missing(schema, schema.of::<M>(), &body) {
        Ok(paths) if paths.is_empty() => Ok(message),
        Ok(paths) => Err(Error::MissingFields { paths }),
        Err(reader::Malformed) => Err(Error::Malformed {
            reason: "a field is cut off".to_owned(),
        }),
    }
}

/// Encodes a message.
pub fn encode<M: prost::Message>(message: &M) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

#[cfg(test)]
mod tests;
