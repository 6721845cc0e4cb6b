//! Reads bodies of requests, and says where they are wrong.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::violations::Violations;

/// A body that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJson {
    /// It is no JSON; what the parser says.
    #[error("{0}")]
    Syntax(String),
    /// Something in it is of another type.
    #[error("{0}")]
    Types(Violations),
}

/// Reads a body that is an object. A member that is `null` is as good as absent.
///
/// # Errors
///
/// When it is no JSON, or another than what is asked for.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidJson> {
    decode(parse(body, Value::is_object, "an object")?)
}

/// The same of a body that is a list of objects.
///
/// # Errors
///
/// When it is no JSON, or another than what is asked for.
pub fn read_list<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, InvalidJson> {
    decode(parse(body, Value::is_array, "an array")?)
}

/// The same of a body that is a list of texts.
///
/// # Errors
///
/// When it is no JSON, or another than what is asked for.
pub fn read_texts(body: &[u8]) -> Result<Vec<String>, InvalidJson> {
    decode(parse(body, Value::is_array, "an array")?)
}

fn parse(body: &[u8], is_it: fn(&Value) -> bool, name: &str) -> Result<Value, InvalidJson> {
    let mut value: Value =
        serde_json::from_slice(body).map_err(|error| InvalidJson::Syntax(error.to_string()))?;
    if !is_it(&value) {
        let mut wrong = Violations::new();
        wrong.add("/", format!("must be {name}"));
        return Err(InvalidJson::Types(wrong));
    }
    drop_nulls(&mut value);
    Ok(value)
}

fn decode<T: DeserializeOwned>(value: Value) -> Result<T, InvalidJson> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut wrong = Violations::new();
        wrong.add(path(error.path()), error.inner().to_string());
        InvalidJson::Types(wrong)
    })
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// `/container/docker/image`, `/constraints(0)(1)`.
fn path(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("({index})")),
            Segment::Map { key } => text.push_str(&format!("/{key}")),
            Segment::Enum { variant } => text.push_str(&format!("/{variant}")),
            Segment::Unknown => {}
        }
    }
    if text.is_empty() {
        "/".to_owned()
    } else {
        text
    }
}
