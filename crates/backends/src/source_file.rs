//! A file of a config source, wherever it came from.

/// An entry of a source's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path below the source's directory, with `/` between names.
    pub path: String,
    /// What stands there.
    pub content: SourceContent,
}

/// What an entry of a source's directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceContent {
    /// A regular file and its bytes.
    File(Vec<u8>),
    /// A symbolic link. It is never followed: it could lead out of the source.
    Link,
    /// Another repository's commit. It is never fetched.
    Submodule,
}

impl SourceFile {
    /// A regular file.
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            content: SourceContent::File(bytes.into()),
        }
    }
}
