//! Messages of protobuf within types of serde, in the JSON that Mesos speaks:
//! for `#[serde(with = "...")]` on fields that hold one, perhaps one, or many of
//! them, and for the bytes and enums beside them.

use mesos_proto::json;
use prost::{Message, Name};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// One message.
pub(crate) mod one {
    use super::{Deserializer, Held, Message, Name, Serialize, Serializer, held};

    pub(crate) fn serialize<M, S>(message: &M, serializer: S) -> Result<S::Ok, S::Error>
    where
        M: Message + Name + Default,
        S: Serializer,
    {
        held::<M, S::Error>(message)?.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, M, D>(deserializer: D) -> Result<M, D::Error>
    where
        M: Message + Name + Default,
        D: Deserializer<'de>,
    {
        let held = <Held as super::Deserialize>::deserialize(deserializer)?;
        super::read(&held)
    }
}

/// A message that may be absent.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Held, Message, Name, Serialize, Serializer, held};

    pub(crate) fn serialize<M, S>(message: &Option<M>, serializer: S) -> Result<S::Ok, S::Error>
    where
        M: Message + Name + Default,
        S: Serializer,
    {
        let message = message.as_ref().map(held::<M, S::Error>).transpose()?;
        message.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, M, D>(deserializer: D) -> Result<Option<M>, D::Error>
    where
        M: Message + Name + Default,
        D: Deserializer<'de>,
    {
        let held = Option::<Held>::deserialize(deserializer)?;
        held.as_deref().map(super::read).transpose()
    }
}

/// Any number of messages.
pub(crate) mod many {
    use super::{Deserialize, Deserializer, Held, Message, Name, Serialize, Serializer, held};

    pub(crate) fn serialize<M, S>(messages: &[M], serializer: S) -> Result<S::Ok, S::Error>
    where
        M: Message + Name + Default,
        S: Serializer,
    {
        let messages: Vec<Held> = messages
            .iter()
            .map(held::<M, S::Error>)
            .collect::<Result<_, _>>()?;
        messages.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, M, D>(deserializer: D) -> Result<Vec<M>, D::Error>
    where
        M: Message + Name + Default,
        D: Deserializer<'de>,
    {
        let held = Vec::<Held>::deserialize(deserializer)?;
        held.iter().map(|held| super::read(held)).collect()
    }
}

/// Messages under names.
pub(crate) mod by_name {
    use std::collections::BTreeMap;

    use super::{Deserialize, Deserializer, Held, Message, Name, Serialize, Serializer, held};

    pub(crate) fn serialize<M, S>(
        messages: &BTreeMap<String, M>,
        serializer: S,
    ) -> Result<S::Ok, S::Error>
    where
        M: Message + Name + Default,
        S: Serializer,
    {
        let messages: BTreeMap<&String, Held> = messages
            .iter()
            .map(|(name, message)| Ok((name, held(message)?)))
            .collect::<Result<_, S::Error>>()?;
        messages.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, M, D>(deserializer: D) -> Result<BTreeMap<String, M>, D::Error>
    where
        M: Message + Name + Default,
        D: Deserializer<'de>,
    {
        let held = BTreeMap::<String, Held>::deserialize(deserializer)?;
        held.into_iter()
            .map(|(name, held)| Ok((name, super::read(&held)?)))
            .collect()
    }
}

/// Bytes, as base64.
pub(crate) mod bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;

    use super::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<B, S>(bytes: &B, serializer: S) -> Result<S::Ok, S::Error>
    where
        B: AsRef<[u8]>,
        S: Serializer,
    {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, B, D>(deserializer: D) -> Result<B, D::Error>
    where
        B: From<Vec<u8>>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Ok(bytes.into())
    }
}

/// The state of a task, by its name.
pub(crate) mod task_state {
    use mesos_sdk::v1::TaskState;
    use serde::de::Error as _;

    use super::{Deserialize, Deserializer, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde gives fields by reference"
    )]
    pub(crate) fn serialize<S: Serializer>(
        state: &TaskState,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.as_str_name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TaskState, D::Error> {
        let name = String::deserialize(deserializer)?;
        TaskState::from_str_name(&name)
            .ok_or_else(|| D::Error::custom(format!("`{name}` is no state of a task")))
    }
}

/// The text of one message.
type Held = Box<RawValue>;

fn held<M, E>(message: &M) -> Result<Held, E>
where
    M: Message + Name + Default,
    E: serde::ser::Error,
{
    RawValue::from_string(json::to_string(message)).map_err(E::custom)
}

fn read<M, E>(held: &RawValue) -> Result<M, E>
where
    M: Message + Name + Default,
    E: serde::de::Error,
{
    json::from_str(held.get()).map_err(E::custom)
}
