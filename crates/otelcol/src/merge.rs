//! Merging as the Collector merges several `--config`: maps deep, everything else replaced.

use std::collections::HashMap;

use crate::document::Document;
use crate::tree::{Content, Entry, Map, Node, Origin, Path, Step};

/// Several documents in one, with where each value comes from.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The merged document; the origin of each node names the layer that set it.
    pub document: Document,
    /// What later layers replaced, in the order in which they did.
    pub overridden: Vec<Overridden>,
}

/// A value that a later layer replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// The way to the value; a whole map or list where all of it was replaced.
    pub path: Path,
    /// Where the value stands that replaced it.
    pub by: Origin,
    /// Where it stood itself.
    pub origin: Origin,
}

/// Merges documents, the later over the earlier.
///
/// Maps merge deeply. Lists and scalars are replaced whole, and so is a map by anything that is
/// no map: an explicit null (`batch:` alone on its line) takes away what earlier layers said.
///
/// ```
/// use otelcol::{Document, merge};
/// let layer = |text: &str| Document::parse(text.as_bytes()).unwrap();
/// let merged = merge([layer("a: {x: 0777, y: [1, 2]}"), layer("a: {y: [3]}\nb: 'q'")]);
/// assert_eq!(merged.document.to_yaml(), "a: {x: 0777, y: [3]}\nb: 'q'\n");
/// assert_eq!(merged.document.get("a.y.0").unwrap().origin.layer, 1);
/// ```
pub fn merge(documents: impl IntoIterator<Item = Document>) -> Merged {
    let mut merged = Merge::default();
    let mut root = Map::default();
    for (layer, document) in (0..).zip(documents) {
        let mut over = document.root;
        stamp_map(&mut over, layer);
        merged.map(&mut root, over);
    }
    Merged {
        document: Document {
            root,
            ignored_from: None,
        },
        overridden: merged.overridden,
    }
}

fn stamp_map(map: &mut Map, layer: u32) {
    for entry in &mut map.entries {
        stamp(&mut entry.value, layer);
    }
}

fn stamp(node: &mut Node, layer: u32) {
    node.origin.layer = layer;
    match &mut node.content {
        Content::Scalar(_) => {}
        Content::List(items) => items.iter_mut().for_each(|item| stamp(item, layer)),
        Content::Map(map) => stamp_map(map, layer),
    }
}

const FEW: usize = 8;

#[derive(Default)]
struct Merge {
    path: Path,
    overridden: Vec<Overridden>,
}

impl Merge {
    fn map(&mut self, base: &mut Map, over: Map) {
        let places = places(base, &over);
        for (entry, place) in over.entries.into_iter().zip(places) {
            match place {
                Some(place) => self.entry(&mut base.entries[place], entry),
                None => base.entries.push(entry),
            }
        }
    }

    fn entry(&mut self, base: &mut Entry, over: Entry) {
        self.path.push(Step::Key(over.key.name().into()));
        self.value(&mut base.value, over.value);
        self.path.pop();
    }

    fn value(&mut self, base: &mut Node, over: Node) {
        match (&mut base.content, over.content) {
            (Content::Map(base), Content::Map(over)) => self.map(base, over),
            (_, content) => {
                let over = Node { content, ..over };
                self.overridden.push(Overridden {
                    path: self.path.clone(),
                    by: over.origin,
                    origin: base.origin,
                });
                *base = over;
            }
        }
    }
}

/// For each key of a map, where another has it.
fn places(base: &Map, over: &Map) -> Vec<Option<usize>> {
    let names = || base.entries.iter().map(|entry| entry.key.name());
    let over = over.entries.iter().map(|entry| entry.key.name());
    // Of few keys each is found sooner than a table of them is made.
    if base.len() <= FEW {
        return over
            .map(|name| names().position(|known| known == name))
            .collect();
    }
    let places: HashMap<&str, usize> = names().zip(0..).collect();
    over.map(|name| places.get(name).copied()).collect()
}
