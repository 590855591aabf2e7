//! The root of a document: a map of sections, in which `a::b: 1` is short for `a: {b: 1}`.

use std::collections::HashSet;

use crate::error::{Fault, ParseError, Position};
use crate::parse::{fault, is_text};
use crate::scalar;
use crate::tree::{Content, Entry, Key, Map, Node};

const SEPARATOR: &str = "::";

/// The sections of a document whose root this is.
pub(crate) fn sections(root: Node) -> Result<Map, ParseError> {
    let kind = root.kind();
    let position = root.origin.position;
    let is_null = root.is_null();
    let map = match root.content {
        Content::Map(map) => map,
        Content::Scalar(_) if is_null => return Ok(Map::default()),
        Content::Scalar(_) | Content::List(_) => {
            return Err(fault(position, Fault::NotAMap { found: kind }));
        }
    };
    if let Some(entry) = map.iter().find(|entry| !is_text(entry.key.scalar.typed)) {
        let found = entry.key.scalar.typed.name();
        let key = entry.key.scalar.text.to_string();
        return Err(fault(entry.key.position, Fault::TopLevelKey { key, found }));
    }
    if map.iter().any(|entry| entry.key.name.contains(SEPARATOR)) {
        nested(map)
    } else {
        Ok(map)
    }
}

/// Nests what is written flat. Where the Collector's answer would depend on chance, there is none.
fn nested(map: Map) -> Result<Map, ParseError> {
    let (flat, entries): (Vec<_>, Vec<_>) = map
        .entries
        .into_iter()
        .partition(|entry| entry.key.name.contains(SEPARATOR));
    let mut root = Map { entries };
    let mut ours = HashSet::new();
    for entry in flat {
        insert(&mut root, entry, &mut ours)?;
    }
    Ok(root)
}

/// `ours` names the maps that exist only because a flat key goes through them.
fn insert(root: &mut Map, entry: Entry, ours: &mut HashSet<String>) -> Result<(), ParseError> {
    let written = entry.key.clone();
    let names: Vec<&str> = written.name.split(SEPARATOR).collect();
    let mut map = root;
    for (index, name) in names[..names.len() - 1].iter().enumerate() {
        let way = names[..=index].join(SEPARATOR);
        let place = match map
            .entries
            .iter()
            .position(|existing| *existing.key.name == **name)
        {
            Some(place) if ours.contains(&way) => place,
            Some(place) => return Err(conflict(&written, map.entries[place].key.position)),
            None => {
                ours.insert(way);
                map.entries.push(Entry {
                    key: part(&written, name),
                    value: empty_map(&entry.value),
                });
                map.entries.len() - 1
            }
        };
        let Content::Map(inner) = &mut map.entries[place].value.content else {
            return Err(conflict(&written, written.position));
        };
        map = inner;
    }
    let last = names[names.len() - 1];
    if let Some(existing) = map.entry(last) {
        return Err(conflict(&written, existing.key.position));
    }
    map.entries.push(Entry {
        key: part(&written, last),
        value: entry.value,
    });
    Ok(())
}

fn conflict(key: &Key, first: Position) -> ParseError {
    fault(
        key.position,
        Fault::ConflictingKey {
            key: key.name.to_string(),
            first,
        },
    )
}

fn part(whole: &Key, name: &str) -> Key {
    Key {
        name: name.into(),
        scalar: scalar::text(name),
        position: whole.position,
    }
}

fn empty_map(value: &Node) -> Node {
    Node {
        content: Content::Map(Map::default()),
        origin: value.origin,
        in_flow: false,
    }
}
