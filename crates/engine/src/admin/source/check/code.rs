//! All codes that a check of a source may tell.

use backends::documents::FaultCode;
use desired::{Code, Severity};

use crate::admin::source::finding::{self, SourceCode};

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckCode {
    /// Its stable name.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub summary: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it is about what a Collector is given, and has its page in `docs/findings`.
    pub has_page: bool,
}

/// Labels that no document is for.
pub(super) const UNASSIGNED: CheckCode = CheckCode {
    name: "labels-match-nothing",
    summary: "No config is for an agent with the labels to check.",
    severity: Severity::Warning,
    has_page: false,
};
/// A template of which nothing more can be said without an agent.
pub(super) const NOT_RENDERED: CheckCode = CheckCode {
    name: "template-not-rendered",
    summary: "What a template makes was not checked, since it depends on labels that were not given.",
    severity: Severity::Advice,
    has_page: false,
};
/// A build that is known in part.
pub(super) const BUILD_IN_PART: CheckCode = CheckCode {
    name: "build-known-in-part",
    summary: "Not all components of a build are known, so that not all that it lacks is found.",
    severity: Severity::Advice,
    has_page: false,
};
/// Layers that make no configuration together.
pub(super) const NOT_MERGED: CheckCode = CheckCode {
    name: "configs-not-merged",
    summary: "Configs that make no configuration together.",
    severity: Severity::Error,
    has_page: false,
};

/// What a template does when it is rendered.
pub(super) const TEMPLATE: CheckCode = fault(finding::TEMPLATE.name, finding::TEMPLATE.summary);

/// The code of this name; of one that is not in the list, that of configs that cannot be for another reason.
pub(super) fn named(name: &str) -> CheckCode {
    let other = fault(finding::INVALID.name, finding::INVALID.summary);
    all().find(|code| code.name == name).unwrap_or(other)
}

/// All codes, in a fixed order.
pub fn all() -> impl Iterator<Item = CheckCode> {
    let documents = FaultCode::ALL
        .iter()
        .map(|code| fault(code.as_str(), code.summary()));
    let source = finding::CODES.iter();
    let source = source.map(|SourceCode { name, summary }| fault(name, summary));
    let bodies = Code::ALL.iter().copied().map(of_body);
    documents
        .chain(source)
        .chain([UNASSIGNED, NOT_RENDERED, BUILD_IN_PART, NOT_MERGED])
        .chain(bodies)
}

pub(super) const fn of_body(code: Code) -> CheckCode {
    CheckCode {
        name: code.name(),
        summary: code.summary(),
        severity: code.severity(),
        has_page: true,
    }
}

const fn fault(name: &'static str, summary: &'static str) -> CheckCode {
    CheckCode {
        name,
        summary,
        severity: Severity::Error,
        has_page: false,
    }
}
