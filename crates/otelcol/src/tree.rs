//! The tree of a document: values with the text and style they were written in, and where.

use std::fmt;
use std::sync::Arc;

use crate::error::Position;
pub use crate::resolve::Typed;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Where it was written.
    pub origin: Origin,
    /// Whether it stood inside of brackets or braces, where it can be written again.
    pub(crate) in_flow: bool,
}

/// What a node can be.
#[derive(Debug, Clone)]
pub enum Content {
    /// Text, number, boolean, date or null.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Map),
}

/// Where a value was written: which of the merged documents, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin {
    /// Index of the document in the order in which they were merged; 0 for one that was only parsed.
    pub layer: u32,
    /// The place in that document.
    pub position: Position,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In `'…'`.
    SingleQuoted,
    /// In `"…"`.
    DoubleQuoted,
    /// Behind `|`.
    Literal,
    /// Behind `>`.
    Folded,
}

/// A scalar: its text, what it is to the Collector, and how it was written.
#[derive(Debug, Clone)]
pub struct Scalar {
    pub(crate) text: Box<str>,
    /// The source where text and style do not say it: of several lines, or with escapes.
    pub(crate) raw: Option<Box<str>>,
    pub(crate) style: Style,
    pub(crate) typed: Typed,
    /// A tag of YAML's own schema, such as `str` for `!!str`.
    pub(crate) tag: Option<Box<str>>,
}

/// A map in the order it was written.
#[derive(Debug, Clone, Default)]
pub struct Map {
    pub(crate) entries: Vec<Entry>,
}

/// One key of a map and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key: the name that the Collector sees, and how it was written.
#[derive(Debug, Clone)]
pub struct Key {
    pub(crate) scalar: Scalar,
    /// The name where it is not the text: that of a key that is no text is what Go prints for it, of `0x10` it is `16`.
    pub(crate) printed: Option<Box<str>>,
    pub(crate) position: Position,
}

impl Node {
    /// The map, if it is one.
    pub const fn as_map(&self) -> Option<&Map> {
        match &self.content {
            Content::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.content {
            Content::List(items) => Some(items),
            _ => None,
        }
    }

    /// The scalar, if it is one.
    pub const fn as_scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar that is not null. A number's or boolean's is the text as written,
    /// as the Collector does where it wants a text.
    pub fn as_str(&self) -> Option<&str> {
        self.as_scalar()
            .filter(|scalar| !matches!(scalar.typed, Typed::Null))
            .map(Scalar::text)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_scalar()?.typed {
            Typed::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// The whole number, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self.as_scalar()?.typed {
            Typed::Int(number) => number.try_into().ok(),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self.as_scalar()?.typed {
            #[allow(clippy::cast_precision_loss)] // What Go does with an int in a float field.
            Typed::Int(number) => Some(number as f64),
            Typed::Float(float) => Some(float),
            _ => None,
        }
    }

    /// True for an explicit null, which in a merge removes what is there.
    pub fn is_null(&self) -> bool {
        self.as_scalar()
            .is_some_and(|scalar| matches!(scalar.typed, Typed::Null))
    }

    /// The kind in a word, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Map(_) => "a map",
            Content::List(_) => "a list",
            Content::Scalar(scalar) => scalar.typed.name(),
        }
    }
}

impl Scalar {
    /// The text, with quotes, escapes and indentation resolved.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it is to the Collector.
    pub const fn typed(&self) -> Typed {
        self.typed
    }

    /// How it was written.
    pub const fn style(&self) -> Style {
        self.style
    }
}

impl Map {
    /// The value of a key.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// A key and its value.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.name() == name)
    }

    /// All keys and values, in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Number of keys.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no key.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Key {
    /// The name that the Collector sees.
    pub fn name(&self) -> &str {
        self.printed.as_deref().unwrap_or(&self.scalar.text)
    }

    /// Where it was written, in the document that brought it first.
    pub const fn position(&self) -> Position {
        self.position
    }
}

/// The way to a value: names of keys, and indexes into lists.
///
/// Shown as the Collector does, `receivers::otlp::protocols`, since keys may have dots in them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(Vec<Step>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a map. Shared, since a long name on the way to many values would be copied for each of them.
    Key(Arc<str>),
    /// Into a list, counted from 0.
    Index(usize),
}

impl Path {
    /// The path to the whole document.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// True where the other path leads to this value or to something inside of it.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// About how many bytes it takes to show.
    pub(crate) fn bytes(&self) -> usize {
        let of = |step: &Step| match step {
            Step::Key(name) => name.len() + 2,
            Step::Index(_) => 8,
        };
        self.0.iter().map(of).sum()
    }

    pub(crate) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }
}

impl FromIterator<Step> for Path {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            if 0 < index {
                f.write_str("::")?;
            }
            match step {
                Step::Key(name) => f.write_str(name)?,
                Step::Index(place) => write!(f, "{place}")?,
            }
        }
        Ok(())
    }
}
