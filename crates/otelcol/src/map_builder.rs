//! A map as it is read: duplicates refused, merge keys followed.

use std::collections::{HashMap, HashSet};

use crate::error::{Fault, ParseError, Position};
use crate::parse::fault;
use crate::tree::{Content, Entry, Key, Map, Node, Scalar, Style};

/// Up to so many keys each is compared with all others; of more a table is made.
const FEW: usize = 8;

/// A map as it is read: its keys are unique, and what `<<` brings yields to what stands there.
#[derive(Default)]
pub(crate) struct MapBuilder {
    map: Map,
    merged: Option<(Key, Node)>,
    /// Every key of a map of many by its text and by its name: `0x10` collides with `"0x10"` and with `16`.
    seen: HashMap<Box<str>, Position>,
}

impl MapBuilder {
    pub(crate) fn claim(&mut self, key: &Key) -> Result<(), ParseError> {
        let text: &str = &key.scalar.text;
        let first = if self.seen.is_empty() {
            self.keys()
                .find(|known| is_same(known, key))
                .map(Key::position)
        } else {
            let seen = |name: &str| self.seen.get(name).copied();
            seen(text).or_else(|| seen(key.name()))
        };
        if let Some(first) = first {
            let fault = Fault::DuplicateKey {
                key: text.to_owned(),
                first,
            };
            return Err(ParseError {
                position: key.position,
                fault,
            });
        }
        if !self.seen.is_empty() {
            see(&mut self.seen, key);
        } else if FEW <= self.map.len() {
            let mut seen = HashMap::with_capacity(4 * FEW);
            self.keys().chain([key]).for_each(|key| see(&mut seen, key));
            self.seen = seen;
        }
        Ok(())
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        let merged = self.merged.iter().map(|(key, _)| key);
        self.map.iter().map(|entry| &entry.key).chain(merged)
    }

    pub(crate) fn push(&mut self, key: Key, value: Node) {
        if is_merge_key(&key.scalar) {
            self.merged = Some((key, value));
        } else {
            self.map.entries.push(Entry { key, value });
        }
    }

    pub(crate) fn finish(mut self) -> Result<Map, ParseError> {
        let Some((_, merged)) = self.merged else {
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
            .map(|entry| entry.key.name().into())
            .collect();
        for entry in sources.into_iter().flat_map(|map| map.entries) {
            if taken.insert(entry.key.name().into()) {
                self.map.entries.push(entry);
            }
        }
        Ok(self.map)
    }
}

/// Whether two keys are one to the Collector, or to a reader.
fn is_same(a: &Key, b: &Key) -> bool {
    let has = |key: &Key, name: &str| *key.scalar.text == *name || key.name() == name;
    has(a, &b.scalar.text) || has(a, b.name())
}

fn see(seen: &mut HashMap<Box<str>, Position>, key: &Key) {
    seen.insert(key.scalar.text.clone(), key.position);
    if let Some(printed) = &key.printed {
        seen.insert(printed.clone(), key.position);
    }
}

fn into_map(node: Node) -> Result<Map, ParseError> {
    let (position, kind) = (node.origin.position, node.kind());
    match node.content {
        Content::Map(map) => Ok(map),
        _ => Err(not_mergeable(position, kind)),
    }
}

pub(crate) fn is_merge_key(scalar: &Scalar) -> bool {
    let tag = scalar.tag.as_deref();
    &*scalar.text == "<<"
        && (tag == Some("merge") || (tag.is_none() && scalar.style == Style::Plain))
}

const fn not_mergeable(position: Position, found: &'static str) -> ParseError {
    fault(position, Fault::MergeNotMap { found })
}
