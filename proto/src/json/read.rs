//! A JSON value to the protobuf encoding of a message, with the conversion
//! errors a Mesos master answers. Whether required fields are there is not
//! looked at here.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    parse,
    value::{Value, text_of},
};
use crate::schema::{Field, Kind, Label, Message, Schema};

/// What Mesos takes for base64: padding or none, spare bits ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Encodes `value` as `message`; the error is Mesos's text.
pub(super) fn read(
    schema: &Schema,
    message: &Message,
    value: &Value<'_>,
) -> Result<Vec<u8>, String> {
    let Value::Object(members) = value else {
        return Err("Expecting a JSON object".to_owned());
    };
    let mut encoder = Encoder {
        schema,
        out: Vec::with_capacity(256),
    };
    encoder.members(message, members)?;
    Ok(encoder.out)
}

struct Encoder<'s> {
    schema: &'s Schema,
    out: Vec<u8>,
}

type Members<'a> = [(std::borrow::Cow<'a, [u8]>, Value<'a>)];

impl Encoder<'_> {
    fn members(&mut self, message: &Message, members: &Members<'_>) -> Result<(), String> {
        for (name, value) in members {
            if let Some(field) = message.field_named(name) {
                self.field(field, value)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, value: &Value<'_>) -> Result<(), String> {
        match (value, field.kind) {
            (Value::Null, _) => Ok(()),
            (Value::Array(values), _) if field.is_repeated() => {
                values.iter().try_for_each(|value| self.field(field, value))
            }
            (Value::Object(members), Kind::Message(inner)) => {
                let inner = self.schema.message(inner);
                if field.label == Label::Map {
                    return self.entries(field, inner, members);
                }
                self.delimited(field, |encoder| encoder.members(inner, members))
            }
            (Value::String(text), _) => self.text(field, text),
            (Value::Bool(value), Kind::Bool) => {
                self.varint(field, u64::from(*value));
                Ok(())
            }
            (Value::Int(_) | Value::Uint(_) | Value::Float(_), Kind::Double) => {
                self.double(field, as_double(value));
                Ok(())
            }
            (
                Value::Int(_) | Value::Uint(_) | Value::Float(_),
                Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64,
            ) => self.integer(field, value),
            _ => Err(format!(
                "Not expecting a JSON {} for field '{}'",
                value.noun(),
                field.name
            )),
        }
    }

    fn entries(
        &mut self,
        field: &Field,
        entry: &Message,
        members: &Members<'_>,
    ) -> Result<(), String> {
        let part = |number| {
            entry
                .field(number)
                .expect("a map's entry has a key and a value")
        };
        for (key, value) in members {
            self.delimited(field, |encoder| {
                encoder.text(part(1), key)?;
                encoder.field(part(2), value)
            })?;
        }
        Ok(())
    }

    /// A value that stands in a JSON string.
    fn text(&mut self, field: &Field, text: &[u8]) -> Result<(), String> {
        match field.kind {
            Kind::String => self.bytes(field, text_of(text).as_bytes()),
            Kind::Bytes => {
                let bytes = decode_base64(text).map_err(|message| {
                    format!(
                        "Failed to base64 decode bytes field '{}': {message}",
                        field.name
                    )
                })?;
                self.bytes(field, &bytes);
            }
            Kind::Enum(index) => match self.schema.enumeration(index).number(text) {
                Some(number) => self.varint(field, i64::from(number).cast_unsigned()),
                None if field.label == Label::Required => {
                    return Err(format!("Failed to find enum for '{}'", text_of(text)));
                }
                None => {}
            },
            Kind::Double => match text {
                b"Infinity" => self.double(field, f64::INFINITY),
                b"-Infinity" => self.double(field, f64::NEG_INFINITY),
                b"NaN" => self.double(field, f64::NAN),
                _ => return self.parsed(field, text, "number"),
            },
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => {
                return self.parsed(field, text, "number");
            }
            Kind::Bool => return self.parsed(field, text, "boolean"),
            Kind::Message(_) => {
                return Err(format!(
                    "Not expecting a JSON string for field '{}'",
                    field.name
                ));
            }
        }
        Ok(())
    }

    /// A number or boolean that is written in a string.
    fn parsed(&mut self, field: &Field, text: &[u8], noun: &str) -> Result<(), String> {
        let reason = match parse::parse(text, parse::MAX_DEPTH) {
            Ok(value) if value.noun() == noun => return self.field(field, &value),
            Ok(_) => "Unexpected JSON type parsed".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(format!(
            "Failed to parse '{}' as a JSON {noun} for field '{}': {reason}",
            text_of(text),
            field.name
        ))
    }

    fn integer(&mut self, field: &Field, value: &Value<'_>) -> Result<(), String> {
        let (least, most) = match field.kind {
            Kind::Int32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
            Kind::Uint32 => (0, i128::from(u32::MAX)),
            Kind::Uint64 => (0, i128::from(u64::MAX)),
            _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
        };
        let whole = match *value {
            Value::Int(value) => i128::from(value),
            Value::Uint(value) => i128::from(value),
            // The fraction is cut off, as Mesos does.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the range is checked below"
            )]
            _ => as_double(value) as i128,
        };
        if whole < least || whole > most {
            return Err(format!("Value out of range for field '{}'", field.name));
        }
        let encoded = match i64::try_from(whole) {
            Ok(value) => value.cast_unsigned(),
            Err(_) => u64::try_from(whole).expect("the range was checked"),
        };
        self.varint(field, encoded);
        Ok(())
    }

    fn varint(&mut self, field: &Field, value: u64) {
        self.tag(field, 0);
        prost::encoding::encode_varint(value, &mut self.out);
    }

    fn double(&mut self, field: &Field, value: f64) {
        self.tag(field, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: &Field, bytes: &[u8]) {
        self.tag(field, 2);
        prost::encoding::encode_varint(bytes.len() as u64, &mut self.out);
        self.out.extend_from_slice(bytes);
    }

    /// A message whose length is known once it is written.
    fn delimited(
        &mut self,
        field: &Field,
        body: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.tag(field, 2);
        let at = self.out.len();
        self.out.push(0);
        body(self)?;
        let length = self.out.len() - at - 1;
        if let Ok(short @ ..0x80) = u8::try_from(length) {
            self.out[at] = short;
        } else {
            let mut prefix = Vec::with_capacity(10);
            prost::encoding::encode_varint(length as u64, &mut prefix);
            self.out.splice(at..=at, prefix);
        }
        Ok(())
    }

    fn tag(&mut self, field: &Field, wire_type: u32) {
        prost::encoding::encode_varint(u64::from(field.number << 3 | wire_type), &mut self.out);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "JSON numbers in a double field are doubles"
)]
fn as_double(value: &Value<'_>) -> f64 {
    match *value {
        Value::Int(value) => value as f64,
        Value::Uint(value) => value as f64,
        Value::Float(value) => value,
        _ => f64::NAN,
    }
}

/// Base64 as Mesos reads it: white space between, nothing after the first `=`.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut digits = Vec::with_capacity(text.len());
    for &byte in text.iter().take_while(|&&byte| byte != b'=') {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => digits.push(byte),
            b' ' | b'\t' | b'\n' | b'\r' | 11 | 12 => {}
            _ => return Err(format!("Invalid character '{}'", text_of(&[byte]))),
        }
    }
    if digits.len() % 4 == 1 {
        // Six bits are no byte.
        digits.pop();
    }
    BASE64.decode(digits).map_err(|error| error.to_string())
}
