//! Messages made at random from the descriptors keep their value through both
//! encodings.

use proptest::prelude::{
    ProptestConfig, TestCaseError, any, prop_assert, prop_assert_eq, proptest,
};
use prost::encoding::encode_varint;

use crate::{
    json,
    schema::{Field, Kind, Label, Message, Schema},
    v1::{agent, executor, master, resource_provider, scheduler},
    wire,
};

/// Makes an encoded message, deciding by `choices` and by nothing once they
/// are used up.
struct Maker<'c> {
    schema: &'static Schema,
    choices: std::slice::Iter<'c, u8>,
}

impl Maker<'_> {
    fn choice(&mut self) -> u8 {
        self.choices.next().copied().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        match self.choice() % 4 {
            0 => u64::from(self.choice()),
            1 => u64::from(self.choice()) << 31,
            2 => u64::MAX - u64::from(self.choice()),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.choice())),
        }
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 8] = ["a", "\"", "\\", "\n", "\u{1}", "é", "\u{1f600}", "/ b"];
        (0..self.choice() % 5)
            .map(|_| PARTS[usize::from(self.choice() % 8)])
            .collect()
    }

    /// Fields in the order of their numbers, as `prost` writes them.
    fn message(&mut self, message: &Message, depth: u32) -> Vec<u8> {
        let mut fields: Vec<&Field> = message.fields.iter().collect();
        fields.sort_by_key(|field| field.number);
        let mut out = Vec::new();
        for field in fields {
            let is_deep = depth > 5 && matches!(field.kind, Kind::Message(_));
            let count = match field.label {
                Label::Required => 1,
                // Mesos never leaves a map's value out.
                _ if message.entry_value().is_some() => 1,
                _ if is_deep => 0,
                Label::Optional => self.choice() % 2,
                Label::Repeated => self.choice() % 3,
                // Keys made at random could be the same.
                Label::Map => self.choice() % 2,
            };
            for _ in 0..count {
                self.field(field, depth, &mut out);
            }
        }
        out
    }

    fn field(&mut self, field: &Field, depth: u32, out: &mut Vec<u8>) {
        let wire_type = match field.kind {
            Kind::Double => 1,
            Kind::String | Kind::Bytes | Kind::Message(_) => 2,
            _ => 0,
        };
        encode_varint(u64::from(field.number << 3 | wire_type), out);
        let bytes = match field.kind {
            Kind::Bool => return encode_varint(u64::from(self.choice() % 2), out),
            Kind::Int32 => {
                #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
                let number = self.number() as i32;
                return encode_varint(i64::from(number).cast_unsigned(), out);
            }
            Kind::Uint32 => return encode_varint(self.number() & u64::from(u32::MAX), out),
            Kind::Int64 | Kind::Uint64 => return encode_varint(self.number(), out),
            Kind::Enum(index) => {
                let numbers = self.schema.enumeration(index).all_numbers();
                let number = numbers[usize::from(self.choice()) % numbers.len()];
                return encode_varint(i64::from(number).cast_unsigned(), out);
            }
            Kind::Double => {
                let number = f64::from_bits(self.number());
                let number = if number.is_nan() { 0.1 } else { number };
                return out.extend_from_slice(&number.to_le_bytes());
            }
            Kind::String => self.text().into_bytes(),
            Kind::Bytes => (0..self.choice() % 9).map(|_| self.choice()).collect(),
            Kind::Message(inner) => {
                let inner = self.schema.message(inner);
                self.message(inner, depth + 1)
            }
        };
        encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(&bytes);
    }
}

fn keeps_its_value<M>(choices: &[u8]) -> Result<(), TestCaseError>
where
    M: prost::Message + prost::Name + Default + PartialEq + std::fmt::Debug,
{
    let schema = Schema::get();
    let made = Maker {
        schema,
        choices: choices.iter(),
    }
    .message(schema.of::<M>(), 0);
    let message: M =
        wire::decode(made.into()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let (text, full) = (json::to_vec(&message), json::to_vec_with_defaults(&message));
    prop_assert_eq!(&json::from_slice::<M>(&text).unwrap(), &message);
    prop_assert_eq!(
        &json::from_value::<M>(&json::to_value(&message)).unwrap(),
        &message
    );
    // The defaults that appeared are set from then on.
    let set: M = json::from_slice(&full).unwrap();
    prop_assert_eq!(json::to_vec(&set), json::to_vec_with_defaults(&set));
    prop_assert_eq!(full.len(), json::to_vec(&set).len());
    // Others can read the text too.
    prop_assert!(serde_json::from_slice::<serde_json::Value>(&full).is_ok());
    prop_assert_eq!(
        &wire::decode::<M>(wire::encode(&message)).unwrap(),
        &message
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_of_every_api_keep_their_value(choices in proptest::collection::vec(any::<u8>(), 0..3000)) {
        keeps_its_value::<scheduler::Call>(&choices)?;
        keeps_its_value::<scheduler::Event>(&choices)?;
        keeps_its_value::<executor::Call>(&choices)?;
        keeps_its_value::<executor::Event>(&choices)?;
        keeps_its_value::<master::Call>(&choices)?;
        keeps_its_value::<master::Response>(&choices)?;
        keeps_its_value::<master::Event>(&choices)?;
        keeps_its_value::<agent::Call>(&choices)?;
        keeps_its_value::<agent::Response>(&choices)?;
        keeps_its_value::<resource_provider::Event>(&choices)?;
    }
}
