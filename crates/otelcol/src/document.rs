//! A parsed document and how to look into it.

use crate::emit;
use crate::error::ParseError;
use crate::obvious;
use crate::parse::{self, read_back};
use crate::tree::{Content, Map, Node, Origin, Path, Step};
use crate::value::Value;

/// What a document may at most be. Whoever writes configurations is not trusted with our memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the text in bytes.
    pub bytes: usize,
    /// Levels of lists and maps, the root included and aliases followed.
    pub depth: usize,
    /// Values (scalars, lists, maps and keys), aliases followed.
    pub nodes: usize,
}

impl Default for Limits {
    /// 4 MiB, 200 levels, 500,000 values.
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            depth: 200,
            nodes: 500_000,
        }
    }
}

/// A Collector configuration: one YAML document whose root is a map.
///
/// ```
/// let document = otelcol::Document::parse(b"processors: { batch: { timeout: 2s } }").unwrap();
/// let timeout = document.get("processors.batch.timeout").unwrap();
/// assert_eq!(timeout.as_str(), Some("2s"));
/// assert_eq!(timeout.origin.position.column, 33);
/// ```
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) root: Map,
    pub(crate) ignored_from: Option<crate::Position>,
}

impl Document {
    /// Reads a document as the Collector does, within the default limits.
    ///
    /// An empty document is an empty map, as it is to the Collector.
    ///
    /// # Errors
    /// Says what is wrong, where, and what to do about it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        Self::parse_within(bytes, &Limits::default())
    }

    /// Reads a document within these limits.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_within(bytes: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        parse::document(bytes, limits)
    }

    /// The document's map.
    pub const fn root(&self) -> &Map {
        &self.root
    }

    /// Where further documents begin, which the Collector does not read.
    pub const fn ignored_from(&self) -> Option<crate::Position> {
        self.ignored_from
    }

    /// The value at a path such as `extensions.health_check.endpoint`, or with `::` for dots.
    ///
    /// Keys with dots in them are found, too (`service.telemetry.resource.service.name`), and a
    /// number is an index where there is a list.
    pub fn get(&self, path: &str) -> Option<&Node> {
        let separator = if path.contains("::") { "::" } else { "." };
        let parts: Vec<&str> = path.split(separator).collect();
        in_map(&self.root, &parts, separator)
    }

    /// The value at exactly this path; none for the root, which is no node.
    pub fn at(&self, path: &Path) -> Option<&Node> {
        let (first, rest) = path.steps().split_first()?;
        let Step::Key(name) = first else { return None };
        rest.iter().try_fold(self.root.get(name)?, |node, step| {
            match (step, &node.content) {
                (Step::Key(name), Content::Map(map)) => map.get(name),
                (Step::Index(index), Content::List(items)) => items.get(*index),
                _ => None,
            }
        })
    }

    /// Every scalar, empty list and empty map with the way to it, in the order they are written.
    pub fn leaves(&self) -> Vec<(Path, Origin)> {
        let mut leaves = Vec::new();
        leaves_of_map(&self.root, &mut Path::root(), &mut leaves);
        leaves
    }

    /// The typed values alone, for comparison: no style, no order, no positions.
    pub fn value(&self) -> Value {
        Value::from(&self.root)
    }

    /// Whether a text reads as this document's values: the same as [`value`](Self::value) of the text parsed, of any size,
    /// and cheaper for a text of [`to_yaml`](Self::to_yaml).
    pub fn reads_back(&self, text: &str) -> bool {
        let limits = Limits {
            bytes: text.len(),
            nodes: usize::MAX,
            ..Limits::default()
        };
        if obvious::says(text, &self.root, limits.depth)
            || read_back::is_certain(text, &self.root, &limits)
        {
            return true;
        }
        Self::parse_within(text.as_bytes(), &limits)
            .is_ok_and(|document| document.value() == self.value())
    }

    /// The document as YAML: every scalar in its own text and style, without comments and anchors.
    pub fn to_yaml(&self) -> String {
        emit::document(&self.root)
    }
}

fn in_map<'a>(map: &'a Map, parts: &[&str], separator: &str) -> Option<&'a Node> {
    (1..=parts.len()).find_map(|taken| {
        let value = map.get(&parts[..taken].join(separator))?;
        in_node(value, &parts[taken..], separator)
    })
}

fn in_node<'a>(node: &'a Node, parts: &[&str], separator: &str) -> Option<&'a Node> {
    let Some((first, rest)) = parts.split_first() else {
        return Some(node);
    };
    match &node.content {
        Content::Map(map) => in_map(map, parts, separator),
        Content::List(items) => in_node(items.get(first.parse::<usize>().ok()?)?, rest, separator),
        Content::Scalar(_) => None,
    }
}

fn leaves_of_map(map: &Map, path: &mut Path, leaves: &mut Vec<(Path, Origin)>) {
    for entry in map.iter() {
        path.push(Step::Key(entry.key.name().into()));
        leaves_of(&entry.value, path, leaves);
        path.pop();
    }
}

fn leaves_of(node: &Node, path: &mut Path, leaves: &mut Vec<(Path, Origin)>) {
    match &node.content {
        Content::Map(map) if !map.is_empty() => leaves_of_map(map, path, leaves),
        Content::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                leaves_of(item, path, leaves);
                path.pop();
            }
        }
        _ => leaves.push((path.clone(), node.origin)),
    }
}
