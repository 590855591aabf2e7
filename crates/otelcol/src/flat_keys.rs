//! Keys such as `tls::insecure`, which the Collector reads as maps in maps.
//!
//! It nests twice: the sections when it reads a document, and everything once all is merged. At
//! the second time it takes all maps apart first, so that `a::b` and `a: {c: 1}` join; at the
//! first it does not, and one of the two is lost. Where its answer depends on chance, here is none.

use std::collections::{HashMap, HashSet};

use crate::error::{Fault, ParseError, Position};
use crate::parse::fault;
use crate::scalar;
use crate::tree::{Content, Entry, Key, Map, Node};

const SEPARATOR: &str = "::";

/// Nests what is written flat in a document.
pub(crate) fn nested(root: Map, depth_limit: usize) -> Result<Map, ParseError> {
    if !has_flat_keys(&root) {
        return Ok(root);
    }
    Nesting {
        limit: depth_limit,
        ours: Some(HashSet::new()),
        places: HashMap::new(),
    }
    .map(root)
    .map(|(map, _)| map)
}

fn has_flat_keys(map: &Map) -> bool {
    map.iter()
        .any(|entry| is_flat(&entry.key) || entry.value.as_map().is_some_and(has_flat_keys))
}

pub(crate) fn is_flat(key: &Key) -> bool {
    // Every key is asked. A colon is found sooner than two of them.
    let name = key.name();
    name.as_bytes().contains(&b':') && name.contains(SEPARATOR)
}

/// The nesting of one map and what it has in it. Ways are names joined by the separator, from that map on.
struct Nesting {
    /// Flat keys must not bring in more levels than a document may have.
    limit: usize,
    /// The ways to maps that are there only because a flat key goes through them; no other map may
    /// be entered. None where all may.
    ours: Option<HashSet<String>>,
    /// By the way to a map: where its keys are.
    places: HashMap<String, HashMap<Box<str>, usize>>,
}

impl Nesting {
    /// The map with all nested, and how many levels it then has.
    fn map(mut self, mut map: Map) -> Result<(Map, usize), ParseError> {
        let mut height = 0;
        for entry in &mut map.entries {
            let parts = entry.key.name().matches(SEPARATOR).count() + 1;
            height = height.max(parts + self.value(&mut entry.value)?);
            if self.limit < height {
                return Err(fault(
                    entry.key.position,
                    Fault::TooDeep { limit: self.limit },
                ));
            }
        }
        if !map.iter().any(|entry| is_flat(&entry.key)) {
            return Ok((map, height));
        }
        let (flat, entries): (Vec<_>, Vec<_>) = map
            .entries
            .into_iter()
            .partition(|entry| is_flat(&entry.key));
        let mut root = Map { entries };
        for entry in flat {
            self.insert(&mut root, String::new(), entry)?;
        }
        Ok((root, height))
    }

    fn value(&self, node: &mut Node) -> Result<usize, ParseError> {
        match &mut node.content {
            Content::Map(inner) => {
                let below = Self {
                    limit: self.limit,
                    ours: None,
                    places: HashMap::new(),
                };
                let (nested, height) = below.map(std::mem::take(inner))?;
                *inner = nested;
                Ok(height)
            }
            // Maps in lists stay as they are.
            Content::Scalar(_) | Content::List(_) => Ok(height(node)),
        }
    }

    /// Puts an entry into a map, under each part of its key.
    fn insert(&mut self, map: &mut Map, way: String, entry: Entry) -> Result<(), ParseError> {
        let written = entry.key.clone();
        let name = written.name();
        let (names, last) = name.rsplit_once(SEPARATOR).unwrap_or(("", name));
        let names = names.split(SEPARATOR).filter(|_| is_flat(&written));
        let (mut map, mut way) = (map, way);
        for name in names {
            (map, way) = self.enter(map, way, name, &entry)?;
        }
        let Some(place) = self.place(map, &way, last) else {
            self.push(
                map,
                &way,
                Entry {
                    key: part(&written, last),
                    value: entry.value,
                },
            );
            return Ok(());
        };
        let existing = &mut map.entries[place];
        match (&mut existing.value.content, entry.value.content) {
            (Content::Map(there), Content::Map(new))
                if self.ours.is_none() && !there.is_empty() && !new.is_empty() =>
            {
                let way = way + SEPARATOR + last;
                new.entries
                    .into_iter()
                    .try_for_each(|entry| self.insert(there, way.clone(), entry))
            }
            _ => Err(conflict(&written, existing.key.position)),
        }
    }

    /// The map of this name and the way to it; it is made where there is none.
    fn enter<'m>(
        &mut self,
        map: &'m mut Map,
        way: String,
        name: &str,
        entry: &Entry,
    ) -> Result<(&'m mut Map, String), ParseError> {
        let below = format!("{way}{SEPARATOR}{name}");
        let place = match self.place(map, &way, name) {
            Some(place) => {
                let existing = &map.entries[place];
                let is_open = self.ours.as_ref().is_none_or(|ours| ours.contains(&below));
                if !is_open || existing.value.as_map().is_none_or(Map::is_empty) {
                    return Err(conflict(&entry.key, existing.key.position));
                }
                place
            }
            None => {
                if let Some(ours) = &mut self.ours {
                    ours.insert(below.clone());
                }
                let content = Content::Map(Map::default());
                let value = Node {
                    content,
                    origin: entry.value.origin,
                    in_flow: false,
                };
                self.push(
                    map,
                    &way,
                    Entry {
                        key: part(&entry.key, name),
                        value,
                    },
                )
            }
        };
        match &mut map.entries[place].value.content {
            Content::Map(inner) => Ok((inner, below)),
            Content::Scalar(_) | Content::List(_) => Err(conflict(&entry.key, entry.key.position)),
        }
    }

    /// Where a key of a map is. A map of many keys is looked through only once.
    fn place(&mut self, map: &Map, way: &str, name: &str) -> Option<usize> {
        self.index(map, way).get(name).copied()
    }

    fn push(&mut self, map: &mut Map, way: &str, entry: Entry) -> usize {
        let place = map.entries.len();
        self.index(map, way).insert(entry.key.name().into(), place);
        map.entries.push(entry);
        place
    }

    fn index(&mut self, map: &Map, way: &str) -> &mut HashMap<Box<str>, usize> {
        let names = || {
            map.iter()
                .enumerate()
                .map(|(place, entry)| (entry.key.name().into(), place))
                .collect()
        };
        self.places.entry(way.to_owned()).or_insert_with(names)
    }
}

/// Levels below a value.
fn height(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 0,
        Content::List(items) => items.iter().map(|item| height(item) + 1).max().unwrap_or(0),
        Content::Map(map) => map
            .iter()
            .map(|entry| height(&entry.value) + 1)
            .max()
            .unwrap_or(0),
    }
}

fn conflict(key: &Key, first: Position) -> ParseError {
    fault(
        key.position,
        Fault::ConflictingKey {
            key: key.name().to_owned(),
            first,
        },
    )
}

fn part(whole: &Key, name: &str) -> Key {
    Key {
        scalar: scalar::text(name),
        printed: None,
        position: whole.position,
    }
}
