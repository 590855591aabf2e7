//! The compiled schema against the list of all fields of the specification.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

const FIELDS: &str = include_str!("../data/messages.csv");

/// One row of the list, as far as it binds the schema: message, number, label, type, name.
type Row = (String, String, String, String, String);

#[test]
fn in_02_the_schema_has_every_field_of_the_specification_and_no_other() {
    let expected = rows(FIELDS);
    let compiled = compiled();
    let missing: Vec<_> = expected.difference(&compiled).collect();
    let surplus: Vec<_> = compiled.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing: {missing:#?}\nsurplus: {surplus:#?}"
    );
    assert_eq!(
        expected.len(),
        185,
        "all rows but the one on reserved names were compared"
    );
}

#[test]
fn the_copied_list_is_the_shared_one() {
    let shared =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/protocol/messages.csv");
    // A clone of the repository alone has no shared list to compare with.
    if let Ok(shared) = std::fs::read_to_string(shared) {
        assert_eq!(shared, FIELDS);
    }
}

fn rows(text: &str) -> BTreeSet<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows = reader
        .records()
        .map(Result::unwrap)
        .filter(|row| !row[0].starts_with('('));
    rows.map(|row| {
        let column = |index: usize| row[index].to_owned();
        (column(0), column(1), column(2), column(3), column(4))
    })
    .collect()
}

fn compiled() -> BTreeSet<Row> {
    let set = FileDescriptorSet::decode(opamp::proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut rows = BTreeSet::new();
    for file in &set.file {
        assert_eq!(file.package(), "opamp.proto.v1");
        assert_eq!(file.syntax(), "proto3");
        for message in &file.message_type {
            rows.extend(message_rows(message));
        }
        for list in &file.enum_type {
            rows.extend(list.value.iter().map(|value| {
                let name = format!("enum {}", list.name());
                (
                    name,
                    value.number().to_string(),
                    "value".to_owned(),
                    String::new(),
                    value.name().to_owned(),
                )
            }));
        }
    }
    rows
}

fn message_rows(message: &DescriptorProto) -> Vec<Row> {
    assert!(message.reserved_name.is_empty() && message.reserved_range.is_empty());
    let name = message.name().to_owned();
    if message.field.is_empty() {
        return vec![(
            name,
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        )];
    }
    let maps: BTreeMap<_, _> = message
        .nested_type
        .iter()
        .filter(|nested| {
            nested
                .options
                .as_ref()
                .is_some_and(|options| options.map_entry())
        })
        .map(|nested| (nested.name(), nested))
        .collect();
    let row = |field: &FieldDescriptorProto| {
        let (label, kind) = match maps.get(short(field.type_name())) {
            Some(entry) => (
                "map".to_owned(),
                format!("map<{},{}>", kind(&entry.field[0]), kind(&entry.field[1])),
            ),
            None => (label(message, field), kind(field)),
        };
        (
            name.clone(),
            field.number().to_string(),
            label,
            kind,
            field.name().to_owned(),
        )
    };
    message.field.iter().map(row).collect()
}

fn label(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    assert!(
        !field.proto3_optional(),
        "the specification has no explicit presence"
    );
    match field.oneof_index {
        Some(index) => format!(
            "oneof:{}",
            message.oneof_decl[usize::try_from(index).unwrap()].name()
        ),
        None if field.label() == Label::Repeated => "repeated".to_owned(),
        None => "optional".to_owned(),
    }
}

fn kind(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => short(field.type_name()).to_owned(),
        scalar => scalar
            .as_str_name()
            .strip_prefix("TYPE_")
            .unwrap()
            .to_lowercase(),
    }
}

fn short(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or_default()
}
