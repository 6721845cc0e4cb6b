//! A JSON value that borrows from its text. Strings are bytes, because Mesos
//! lets any bytes stand in them.

use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// A whole number above the range of `Int`.
    Uint(u64),
    /// Any other number; finite.
    Float(f64),
    String(Cow<'a, [u8]>),
    Array(Vec<Value<'a>>),
    /// Ordered by key, each key once.
    Object(Vec<(Cow<'a, [u8]>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// An object in which the last of several equal keys counts.
    pub(super) fn object(mut members: Vec<(Cow<'a, [u8]>, Self)>) -> Self {
        if !members.is_sorted_by(|a, b| a.0 < b.0) {
            members.reverse();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.dedup_by(|later, first| later.0 == first.0);
        }
        Self::Object(members)
    }

    /// What Mesos calls a value of this type in its messages.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::Uint(_) | Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    pub(super) fn from_serde(value: &'a serde_json::Value) -> Self {
        use serde_json::Value as Serde;
        match value {
            Serde::Null => Self::Null,
            Serde::Bool(value) => Self::Bool(*value),
            Serde::Number(number) => {
                if let Some(value) = number.as_i64() {
                    Self::Int(value)
                } else if let Some(value) = number.as_u64() {
                    Self::Uint(value)
                } else {
                    Self::Float(number.as_f64().unwrap_or(f64::INFINITY))
                }
            }
            Serde::String(text) => Self::String(Cow::Borrowed(text.as_bytes())),
            Serde::Array(values) => Self::Array(values.iter().map(Self::from_serde).collect()),
            Serde::Object(members) => Self::object(
                members
                    .iter()
                    .map(|(key, value)| (Cow::Borrowed(key.as_bytes()), Self::from_serde(value)))
                    .collect(),
            ),
        }
    }

    pub(super) fn into_serde(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Uint(value) => value.into(),
            Self::Float(value) => value.into(),
            Self::String(text) => text_of(&text).into(),
            Self::Array(values) => values.into_iter().map(Self::into_serde).collect(),
            Self::Object(members) => members
                .into_iter()
                .map(|(key, value)| (text_of(&key).into_owned(), value.into_serde()))
                .collect(),
        }
    }
}

/// The bytes as text; what is not UTF-8 becomes U+FFFD.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
