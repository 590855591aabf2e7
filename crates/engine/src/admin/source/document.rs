//! One document as a revision, and what is wrong with that. Needs no database, so that a working copy is judged as a commit.

use backends::documents::{SourceConfig, SourceTemplate};
use domain::{Kind, Override};
use store::sources::SourceFinding;

use super::finding::{self, finding};
use crate::admin::configs::put::{ReadBody, check_new_revision};
use crate::admin::configs::{Aim, NewRevision, NewTemplate, Origin, PutConfigError, Version};

/// A document that can be a revision.
pub(super) struct Checked<'a> {
    pub(super) config: &'a SourceConfig,
    pub(super) new: NewRevision,
    pub(super) read: ReadBody,
}

impl<'a> Checked<'a> {
    /// Checks a document that has this origin, and this message where it has none of its own.
    pub(super) fn of(
        config: &'a SourceConfig,
        (origin, subject): (Origin, &str),
        limits: &desired::Limits,
    ) -> Result<Self, SourceFinding> {
        let new = revision(config, origin, subject);
        if new.message.contains('\0') || new.body.contains(&0) {
            let problem = "holds the character U+0000, which cannot be stored: remove it";
            return Err(finding(&config.place, finding::NUL, problem.to_owned()));
        }
        match check_new_revision(&new, limits) {
            Ok(read) => Ok(Self { config, new, read }),
            Err(error) => Err(of_revision(config, &error)),
        }
    }
}

/// What a document says, as a revision.
fn revision(config: &SourceConfig, origin: Origin, subject: &str) -> NewRevision {
    NewRevision {
        kind: config.kind.as_str().to_owned(),
        aim: Aim {
            selector: config.selector.clone(),
            priority: config.priority,
        },
        body: config.body.text.clone().into_bytes(),
        template: config.template.as_ref().map(template),
        message: config.message.clone().unwrap_or_else(|| subject.to_owned()),
        version: Version::Counted,
        origin,
    }
}

fn template(template: &SourceTemplate) -> NewTemplate {
    let overrides = template.overrides.iter().map(|values| Override {
        selector: values.selector.clone(),
        variables: values.vars.clone(),
    });
    NewTemplate {
        variables: template.vars.clone(),
        overrides: overrides.collect(),
    }
}

/// At the place of the document, or of the body's line in whatever file it stands.
pub(super) fn of_revision(config: &SourceConfig, error: &PutConfigError) -> SourceFinding {
    let text = error.to_string();
    match error {
        PutConfigError::Body(body) => {
            let place = match body.line_and_column() {
                Some((line, column)) => config.body.place(line.into(), column.into()),
                None => config.body.place(1, 1),
            };
            let code = match (config.kind, &config.template) {
                (Kind::Variables, _) => finding::VARS,
                (Kind::Collector, Some(_)) => finding::TEMPLATE,
                (Kind::Collector, None) => finding::BODY,
            };
            finding(&place, code, text)
        }
        PutConfigError::Redacted { line, .. } => {
            let place = config.body.place(*line as u64, 1);
            finding(&place, finding::REDACTED, text)
        }
        PutConfigError::Variables(error) => {
            // Documents call them vars, as templates do.
            let field = error.field.replacen("variables", "vars", 1);
            finding(&config.place, finding::VARS, format!("{field}: {text}"))
        }
        _ => finding(&config.place, finding::INVALID, text),
    }
}
