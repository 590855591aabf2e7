//! From a commit's files to its configs, or to what is wrong with them.

use backends::SourceFile;
use backends::documents::{DocumentFault, Place, SourceConfig, SourceTemplate, read};
use backends::git::{CommitId, GitError};
use domain::Override;
use store::sources::SourceFinding;

use crate::admin::configs::{Aim, NewRevision, NewTemplate, Origin, PutConfigError, Version};
use crate::engine::Engine;

/// Reads the files of a commit; takes a while. A directory that is not there, holds no config, or breaks a limit is a
/// fault of the commit: an empty source would delete every config.
///
/// # Errors
/// What is no fault of the commit.
pub fn read_documents(
    files: Result<Vec<SourceFile>, GitError>,
) -> Result<Result<Vec<SourceConfig>, Vec<SourceFinding>>, GitError> {
    let files = match files {
        Ok(files) => files,
        Err(error @ (GitError::NoSuchPath { .. } | GitError::TooLarge(_))) => {
            let code = match error {
                GitError::NoSuchPath { .. } => "source-no-path",
                _ => "source-too-large",
            };
            return Ok(Err(vec![of_source(code, error.to_string())]));
        }
        Err(error) => return Err(error),
    };
    Ok(match read(&files) {
        Ok(configs) if configs.is_empty() => Err(vec![of_source(
            "source-empty",
            "there is no document (config.yaml, *.config.yaml) in the source, which would delete every config of it: if that is meant, delete them all but one, or remove config_source from the server's configuration".to_owned(),
        )]),
        Ok(configs) => Ok(configs),
        Err(faults) => Err(faults.into_iter().map(of_document).collect()),
    })
}

impl Engine {
    /// What a document says as a revision, and what is wrong with that; both, so that all faults are found.
    pub(super) fn check_document(
        &self,
        config: &SourceConfig,
        new: &NewRevision,
    ) -> Result<Option<domain::Template>, SourceFinding> {
        if new.message.contains('\0') || new.body.contains(&0) {
            let problem = "holds the character U+0000, which cannot be stored: remove it";
            return Err(finding(&config.place, "config-nul", problem.to_owned()));
        }
        self.check_new_revision(new)
            .map_err(|error| of_revision(config, &error))
    }
}

/// What a document says, as the revision of a commit.
pub(super) fn revision(config: &SourceConfig, commit: CommitId, subject: &str) -> NewRevision {
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
        origin: Origin::Git(commit),
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
fn of_revision(config: &SourceConfig, error: &PutConfigError) -> SourceFinding {
    let text = error.to_string();
    match error {
        PutConfigError::Body(body) => {
            let place = match body.line_and_column() {
                Some((line, column)) => config.body.place(line.into(), column.into()),
                None => config.body.place(1, 1),
            };
            let code = match config.template {
                Some(_) => "config-template",
                None => "config-body",
            };
            finding(&place, code, text)
        }
        PutConfigError::Redacted { line, .. } => {
            finding(&config.body.place(*line as u64, 1), "config-redacted", text)
        }
        PutConfigError::Variables(error) => {
            // Documents call them vars, as templates do.
            let field = error.field.replacen("variables", "vars", 1);
            finding(&config.place, "config-vars", format!("{field}: {text}"))
        }
        _ => finding(&config.place, "config-invalid", text),
    }
}

/// A name that the source may not have.
pub(super) fn taken(config: &SourceConfig) -> SourceFinding {
    let problem = format!(
        "the config {} was made through the API, and a source takes none over: give this one another name, or delete that one",
        config.name
    );
    finding(&config.place, "source-name-taken", problem)
}

fn of_document(fault: DocumentFault) -> SourceFinding {
    finding(&fault.place, fault.code.as_str(), fault.problem)
}

fn of_source(code: &str, problem: String) -> SourceFinding {
    finding(&Place::file(""), code, problem)
}

fn finding(place: &Place, code: &str, problem: String) -> SourceFinding {
    SourceFinding {
        file: place.file.clone(),
        line: place.line,
        column: place.column,
        code: code.to_owned(),
        // What somebody wrote may stand in it.
        problem: problem.replace('\0', "\u{fffd}"),
    }
}
