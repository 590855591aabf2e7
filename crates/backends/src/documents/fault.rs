//! What can be wrong with a document, said so that one can mend it.

use std::fmt;

/// A place in a source's file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's path below the source's directory.
    pub file: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<u64>,
    /// The column in characters, counted from 1, where it is known.
    pub column: Option<u64>,
}

impl Place {
    /// A file as a whole.
    pub fn file(path: impl Into<String>) -> Self {
        Self {
            file: path.into(),
            line: None,
            column: None,
        }
    }
}

impl fmt::Display for Place {
    /// Writes `file`, `file:line` or `file:line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        Ok(())
    }
}

/// Something that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct DocumentFault {
    /// Where.
    pub place: Place,
    /// What kind of fault it is.
    pub code: FaultCode,
    /// What is wrong and what to do, in a sentence without its full stop.
    pub problem: String,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal;)*) => {
        /// The kinds of faults.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultCode {
            $($(#[doc = $doc])* $variant,)*
        }

        impl FaultCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),*).trim_ascii(),)*
                }
            }
        }
    };
}

codes! {
    /// The file is no YAML, or breaks a limit of what is read.
    Syntax = "document-syntax";
    /// The file has bytes that are no UTF-8.
    NotUtf8 = "document-not-utf8";
    /// A link or a submodule stands where a file is needed.
    NotAFile = "document-not-a-file";
    /// The file is named like a document and is none.
    NoDocument = "document-not-recognized";
    /// The file was probably meant to be a document, and its name says otherwise.
    NotRead = "document-not-read";
    /// A key that does not exist.
    UnknownKey = "document-unknown-key";
    /// A key that must be there.
    MissingKey = "document-missing-key";
    /// A value of another type than the key has.
    WrongType = "document-wrong-type";
    /// A value that the key cannot have.
    InvalidValue = "document-invalid-value";
    /// A name that no config can have.
    InvalidName = "document-invalid-name";
    /// A selector that does not parse.
    InvalidSelector = "document-invalid-selector";
    /// A name that another document has.
    DuplicateName = "document-duplicate-name";
    /// Both of `body` and `file`, or neither.
    BodyOrFile = "document-body-or-file";
    /// A file that a document names and that is not there.
    FileNotFound = "document-file-not-found";
    /// A file that a document names and that is not inside of the source.
    FileOutside = "document-file-outside";
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
