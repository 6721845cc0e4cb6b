//! The compiled descriptors as compact tables: what the JSON mapping and the
//! required-field check look up per field. Built once, on first use.

use std::{collections::HashMap, sync::LazyLock};

use prost::{Message as _, encoding::encode_varint};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FieldOptions, FileDescriptorSet, MessageOptions,
    field_descriptor_proto::{Label as ProtoLabel, Type},
};

static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::compiled);

/// The tables of all messages and enums.
pub(crate) struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    by_name: HashMap<String, usize>,
}

/// One message type.
pub(crate) struct Message {
    /// In the order of declaration.
    pub(crate) fields: Vec<Field>,
    /// Index into `fields` by field number.
    by_number: Vec<Option<u8>>,
    /// Indices into `fields`, ordered by name.
    by_name: Vec<u8>,
    /// Bit `n` is set when field number `n` is required.
    pub(crate) required: u64,
    /// Bit `n` is set when the absent field number `n` is printed by a master.
    pub(crate) defaults: u64,
    /// Whether this message or one it can hold has a required field.
    pub(crate) is_checked: bool,
    /// The encoding of a message without anything but its required fields, all
    /// of them zero, empty or the first of an enum.
    pub(crate) zero: Vec<u8>,
    /// Whether this is the entry type of a map.
    is_entry: bool,
}

/// One field of a message.
pub(crate) struct Field {
    pub(crate) name: String,
    /// `"name":`, ready to be written.
    pub(crate) key: Vec<u8>,
    pub(crate) number: u32,
    pub(crate) label: Label,
    pub(crate) kind: Kind,
    /// The declared default as JSON text.
    pub(crate) default: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    Optional,
    Required,
    Repeated,
    /// Repeated entries of a key (field 1) and a value (field 2).
    Map,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Double,
    String,
    Bytes,
    Enum(usize),
    Message(usize),
}

/// One enum type.
pub(crate) struct Enum {
    /// The number that is declared first.
    first: i32,
    /// Ordered by number.
    names: Vec<(i32, String)>,
    /// Ordered by name.
    numbers: Vec<(String, i32)>,
}

impl Schema {
    pub(crate) fn get() -> &'static Self {
        &SCHEMA
    }

    /// The table of a generated type.
    pub(crate) fn of<M: prost::Name>(&self) -> &Message {
        let name = M::full_name();
        let index = self
            .by_name
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is no message of the Mesos v1 API"));
        &self.messages[*index]
    }

    pub(crate) fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    pub(crate) fn enumeration(&self, index: usize) -> &Enum {
        &self.enums[index]
    }

    fn compiled() -> Self {
        let files = FileDescriptorSet::decode(crate::DESCRIPTORS)
            .expect("the build script wrote a descriptor set");
        let mut found = Found::default();
        for file in &files.file {
            found.nested(file.package(), &file.message_type, &file.enum_type);
        }
        let messages = found
            .messages
            .iter()
            .map(|m| Message::new(m, &found))
            .collect();
        let mut schema = Self {
            messages,
            enums: found.enums.iter().map(|e| Enum::new(e)).collect(),
            by_name: found.message_index,
        };
        schema.mark_checked();
        for index in 0..schema.messages.len() {
            schema.messages[index].zero = schema.zero(index);
        }
        schema
    }

    fn zero(&self, index: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let message = &self.messages[index];
        for field in message
            .fields
            .iter()
            .filter(|field| field.label == Label::Required)
        {
            let key = |wire_type| u64::from(field.number << 3 | wire_type);
            match field.kind {
                Kind::Double => {
                    encode_varint(key(1), &mut out);
                    out.extend_from_slice(&[0; 8]);
                }
                Kind::String | Kind::Bytes => {
                    encode_varint(key(2), &mut out);
                    out.push(0);
                }
                Kind::Message(inner) => {
                    let inner = self.zero(inner);
                    encode_varint(key(2), &mut out);
                    encode_varint(inner.len() as u64, &mut out);
                    out.extend_from_slice(&inner);
                }
                Kind::Enum(index) => {
                    encode_varint(key(0), &mut out);
                    let first = i64::from(self.enums[index].first);
                    encode_varint(first.cast_unsigned(), &mut out);
                }
                _ => {
                    encode_varint(key(0), &mut out);
                    out.push(0);
                }
            }
        }
        out
    }

    /// Spreads `is_checked` from messages to those that can hold them.
    fn mark_checked(&mut self) {
        loop {
            let newly: Vec<usize> = (0..self.messages.len())
                .filter(|&index| {
                    let message = &self.messages[index];
                    !message.is_checked
                        && message.fields.iter().any(|field| {
                            matches!(field.kind, Kind::Message(m) if self.messages[m].is_checked)
                        })
                })
                .collect();
            if newly.is_empty() {
                return;
            }
            for index in newly {
                self.messages[index].is_checked = true;
            }
        }
    }
}

/// The descriptors by their full names, while the tables are built.
#[derive(Default)]
struct Found<'a> {
    messages: Vec<&'a DescriptorProto>,
    message_index: HashMap<String, usize>,
    enums: Vec<&'a EnumDescriptorProto>,
    enum_index: HashMap<String, usize>,
}

impl<'a> Found<'a> {
    fn nested(
        &mut self,
        scope: &str,
        messages: &'a [DescriptorProto],
        enums: &'a [EnumDescriptorProto],
    ) {
        for descriptor in enums {
            let name = format!("{scope}.{}", descriptor.name());
            self.enum_index.insert(name, self.enums.len());
            self.enums.push(descriptor);
        }
        for descriptor in messages {
            let name = format!("{scope}.{}", descriptor.name());
            self.message_index.insert(name.clone(), self.messages.len());
            self.messages.push(descriptor);
            self.nested(&name, &descriptor.nested_type, &descriptor.enum_type);
        }
    }
}

impl Message {
    fn new(descriptor: &DescriptorProto, found: &Found<'_>) -> Self {
        let fields: Vec<Field> = descriptor
            .field
            .iter()
            .map(|f| Field::new(f, found))
            .collect();
        let mut by_number = Vec::new();
        let mut required = 0;
        let mut defaults = 0;
        for (index, field) in (0..).zip(&fields) {
            assert!(field.number < 64, "field numbers fit a bit set");
            let number = field.number as usize;
            by_number.resize(by_number.len().max(number + 1), None);
            by_number[number] = Some(index);
            if field.label == Label::Required {
                required |= field.bit();
            } else if !field.default.is_empty() {
                defaults |= field.bit();
            }
        }
        let mut by_name: Vec<u8> = (0..).take(fields.len()).collect();
        by_name.sort_by(|&a, &b| {
            fields[usize::from(a)]
                .name
                .cmp(&fields[usize::from(b)].name)
        });
        Self {
            fields,
            by_number,
            by_name,
            required,
            defaults,
            is_checked: required != 0,
            zero: Vec::new(),
            is_entry: is_map_entry(descriptor),
        }
    }

    /// The value of a map's entry, when this is one.
    pub(crate) fn entry_value(&self) -> Option<&Field> {
        self.field(2).filter(|_| self.is_entry)
    }

    pub(crate) fn field(&self, number: u32) -> Option<&Field> {
        let index = (*self.by_number.get(usize::try_from(number).ok()?)?)?;
        self.fields.get(usize::from(index))
    }

    pub(crate) fn field_named(&self, name: &[u8]) -> Option<&Field> {
        let at = self
            .by_name
            .binary_search_by(|&index| self.fields[usize::from(index)].name.as_bytes().cmp(name))
            .ok()?;
        self.fields.get(usize::from(self.by_name[at]))
    }
}

impl Field {
    fn new(descriptor: &FieldDescriptorProto, found: &Found<'_>) -> Self {
        let type_name = descriptor.type_name().trim_start_matches('.');
        let kind = match descriptor.r#type() {
            Type::Bool => Kind::Bool,
            Type::Int32 => Kind::Int32,
            Type::Int64 => Kind::Int64,
            Type::Uint32 => Kind::Uint32,
            Type::Uint64 => Kind::Uint64,
            Type::Double => Kind::Double,
            Type::String => Kind::String,
            Type::Bytes => Kind::Bytes,
            Type::Enum => Kind::Enum(found.enum_index[type_name]),
            Type::Message => Kind::Message(found.message_index[type_name]),
            other => panic!("the Mesos v1 API has no field of type {other:?}"),
        };
        let label = match (descriptor.label(), kind) {
            (ProtoLabel::Optional, _) => Label::Optional,
            (ProtoLabel::Required, _) => Label::Required,
            (ProtoLabel::Repeated, Kind::Message(m)) if is_map_entry(found.messages[m]) => {
                Label::Map
            }
            (ProtoLabel::Repeated, _) => Label::Repeated,
        };
        Self {
            name: descriptor.name().to_owned(),
            key: format!("\"{}\":", descriptor.name()).into_bytes(),
            number: u32::try_from(descriptor.number()).expect("field numbers are positive"),
            label,
            kind,
            default: default_text(descriptor),
        }
    }

    /// This field's bit in a message's sets.
    pub(crate) fn bit(&self) -> u64 {
        1 << self.number
    }

    pub(crate) fn is_repeated(&self) -> bool {
        matches!(self.label, Label::Repeated | Label::Map)
    }
}

fn is_map_entry(descriptor: &DescriptorProto) -> bool {
    descriptor
        .options
        .as_ref()
        .is_some_and(MessageOptions::map_entry)
}

/// What a master prints for the field while it is unset: its declared default,
/// unless the field is deprecated.
fn default_text(descriptor: &FieldDescriptorProto) -> Vec<u8> {
    let is_deprecated = descriptor
        .options
        .as_ref()
        .is_some_and(FieldOptions::deprecated);
    let Some(value) = descriptor
        .default_value
        .as_deref()
        .filter(|_| !is_deprecated)
    else {
        return Vec::new();
    };
    match descriptor.r#type() {
        Type::Double => {
            let value: f64 = value.parse().expect("the compiler checked the default");
            format!("{value:?}").into_bytes()
        }
        Type::String | Type::Enum => format!("\"{value}\"").into_bytes(),
        _ => value.as_bytes().to_vec(),
    }
}

impl Enum {
    fn new(descriptor: &EnumDescriptorProto) -> Self {
        let mut names: Vec<(i32, String)> = descriptor
            .value
            .iter()
            .map(|v| (v.number(), v.name().to_owned()))
            .collect();
        names.sort();
        let mut numbers: Vec<(String, i32)> = names
            .iter()
            .map(|(number, name)| (name.clone(), *number))
            .collect();
        numbers.sort();
        let first = descriptor
            .value
            .first()
            .map_or(0, EnumValueDescriptorProto::number);
        Self {
            first,
            names,
            numbers,
        }
    }

    pub(crate) fn name(&self, number: i32) -> Option<&str> {
        let at = self
            .names
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()?;
        Some(&self.names[at].1)
    }

    pub(crate) fn number(&self, name: &[u8]) -> Option<i32> {
        let at = self
            .numbers
            .binary_search_by(|(n, _)| n.as_bytes().cmp(name))
            .ok()?;
        Some(self.numbers[at].1)
    }

    #[cfg(test)]
    pub(crate) fn all_numbers(&self) -> Vec<i32> {
        self.names.iter().map(|(number, _)| *number).collect()
    }
}
