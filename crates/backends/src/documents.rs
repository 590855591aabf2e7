//! The layout of a config source: which of its files are documents, and what a document says.
//!
//! A file is a document if it is named `config.yaml` or if its name ends in `.config.yaml`, in whatever directory of
//! the source it stands. Each is one config. Other files matter only where a document names them.
//!
//! ```yaml
//! name: edge                # required; unique in the source
//! kind: collector           # the default; variables: the body is a map of values that templates share
//! selector: env=prod        # text or a plain map; absent: every agent
//! priority: 10              # 0 by default; the higher merges later and wins
//! message: why              # absent: the commit's message
//! template: jinja           # absent: the body is sent as it is
//! vars: {verbosity: basic}  # with a template only
//! overrides: [{selector: region=eu, vars: {verbosity: normal}}]
//! body: |                   # or `file: PATH`, from the document's own directory, inside of the source
//!   receivers: {}
//! ```

mod body;
mod document;
mod fault;
mod node;
mod section;

use std::collections::BTreeMap;

use domain::{ConfigName, Kind, Selector};
use serde_json::Value;

pub use self::fault::{DocumentFault, FaultCode, Place};

use self::document::Document;
use crate::SourceFile;

/// The most faults that are told, so that a broken source cannot fill the memory.
pub const MOST_FAULTS: usize = 1_000;

/// The name of a document.
const NAME: &str = "config.yaml";
/// How other names of documents end.
const SUFFIX: &str = ".config.yaml";
/// How a document's name ends that somebody got nearly right.
const NEARLY: [&str; 2] = ["config.yml", ".config.yml"];

/// One config as a document says it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceConfig {
    /// Its name.
    pub name: ConfigName,
    /// What its body is.
    pub kind: Kind,
    /// The agents it is for.
    pub selector: Selector,
    /// Its place among the layers of an agent: the higher merges later and wins.
    pub priority: i64,
    /// Why, where the document says it.
    pub message: Option<String>,
    /// What makes its body a template; nothing: it is sent as it is.
    pub template: Option<SourceTemplate>,
    /// What it configures.
    pub body: SourceBody,
    /// Where its document begins.
    pub place: Place,
}

/// What makes a body a template, in Jinja's language.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceTemplate {
    /// Its variables and their values.
    pub vars: BTreeMap<String, Value>,
    /// Other values for some agents; the last that matches an agent wins.
    pub overrides: Vec<SourceOverride>,
}

/// Values for the agents of a selector.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceOverride {
    /// The agents.
    pub selector: Selector,
    /// The values that they have instead.
    pub vars: BTreeMap<String, Value>,
}

/// A body, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceBody {
    /// The text.
    pub text: String,
    /// The file where it stands: the document, or the one that the document names.
    pub file: String,
    /// The line of that file where the body's first line stands. Nothing where YAML joined lines, so that the body's
    /// lines are not the file's.
    pub first_line: Option<u64>,
    /// By how many columns the file's text is to the right of the body's.
    pub indent: u64,
}

impl SourceBody {
    /// The place in the repository of a line and column of the body, both counted from 1.
    #[must_use]
    pub fn place(&self, line: u64, column: u64) -> Place {
        Place {
            file: self.file.clone(),
            line: self.first_line.map(|first| first + line.saturating_sub(1)),
            column: self.first_line.map(|_| self.indent + column),
        }
    }
}

/// Whether a file of this path is a document.
#[must_use]
pub fn is_document(path: &str) -> bool {
    let name = name_of(path);
    name == NAME || name.ends_with(SUFFIX)
}

/// Reads all documents among a source's files.
///
/// # Errors
/// Everything that is wrong with any of them, by file and line; none is used then.
pub fn read(files: &[SourceFile]) -> Result<Vec<SourceConfig>, Vec<DocumentFault>> {
    let by_path: BTreeMap<&str, &SourceFile> = files
        .iter()
        .map(|file| (file.path.as_str(), file))
        .collect();
    let documents: Vec<Document> = by_path
        .values()
        .filter(|file| is_document(&file.path))
        .map(|file| document::read(file, &by_path))
        .collect();
    let mut faults: Vec<DocumentFault> = documents
        .iter()
        .flat_map(|document| document.faults.iter().cloned())
        .chain(duplicates(&documents))
        .chain(nearly_documents(&by_path, &documents))
        .collect();
    if faults.is_empty() {
        return Ok(documents
            .into_iter()
            .filter_map(|document| document.config)
            .collect());
    }
    faults.sort_by(|a, b| (&a.place, a.code).cmp(&(&b.place, b.code)));
    // Several documents may name the same broken file.
    faults.dedup();
    faults.truncate(MOST_FAULTS);
    Err(faults)
}

/// A fault for each name that an earlier document has already.
fn duplicates(documents: &[Document]) -> Vec<DocumentFault> {
    let mut first: BTreeMap<&ConfigName, &Place> = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, place) in documents
        .iter()
        .filter_map(|document| document.name.as_ref())
    {
        match first.get(name) {
            None => {
                first.insert(name, place);
            }
            Some(before) => faults.push(DocumentFault {
                place: place.clone(),
                code: FaultCode::DuplicateName,
                problem: format!(
                    "the name \"{name}\" is taken by {before}: give one of the two another, or remove it"
                ),
            }),
        }
    }
    faults
}

/// A fault for each file that was probably meant to be a document and is none.
fn nearly_documents(
    files: &BTreeMap<&str, &SourceFile>,
    documents: &[Document],
) -> Vec<DocumentFault> {
    let is_body = |path: &str| {
        let mut bodies = documents
            .iter()
            .filter_map(|document| document.body_file.as_deref());
        bodies.any(|body| body == path)
    };
    files
        .keys()
        .filter(|path| is_nearly_document(path) && !is_body(path))
        .map(|path| DocumentFault {
            place: Place::file(*path),
            code: FaultCode::NotRead,
            problem: "is no document, since those end in \".yaml\": rename it".to_owned(),
        })
        .collect()
}

fn is_nearly_document(path: &str) -> bool {
    let name = name_of(path);
    name == NEARLY[0] || name.ends_with(NEARLY[1])
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
