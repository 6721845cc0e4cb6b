//! The compiled descriptors against the table of Mesos's wire contract, line
//! by line and in both directions: nothing is missing, nothing is invented.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FieldOptions, FileDescriptorProto,
    FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

const TABLE: &str = include_str!("data/mesos-v1-wire.tsv");

#[test]
fn the_descriptors_are_the_table() {
    let table: BTreeSet<String> = TABLE.lines().map(str::to_owned).collect();
    let compiled: BTreeSet<String> = rows().into_iter().collect();
    let missing: Vec<_> = table.difference(&compiled).collect();
    let invented: Vec<_> = compiled.difference(&table).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:#?} invented {invented:#?}"
    );
}

#[test]
fn no_row_stands_twice() {
    let rows = rows();
    assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(rows.len(), TABLE.lines().count());
}

/// The descriptors in the form of the table.
fn rows() -> Vec<String> {
    let files = FileDescriptorSet::decode(mesos_proto::DESCRIPTORS).expect("it is a set");
    let mut rows = Vec::new();
    for file in files
        .file
        .iter()
        .filter(|file| !file.name().starts_with("google/"))
    {
        rows.push(file_row(file));
        for message in &file.message_type {
            message_rows(file.package(), message, &mut rows);
        }
        for descriptor in &file.enum_type {
            enum_rows(file.package(), descriptor, &mut rows);
        }
    }
    rows
}

fn file_row(file: &FileDescriptorProto) -> String {
    // A file without a syntax is proto2.
    let syntax = if file.syntax().is_empty() {
        "proto2"
    } else {
        file.syntax()
    };
    let imports = file.dependency.join(",");
    format!(
        "FILE {}\t{}\t{syntax}\t\t\t{imports}",
        file.name(),
        file.package()
    )
}

fn message_rows(scope: &str, message: &DescriptorProto, rows: &mut Vec<String>) {
    let name = format!("{scope}.{}", message.name());
    if message.field.is_empty() && message.nested_type.is_empty() && message.enum_type.is_empty() {
        rows.push(format!("{name}\tmessage\t-\t-\t-\t-"));
    }
    for field in &message.field {
        rows.push(field_row(&name, message, field));
    }
    for nested in &message.nested_type {
        message_rows(&name, nested, rows);
    }
    for descriptor in &message.enum_type {
        enum_rows(&name, descriptor, rows);
    }
}

fn enum_rows(scope: &str, descriptor: &EnumDescriptorProto, rows: &mut Vec<String>) {
    for value in &descriptor.value {
        let (name, number) = (value.name(), value.number());
        rows.push(format!(
            "{scope}.{}\t{name}\t{number}\tenum\t-\t-",
            descriptor.name()
        ));
    }
}

fn field_row(
    message_name: &str,
    message: &DescriptorProto,
    field: &FieldDescriptorProto,
) -> String {
    let label = match field.label() {
        Label::Optional => "optional",
        Label::Required => "required",
        Label::Repeated => "repeated",
    };
    let of = field.type_name().trim_start_matches('.');
    let kind = match field.r#type() {
        Type::Message => format!("message {of}"),
        Type::Enum => format!("enum {of}"),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    let mut note = field
        .default_value
        .clone()
        .unwrap_or_else(|| "-".to_owned());
    if field.options.as_ref().is_some_and(FieldOptions::deprecated) {
        note += " [deprecated]";
    }
    if let Some(index) = field.oneof_index {
        let oneof = &message.oneof_decl[usize::try_from(index).expect("an index")];
        note += &format!(" [oneof {}]", oneof.name());
    }
    let (name, number) = (field.name(), field.number());
    format!("{message_name}\t{name}\t{number}\t{label}\t{kind}\t{note}")
}

#[test]
fn maps_are_maps_and_every_entry_belongs_to_one() {
    let files = FileDescriptorSet::decode(mesos_proto::DESCRIPTORS).expect("it is a set");
    let mut maps = BTreeSet::new();
    for file in &files.file {
        for message in &file.message_type {
            map_fields(file.package(), message, &mut maps);
        }
    }
    let entries: BTreeSet<String> = TABLE
        .lines()
        .filter_map(|row| row.split('\t').next())
        .filter(|name| name.ends_with("Entry"))
        .map(str::to_owned)
        .collect();
    assert_eq!(maps, entries);
}

/// The entry types that are marked as such, with what they must look like.
fn map_fields(scope: &str, message: &DescriptorProto, maps: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    if message
        .options
        .as_ref()
        .is_some_and(prost_types::MessageOptions::map_entry)
    {
        let fields: Vec<_> = message
            .field
            .iter()
            .map(|field| (field.name(), field.number()))
            .collect();
        assert_eq!(fields, [("key", 1), ("value", 2)], "{name}");
        maps.insert(name.clone());
    }
    for nested in &message.nested_type {
        map_fields(&name, nested, maps);
    }
}
