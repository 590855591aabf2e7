//! A map as it is read: duplicates refused, merge keys followed.

use std::collections::{HashMap, HashSet};

use crate::error::{Fault, ParseError, Position};
use crate::parse::fault;
use crate::tree::{Content, Entry, Key, Map, Node, Scalar, Style};

/// A map as it is read: its keys are unique, and what `<<` brings yields to what stands there.
#[derive(Default)]
pub(crate) struct MapBuilder {
    map: Map,
    merged: Option<Node>,
    /// Every key by its text and by its name: `0x10` collides with `"0x10"` and with `16`.
    seen: HashMap<Box<str>, Position>,
}

impl MapBuilder {
    pub(crate) fn claim(&mut self, key: &Key) -> Result<(), ParseError> {
        let first = self
            .seen
            .get(&key.scalar.text)
            .or_else(|| self.seen.get(&key.name));
        if let Some(first) = first {
            let fault = Fault::DuplicateKey {
                key: key.scalar.text.to_string(),
                first: *first,
            };
            return Err(ParseError {
                position: key.position,
                fault,
            });
        }
        self.seen.insert(key.scalar.text.clone(), key.position);
        self.seen.insert(key.name.clone(), key.position);
        Ok(())
    }

    pub(crate) fn push(&mut self, key: Key, value: Node) {
        if is_merge_key(&key.scalar) {
            self.merged = Some(value);
        } else {
            self.map.entries.push(Entry { key, value });
        }
    }

    pub(crate) fn finish(mut self) -> Result<Map, ParseError> {
        let Some(merged) = self.merged else {
            return Ok(self.map);
        };
        let position = merged.origin.position;
        let sources = match merged.content {
            Content::Map(map) => vec![map],
            Content::List(items) => items.into_iter().map(into_map).collect::<Result<_, _>>()?,
            Content::Scalar(scalar) => return Err(not_mergeable(position, scalar.typed.name())),
        };
        let mut taken: HashSet<Box<str>> = self
            .map
            .iter()
            .map(|entry| entry.key.name.clone())
            .collect();
        for entry in sources.into_iter().flat_map(|map| map.entries) {
            if taken.insert(entry.key.name.clone()) {
                self.map.entries.push(entry);
            }
        }
        Ok(self.map)
    }
}

fn into_map(node: Node) -> Result<Map, ParseError> {
    let (position, kind) = (node.origin.position, node.kind());
    match node.content {
        Content::Map(map) => Ok(map),
        _ => Err(not_mergeable(position, kind)),
    }
}

fn is_merge_key(scalar: &Scalar) -> bool {
    let tag = scalar.tag.as_deref();
    &*scalar.text == "<<"
        && (tag == Some("merge") || (tag.is_none() && scalar.style == Style::Plain))
}

const fn not_mergeable(position: Position, found: &'static str) -> ParseError {
    fault(position, Fault::MergeNotMap { found })
}
