//! What is wrong with a commit: the kinds there are beside the faults of documents, and how one is told.

use backends::documents::{DocumentFault, Place};
use store::sources::SourceFinding;

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceCode {
    /// Its stable name.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub summary: &'static str,
}

const fn code(name: &'static str, summary: &'static str) -> SourceCode {
    SourceCode { name, summary }
}

pub(super) const NO_PATH: SourceCode = code(
    "source-no-path",
    "The commit does not have the source's directory.",
);
pub(super) const TOO_LARGE: SourceCode = code(
    "source-too-large",
    "The source has too many files, or too large ones.",
);
pub(super) const EMPTY: SourceCode = code(
    "source-empty",
    "There is no document in the source, which would delete every config of it.",
);
pub(super) const NAME_TAKEN: SourceCode = code(
    "source-name-taken",
    "A config of this name was made through the API.",
);
pub(super) const NUL: SourceCode = code(
    "config-nul",
    "The character U+0000, which cannot be stored.",
);
pub(super) const BODY: SourceCode = code("config-body", "A body that is no configuration.");
pub(super) const TEMPLATE: SourceCode = code("config-template", "A template that cannot be used.");
pub(super) const REDACTED: SourceCode = code(
    "config-redacted",
    "A body that was copied from where its secrets are not shown.",
);
pub(super) const VARS: SourceCode = code("config-vars", "Variables that a template cannot have.");
pub(super) const INVALID: SourceCode = code(
    "config-invalid",
    "A config that cannot be, for another reason.",
);

/// All of them.
pub(super) const CODES: [SourceCode; 10] = [
    NO_PATH, TOO_LARGE, EMPTY, NAME_TAKEN, NUL, BODY, TEMPLATE, REDACTED, VARS, INVALID,
];

/// A finding at a place.
pub(super) fn finding(place: &Place, code: SourceCode, problem: String) -> SourceFinding {
    told(place, code.name, problem)
}

/// A finding about the source as a whole.
pub(super) fn of_source(code: SourceCode, problem: String) -> SourceFinding {
    finding(&Place::file(""), code, problem)
}

pub(super) fn of_document(fault: DocumentFault) -> SourceFinding {
    told(&fault.place, fault.code.as_str(), fault.problem)
}

fn told(place: &Place, code: &str, problem: String) -> SourceFinding {
    SourceFinding {
        file: place.file.clone(),
        line: place.line,
        column: place.column,
        code: code.to_owned(),
        // What somebody wrote may stand in it.
        problem: problem.replace('\0', "\u{fffd}"),
    }
}
