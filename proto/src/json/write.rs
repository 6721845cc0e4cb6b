//! The protobuf encoding of a message to JSON text, in one pass and without a
//! tree in between.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    schema::{Field, Kind, Label, Message, Schema},
    wire,
};

/// What becomes of optional fields that are not set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    Absent,
    /// They appear with the default that the contract declares for them.
    Default,
}

/// The text of an encoded `message`. Fields of one number must stand
/// together, as `prost` writes them.
pub(super) fn write(schema: &Schema, message: &Message, bytes: &[u8], unset: Unset) -> Vec<u8> {
    let mut writer = Writer {
        schema,
        unset,
        out: Vec::with_capacity(bytes.len() * 2 + 16),
    };
    writer.message(message, bytes);
    writer.out
}

struct Writer<'s> {
    schema: &'s Schema,
    unset: Unset,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn message(&mut self, message: &Message, bytes: &[u8]) {
        self.out.push(b'{');
        let begin = self.out.len();
        let mut seen = 0;
        // The list or map that is open.
        let mut open: Option<&Field> = None;
        let mut reader = wire::Reader::new(bytes);
        while let Ok(Some((number, value))) = reader.next() {
            let Some(field) = message.field(number) else {
                continue;
            };
            if let Some(last) = open.take_if(|last| last.number != number) {
                self.out.push(closing(last));
            }
            seen |= field.bit();
            if !field.is_repeated() {
                self.member(field, value, begin);
                continue;
            }
            if open.is_none() {
                self.separate(begin);
                self.out.extend_from_slice(&field.key);
                self.out.push(if field.label == Label::Map {
                    b'{'
                } else {
                    b'['
                });
                open = Some(field);
            }
            self.element(field, value);
        }
        if let Some(last) = open {
            self.out.push(closing(last));
        }
        let defaults = message.defaults & !seen;
        if defaults != 0 && self.unset == Unset::Default {
            self.defaults(message, defaults, begin);
        }
        self.out.push(b'}');
    }

    fn member(&mut self, field: &Field, value: wire::Value<'_>, begin: usize) {
        let before = self.out.len();
        self.separate(begin);
        self.out.extend_from_slice(&field.key);
        if !self.value(field.kind, value) {
            self.out.truncate(before);
        }
    }

    fn element(&mut self, field: &Field, value: wire::Value<'_>) {
        match (value, field.kind) {
            (wire::Value::Bytes(bytes), Kind::Message(entry)) if field.label == Label::Map => {
                self.entry(self.schema.message(entry), bytes);
            }
            (
                wire::Value::Bytes(bytes),
                Kind::Bool
                | Kind::Int32
                | Kind::Int64
                | Kind::Uint32
                | Kind::Uint64
                | Kind::Enum(_),
            ) => {
                let mut packed = wire::Reader::new(bytes);
                while let Some(number) = packed.packed() {
                    self.element(field, wire::Value::Varint(number));
                }
            }
            _ => {
                let before = self.out.len();
                self.separate_element();
                if !self.value(field.kind, value) {
                    self.out.truncate(before);
                }
            }
        }
    }

    /// One key and value of a map. `prost` leaves out what is a type's default.
    fn entry(&mut self, entry: &Message, bytes: &[u8]) {
        let (Some(key_field), Some(value_field)) = (entry.field(1), entry.field(2)) else {
            return;
        };
        let mut key = None;
        let mut value = None;
        let mut reader = wire::Reader::new(bytes);
        while let Ok(Some((number, part))) = reader.next() {
            match number {
                1 => key = Some(part),
                2 => value = Some(part),
                _ => {}
            }
        }
        let before = self.out.len();
        self.separate_element();
        let is_text = key_field.kind == Kind::String;
        if !is_text {
            self.out.push(b'"');
        }
        let has_key = self.value(
            key_field.kind,
            key.unwrap_or(zero(self.schema, key_field.kind)),
        );
        if !is_text {
            self.out.push(b'"');
        }
        self.out.push(b':');
        let value = value.unwrap_or(zero(self.schema, value_field.kind));
        if !has_key || !self.value(value_field.kind, value) {
            self.out.truncate(before);
        }
    }

    /// Writes one value; false when it has no text: an enum's unknown number.
    fn value(&mut self, kind: Kind, value: wire::Value<'_>) -> bool {
        match (kind, value) {
            (Kind::Bool, wire::Value::Varint(number)) => {
                self.out
                    .extend_from_slice(if number == 0 { b"false" } else { b"true" });
            }
            (Kind::Int32 | Kind::Int64, wire::Value::Varint(number)) => {
                self.display(number.cast_signed());
            }
            (Kind::Uint32 | Kind::Uint64, wire::Value::Varint(number)) => self.display(number),
            (Kind::Enum(index), wire::Value::Varint(number)) => {
                #[expect(clippy::cast_possible_truncation, reason = "enums are 32 bits wide")]
                let number = number as i32;
                let Some(name) = self.schema.enumeration(index).name(number) else {
                    return false;
                };
                self.out.push(b'"');
                self.out.extend_from_slice(name.as_bytes());
                self.out.push(b'"');
            }
            (Kind::Double, wire::Value::Fixed64(bits)) => self.double(f64::from_bits(bits)),
            (Kind::String, wire::Value::Bytes(text)) => self.string(text),
            (Kind::Bytes, wire::Value::Bytes(bytes)) => {
                self.out.push(b'"');
                self.base64(bytes);
                self.out.push(b'"');
            }
            (Kind::Message(index), wire::Value::Bytes(bytes)) => {
                self.message(self.schema.message(index), bytes);
            }
            _ => return false,
        }
        true
    }

    fn defaults(&mut self, message: &Message, unset: u64, begin: usize) {
        for field in message
            .fields
            .iter()
            .filter(|field| unset & field.bit() != 0)
        {
            self.separate(begin);
            self.out.extend_from_slice(&field.key);
            self.out.extend_from_slice(&field.default);
        }
    }

    /// A comma between the members of an object that begins at `begin`.
    fn separate(&mut self, begin: usize) {
        if self.out.len() > begin {
            self.out.push(b',');
        }
    }

    /// A comma between the elements of the list or map that is open.
    fn separate_element(&mut self) {
        if !matches!(self.out.last(), Some(b'[' | b'{')) {
            self.out.push(b',');
        }
    }

    fn display(&mut self, number: impl serde::Serialize) {
        serde_json::to_writer(&mut self.out, &number).expect("a number has a text");
    }

    fn double(&mut self, number: f64) {
        if number.is_finite() {
            self.display(number);
        } else {
            let text: &[u8] = match number {
                f64::INFINITY => b"\"Infinity\"",
                f64::NEG_INFINITY => b"\"-Infinity\"",
                _ => b"\"NaN\"",
            };
            self.out.extend_from_slice(text);
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        let begin = self.out.len();
        self.out.resize(begin + bytes.len().div_ceil(3) * 4, 0);
        STANDARD
            .encode_slice(bytes, &mut self.out[begin..])
            .expect("base64 makes four digits of three bytes");
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        let mut rest = text;
        while let Some(length) = rest.iter().position(|&byte| needs_escape(byte)) {
            self.out.extend_from_slice(&rest[..length]);
            self.escape(rest[length]);
            rest = &rest[length + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' | b'\\' => byte,
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                self.out.extend_from_slice(b"\\u00");
                self.out.push(DIGITS[usize::from(byte >> 4)]);
                self.out.push(DIGITS[usize::from(byte & 15)]);
                return;
            }
        };
        self.out.extend_from_slice(&[b'\\', short]);
    }
}

fn closing(field: &Field) -> u8 {
    if field.label == Label::Map {
        b'}'
    } else {
        b']'
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The value that `prost` leaves out of a map's entry.
fn zero(schema: &Schema, kind: Kind) -> wire::Value<'_> {
    match kind {
        Kind::Double => wire::Value::Fixed64(0),
        Kind::String | Kind::Bytes => wire::Value::Bytes(&[]),
        Kind::Message(index) => wire::Value::Bytes(&schema.message(index).zero),
        _ => wire::Value::Varint(0),
    }
}
