//! The text forms of resources: `cpus:4;disk(role):10;ports:[31000-32000]`, and
//! a JSON array of `Resource` objects (`docs/attributes-resources.md`).

use mesos_proto::v1;

use super::{Ranges, Resources, validate};

/// Text that is no resource, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// An entry is not of the form `name:value` or `name(role):value`.
    #[error("`{entry}` is not of the form `name:value` or `name(role):value`")]
    Form {
        /// The entry as written.
        entry: String,
    },
    /// A value cannot be read.
    #[error("bad value `{value}` of `{name}`: {reason}")]
    Value {
        /// The resource or attribute.
        name: String,
        /// The value as written.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The value can be read but is no valid resource.
    #[error("bad resource `{name}`: {reason}")]
    Invalid {
        /// The resource.
        name: String,
        /// What Mesos would say.
        reason: String,
    },
    /// The JSON form cannot be read.
    #[error("bad JSON: {reason}")]
    Json {
        /// What is wrong with it.
        reason: String,
    },
}

impl Resources {
    /// Reads resources in either text form. A resource without a role belongs
    /// to `default_role`; any role but `*` makes a static reservation.
    ///
    /// # Errors
    ///
    /// [`ParseError`] names the entry and what would be right.
    pub fn parse(text: &str, default_role: &str) -> Result<Self, ParseError> {
        let resources = if text.trim_start().starts_with('[') {
            parse_json(text)?
        } else {
            parse_text(text, default_role)?
        };
        for resource in &resources {
            validate::validate_one(resource).map_err(|reason| ParseError::Invalid {
                name: resource.name.clone(),
                reason,
            })?;
        }
        Ok(Self::from(resources))
    }
}

impl std::str::FromStr for Resources {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text, "*")
    }
}

fn parse_text(text: &str, default_role: &str) -> Result<Vec<v1::Resource>, ParseError> {
    text.split([';', '\n'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| parse_entry(entry, default_role))
        .collect()
}

fn parse_entry(entry: &str, default_role: &str) -> Result<v1::Resource, ParseError> {
    let form = || ParseError::Form {
        entry: entry.to_owned(),
    };
    let (head, value) = entry.split_once(':').ok_or_else(form)?;
    let (name, role) = match head.split_once('(') {
        Some((name, role)) => (name, role.trim_end().strip_suffix(')').ok_or_else(form)?),
        None => (head, default_role),
    };
    let name = name.trim();
    if name.is_empty() || value.trim().is_empty() {
        return Err(form());
    }
    let wrong = |reason: String| ParseError::Value {
        name: name.to_owned(),
        value: value.trim().to_owned(),
        reason,
    };
    let mut resource = v1::Resource {
        name: name.to_owned(),
        ..Default::default()
    };
    let parsed = parse_value(value).map_err(wrong)?;
    resource.r#type = parsed.r#type;
    match (parsed.scalar, parsed.ranges, parsed.set) {
        (Some(scalar), _, _) => resource.scalar = Some(scalar),
        (_, Some(ranges), _) => resource.ranges = Some(ranges),
        (_, _, Some(set)) => resource.set = Some(set),
        _ => {
            return Err(wrong(
                "is neither a number, nor [ranges], nor a {set}".to_owned(),
            ));
        }
    }
    if role != "*" {
        resource.reservations.push(v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Static as i32),
            role: Some(role.to_owned()),
            ..Default::default()
        });
    }
    Ok(resource)
}

fn parse_json(text: &str) -> Result<Vec<v1::Resource>, ParseError> {
    let wrong = |reason: String| ParseError::Json { reason };
    let values: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    values
        .iter()
        .map(|value| mesos_proto::json::from_value(value).map_err(|error| wrong(error.to_string())))
        .collect()
}

/// Reads a value as Mesos does: `[1-5,7-9]` are ranges, `{a,b}` is a set, a
/// number that is not negative is a scalar, everything else is text. Spaces do
/// not count.
///
/// # Errors
///
/// What is wrong, as a fragment.
pub fn parse_value(text: &str) -> Result<v1::Value, String> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    let mut value = v1::Value::default();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("has no closing `]`")?;
        value.set_type(v1::value::Type::Ranges);
        value.ranges = Some(parse_ranges(inner)?.into());
    } else if let Some(inner) = text.strip_prefix('{') {
        let inner = inner.strip_suffix('}').ok_or("has no closing `}`")?;
        value.set_type(v1::value::Type::Set);
        let item = inner.split(',').filter(|item| !item.is_empty());
        value.set = Some(v1::value::Set {
            item: item.map(str::to_owned).collect(),
        });
    } else if let Some(stray) = text.find(['[', ']', '{', '}']) {
        return Err(format!("has a stray bracket at position {stray}"));
    } else {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => {
                value.set_type(v1::value::Type::Scalar);
                value.scalar = Some(v1::value::Scalar { value: number });
            }
            _ => {
                value.set_type(v1::value::Type::Text);
                value.text = Some(v1::value::Text { value: text });
            }
        }
    }
    Ok(value)
}

fn parse_ranges(inner: &str) -> Result<Ranges, String> {
    let mut ranges = Ranges::new();
    for part in inner.split([',', '\n']).filter(|part| !part.is_empty()) {
        let wrong = || format!("`{part}` is not of the form first-last");
        let (begin, end) = part.split_once('-').ok_or_else(wrong)?;
        let begin: u64 = begin.parse().map_err(|_| wrong())?;
        let end: u64 = end.parse().map_err(|_| wrong())?;
        if begin > end {
            return Err(format!("range `{part}` ends before it begins"));
        }
        ranges.insert(begin, end);
    }
    Ok(ranges)
}
