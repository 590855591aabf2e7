//! What is known to be wrong with what layers make, before any agent is offered it.

use otelcol::{Code, Path, Severity, Surroundings};

use crate::materialise::merged;
use crate::provenance::Sources;
use crate::{Layer, Limits, MaterialiseError, Source};

/// Something to be said about what layers make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is.
    pub code: Code,
    /// The way to what it is about.
    pub path: Path,
    /// The revision that wrote it, and where.
    pub source: Source,
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

    /// Whether a Collector would refuse to run with it.
    pub const fn is_error(&self) -> bool {
        matches!(self.severity(), Severity::Error)
    }
}

/// Checks what these layers make together, in the order of the text; a part of it may well make no sense alone.
///
/// # Errors
/// As [`crate::materialise_within`]: what cannot be made cannot be checked.
pub fn check_within(
    layers: &[Layer<'_>],
    limits: &Limits,
) -> Result<Vec<Finding>, MaterialiseError> {
    let (layers, merged) = merged(layers, limits)?;
    let sources = Sources(&layers);
    let findings = otelcol::check(&merged.document, &Surroundings::default());
    Ok(findings
        .into_iter()
        .map(|found| Finding {
            source: sources.of(found.origin),
            code: found.code,
            path: found.path,
            message: found.message,
            advice: found.advice,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use domain::{ConfigName, RevisionNumber};

    use super::*;
    use crate::hash::sha256;

    const BASE: &[u8] = b"receivers: {otlp: }\nexporters: {debug: }\n";
    const PIPELINE: &[u8] =
        b"service:\n  pipelines:\n    traces: {receivers: [otlp], exporters: [debug, otlp]}\n";

    fn layer<'a>(config: &'a ConfigName, priority: i64, body: &'a [u8]) -> Layer<'a> {
        Layer {
            config,
            revision: RevisionNumber(7),
            priority,
            sha256: sha256(body),
            body,
        }
    }

    fn codes(layers: &[Layer<'_>]) -> Vec<(&'static str, String, u64, u32)> {
        let findings = check_within(layers, &Limits::default()).unwrap();
        findings
            .iter()
            .map(|found| {
                let source = &found.source;
                let (config, revision) = (source.config.to_string(), source.revision.0);
                (found.code.name(), config, revision, source.line)
            })
            .collect()
    }

    #[test]
    fn layers_are_checked_together_and_each_finding_names_the_revision_at_fault() {
        let (base, extra) = (
            ConfigName::new("base").unwrap(),
            ConfigName::new("extra").unwrap(),
        );
        let both = [layer(&extra, 1, PIPELINE), layer(&base, 0, BASE)];
        let undefined = ("undefined-component", "extra".to_owned(), 7, 3);
        assert_eq!(codes(&both), [undefined]);
        let alone = check_within(&both[1..], &Limits::default()).unwrap();
        assert!(alone.iter().any(Finding::is_error), "{alone:?}");
        assert!(matches!(
            check_within(&[], &Limits::default()),
            Err(MaterialiseError::NoLayers)
        ));
    }
}
