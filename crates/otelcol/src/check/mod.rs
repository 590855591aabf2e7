//! Static checks: what can be known to be wrong with a configuration before any Collector sees it.
//!
//! Each finding has a stable [`Code`], which names its page of the documentation, a place, a sentence of what is wrong and one
//! of what to do. Errors are what the Collector refuses; warnings and advice are what it runs and an operator regrets.

mod code;
mod components;
mod cycles;
mod findings;
mod graph;
mod settings;
mod shape;

use std::collections::BTreeSet;
use std::fmt;

pub use code::{Code, Severity};
use findings::Findings;
pub use findings::MOST_FINDINGS;

use crate::document::Document;
use crate::inventory::Inventory;
use crate::service::Service;
use crate::tree::{Origin, Path};

/// Something to be said about a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is.
    pub code: Code,
    /// The way to what it is about.
    pub path: Path,
    /// Where that stands: which of the merged documents, line and column.
    pub origin: Origin,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it, in one sentence.
    pub advice: String,
}

impl Finding {
    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (severity, code) = (self.severity(), self.code);
        let position = self.origin.position;
        write!(f, "{position}: {severity} {code}: {}", self.message)?;
        write!(f, ": {}", self.advice)
    }
}

/// What a configuration is checked against, beside itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The components of the build that will run it; none where that is not known.
    pub inventory: Option<&'a Inventory>,
    /// The environment variables that will be set; none where that is not known.
    pub variables: Option<&'a BTreeSet<String>>,
}

/// Checks a configuration; findings come in the order of the text.
///
/// There are at most [`MOST_FINDINGS`] of them, errors before all others, and one more that says so where some are left out.
///
/// ```
/// use otelcol::{Code, Document, Surroundings, check};
/// let document = Document::parse(b"receivers: {otlp: }\nexporters: {debug: }\nservice:
///   pipelines: {traces: {receivers: [otlp, jaeger], exporters: [debug]}}").unwrap();
/// let findings = check(&document, &Surroundings::default());
/// assert_eq!(findings[0].code, Code::UndefinedComponent);
/// assert_eq!((findings[0].origin.position.line, findings[0].origin.position.column), (4, 42));
/// ```
pub fn check(document: &Document, surroundings: &Surroundings<'_>) -> Vec<Finding> {
    let mut findings = Findings::default();
    let service = Service::of(document);
    shape::check(&service, &mut findings);
    components::check(&service, surroundings, &mut findings);
    graph::check(&service, surroundings, &mut findings);
    settings::check(document, surroundings, &mut findings);
    findings.in_order_of_the_text()
}
