//! Attributes of agents: `rack:r1;zone:a;level:10;range:[1-5]`
//! (`docs/attributes-resources.md`).

use mesos_proto::v1;

use crate::resources::{ParseError, Ranges, Scalar, parse_value};

/// Reads attributes. The type follows from the value: `[1-5]` are ranges, a
/// number is a scalar, everything else is text.
///
/// # Errors
///
/// [`ParseError`] names the entry and what would be right.
pub fn parse(text: &str) -> Result<Vec<v1::Attribute>, ParseError> {
    text.split([';', '\n'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(parse_entry)
        .collect()
}

fn parse_entry(entry: &str) -> Result<v1::Attribute, ParseError> {
    let (name, value) = entry
        .split_once(':')
        .map(|(name, value)| (name.trim(), value.trim()))
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or_else(|| ParseError::Form {
            entry: entry.to_owned(),
        })?;
    let wrong = |reason: String| ParseError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        reason,
    };
    let parsed = parse_value(value).map_err(wrong)?;
    if parsed.set.is_some() {
        return Err(wrong("attributes cannot be sets".to_owned()));
    }
    Ok(v1::Attribute {
        name: name.to_owned(),
        r#type: parsed.r#type,
        scalar: parsed.scalar,
        ranges: parsed.ranges,
        text: parsed.text,
        ..Default::default()
    })
}

/// The value of an attribute as text: `r1`, `10`, `[1-5]`.
#[must_use]
pub fn value_text(attribute: &v1::Attribute) -> String {
    if let Some(text) = &attribute.text {
        return text.value.clone();
    }
    if let Some(scalar) = &attribute.scalar {
        return Scalar::from_f64(scalar.value).to_string();
    }
    if let Some(ranges) = &attribute.ranges {
        return Ranges::from(ranges).to_string();
    }
    let items = attribute.set.as_ref().map_or(&[][..], |set| &set.item);
    format!("{{{}}}", items.join(", "))
}

/// Attributes in the form that [`parse`] reads.
#[must_use]
pub fn display(attributes: &[v1::Attribute]) -> String {
    let entries: Vec<String> = attributes
        .iter()
        .map(|attribute| format!("{}:{}", attribute.name, value_text(attribute)))
        .collect();
    entries.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_from_the_value() {
        let attributes = parse("rack:r1; zone:a;level:10;range:[1-5]").unwrap();
        let types: Vec<_> = attributes.iter().map(v1::Attribute::r#type).collect();
        use v1::value::Type::{Ranges, Scalar, Text};
        assert_eq!(types, [Text, Text, Scalar, Ranges]);
        assert_eq!(display(&attributes), "rack:r1;zone:a;level:10;range:[1-5]");
    }

    #[test]
    fn what_is_no_attribute_is_named() {
        let error = parse("rack:r1;zone").unwrap_err().to_string();
        assert!(error.contains("`zone`"), "{error}");
        assert!(parse("set:{a,b}").is_err());
        assert!(parse("r:[5-1]").is_err());
    }
}
