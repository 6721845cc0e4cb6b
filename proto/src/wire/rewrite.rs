//! Writes an encoded message anew where `prost` and Mesos do not agree:
//!
//! - Mesos lets any bytes stand in a string, such as what a command wrote
//!   before it failed; Rust's strings do not.
//! - `prost` leaves the value out of a map's entry when it is the default one,
//!   also where that has required fields, and Mesos then misses them.

use super::{Reader, Value, reader::Malformed};
use crate::schema::{Kind, Message, Schema};

/// The message with U+FFFD wherever a string is not UTF-8, and with a value in
/// every entry of a map. Fields that the contract does not know are left out.
pub(super) fn rewrite(
    schema: &Schema,
    message: &Message,
    bytes: &[u8],
) -> Result<Vec<u8>, Malformed> {
    let mut seen = 0;
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        let Some(field) = message.field(number) else {
            continue;
        };
        seen |= field.bit();
        match (field.kind, value) {
            (Kind::String, Value::Bytes(text)) => {
                delimited(number, String::from_utf8_lossy(text).as_bytes(), &mut out);
            }
            (Kind::Message(inner), Value::Bytes(bytes)) => {
                delimited(
                    number,
                    &rewrite(schema, schema.message(inner), bytes)?,
                    &mut out,
                );
            }
            (_, Value::Bytes(bytes)) => delimited(number, bytes, &mut out),
            (_, Value::Varint(value)) => {
                key(number, 0, &mut out);
                prost::encoding::encode_varint(value, &mut out);
            }
            (_, Value::Fixed64(value)) => {
                key(number, 1, &mut out);
                out.extend_from_slice(&value.to_le_bytes());
            }
            (_, Value::Fixed32(value)) => {
                key(number, 5, &mut out);
                out.extend_from_slice(&value.to_le_bytes());
            }
            (_, Value::Group(_)) => {}
        }
    }
    if let Some(field) = message.entry_value()
        && let Kind::Message(value) = field.kind
        && seen & field.bit() == 0
    {
        delimited(field.number, &schema.message(value).zero, &mut out);
    }
    Ok(out)
}

fn delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    key(number, 2, out);
    prost::encoding::encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn key(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    prost::encoding::encode_varint(u64::from(number << 3 | wire_type), out);
}
