//! What can be wrong with a document, where, and what to do about it.

use std::fmt;

/// A place in a text: what an editor shows, and the byte it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Byte offset from the start of the text.
    pub offset: u32,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a text is no configuration: the fault, and where it is.
///
/// The message names the place, the fault and what to do, in one sentence fit for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {fault}")]
pub struct ParseError {
    /// Where to look.
    pub position: Position,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// More bytes than allowed.
    #[error("the document has {bytes} bytes, allowed are {limit}: split it, or raise the limit")]
    TooLarge {
        /// Size of the document.
        bytes: usize,
        /// The limit that it exceeds.
        limit: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("the text is not UTF-8: save the file with UTF-8 encoding")]
    NotUtf8,
    /// A character that YAML does not allow in a text.
    #[error(
        "character U+{:04X} is not allowed in YAML: write it as an escape in double quotes, or remove it",
        u32::from(*.character)
    )]
    ForbiddenCharacter {
        /// The character.
        character: char,
    },
    /// A character that no editor shows and that the Collector reads otherwise than other readers:
    /// a line separator of YAML 1.1, or a byte-order mark after the beginning.
    #[error(
        "the invisible character U+{:04X} means something else to the Collector than to an editor: write it as an escape in double quotes, or remove it",
        u32::from(*.character)
    )]
    Invisible {
        /// The character.
        character: char,
    },
    /// The text breaks YAML's grammar.
    #[error("{message}{}{advice}", if .advice.is_empty() { "" } else { ": " })]
    Syntax {
        /// What the scanner found.
        message: String,
        /// What to do about it; empty where the message says it.
        advice: &'static str,
    },
    /// The same key twice in one map.
    #[error("key \"{key}\" is already given at {first}: remove one of the two, or join them")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it stands first.
        first: Position,
    },
    /// A key with `::` in it that meets another key on its way.
    #[error(
        "key \"{key}\" meets the one at {first}, and which of the two wins is left to chance: write it as nested maps"
    )]
    ConflictingKey {
        /// The key as written.
        key: String,
        /// Where the other one stands.
        first: Position,
    },
    /// A list or map as a key.
    #[error("{found} cannot be a key: quote it if it is meant as text")]
    CollectionKey {
        /// `a list` or `a map`.
        found: &'static str,
    },
    /// A section whose name is not a text.
    #[error("the key \"{key}\" is not a text but {found}: put it in quotes")]
    TopLevelKey {
        /// The key as written.
        key: String,
        /// What it is instead.
        found: &'static str,
    },
    /// The document is a list or a scalar.
    #[error(
        "a configuration is a map with sections like \"receivers:\" and \"service:\", this is {found}"
    )]
    NotAMap {
        /// `a list`, `a text`, …
        found: &'static str,
    },
    /// Maps and lists nested too deep.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit that is exceeded.
        limit: usize,
    },
    /// Too many values, most likely by aliases of aliases.
    #[error("more than {limit} values once all aliases are followed: write fewer aliases")]
    TooManyNodes {
        /// The limit that is exceeded.
        limit: usize,
    },
    /// Too much text by aliases of long texts.
    #[error("more than {limit} bytes of text once all aliases are followed: write fewer aliases")]
    TooMuchText {
        /// The limit that is exceeded.
        limit: usize,
    },
    /// An alias inside of what it stands for.
    #[error("the alias stands inside of the value that it refers to")]
    AliasCycle,
    /// `<<` with something that cannot be merged.
    #[error("the merge key \"<<\" takes a map or a list of maps, this is {found}")]
    MergeNotMap {
        /// What stands there.
        found: &'static str,
    },
    /// A tag the Collector does not know, or that does not fit its value; the value may be a secret and is not told.
    #[error("the value cannot be read as {tag}: remove the tag, or correct the value")]
    Tag {
        /// The tag as written.
        tag: String,
    },
}
