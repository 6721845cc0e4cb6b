//! Finds the required fields that an encoded message lacks.

use std::collections::BTreeMap;

use super::{Reader, Value, reader::Malformed};
use crate::schema::{Kind, Message, Schema};

/// How many paths are told. A short message can lack millions of fields.
const MOST: usize = 100;

/// The paths of absent required fields; empty when nothing is missing.
pub(crate) fn missing(
    schema: &Schema,
    message: &Message,
    bytes: &[u8],
) -> Result<Vec<String>, Malformed> {
    let mut paths = Vec::new();
    if !is_complete(schema, message, bytes)? {
        collect(schema, message, bytes, "", &mut paths)?;
        paths.truncate(MOST);
    }
    Ok(paths)
}

/// The quick look: true when nothing is missing. A message that comes in
/// several parts may look incomplete here, which `collect` then sorts out.
pub(super) fn is_complete(
    schema: &Schema,
    message: &Message,
    bytes: &[u8],
) -> Result<bool, Malformed> {
    if !message.is_checked {
        return Ok(true);
    }
    let mut seen = 0;
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        let Some(field) = message.field(number) else {
            continue;
        };
        seen |= field.bit();
        if let (Kind::Message(inner), Value::Bytes(bytes)) = (field.kind, value)
            && !is_complete(schema, schema.message(inner), bytes)?
        {
            return Ok(false);
        }
    }
    // A map's entry without a value holds an empty one.
    let has_value = match message.entry_value() {
        Some(field) if seen & field.bit() == 0 => match field.kind {
            Kind::Message(inner) => schema.message(inner).required == 0,
            _ => true,
        },
        _ => true,
    };
    Ok(has_value && message.required & !seen == 0)
}

/// The thorough look, in protobuf's order: a message's own fields as they are
/// declared, then its messages by field number.
fn collect(
    schema: &Schema,
    message: &Message,
    bytes: &[u8],
    prefix: &str,
    paths: &mut Vec<String>,
) -> Result<(), Malformed> {
    if paths.len() >= MOST {
        return Ok(());
    }
    let mut seen = 0;
    let mut held: BTreeMap<u32, Vec<&[u8]>> = BTreeMap::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        let Some(field) = message.field(number) else {
            continue;
        };
        seen |= field.bit();
        if let (Kind::Message(_), Value::Bytes(bytes)) = (field.kind, value) {
            held.entry(number).or_default().push(bytes);
        }
    }
    if let Some(field) = message.entry_value()
        && matches!(field.kind, Kind::Message(_))
    {
        held.entry(field.number).or_insert_with(|| vec![&[]]);
    }
    for field in &message.fields {
        if message.required & !seen & field.bit() != 0 {
            paths.push(format!("{prefix}{}", field.name));
        }
    }
    for (number, parts) in held {
        let Some(field) = message.field(number) else {
            continue;
        };
        let Kind::Message(inner) = field.kind else {
            continue;
        };
        let inner = schema.message(inner);
        if field.is_repeated() {
            for (index, part) in parts.iter().enumerate() {
                let prefix = format!("{prefix}{}[{index}].", field.name);
                collect(schema, inner, part, &prefix, paths)?;
            }
        } else {
            // Parts of one message, one after another, are that message merged.
            collect(
                schema,
                inner,
                &parts.concat(),
                &format!("{prefix}{}.", field.name),
                paths,
            )?;
        }
    }
    Ok(())
}
