//! What is known to be wrong with what layers make, before any agent is offered it.

use otelcol::{Code, Path, Severity, Surroundings};

use crate::Source;
use crate::renderer::Combined;

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

impl Combined {
    /// Checks what these layers make together, in the order of the text; a part of it may well make no sense alone.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.findings_in(&Surroundings::default())
    }

    pub(crate) fn findings_in(&self, around: &Surroundings<'_>) -> Vec<Finding> {
        let sources = self.sources();
        let findings = otelcol::check(&self.merged.document, around);
        let said = findings.into_iter().map(|found| Finding {
            source: sources.of(found.origin),
            code: found.code,
            path: found.path,
            message: found.message,
            advice: found.advice,
        });
        said.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::layer;
    use crate::{Layer, Renderer};

    const BASE: &str = "receivers: {otlp: }\nexporters: {debug: }\n";
    const PIPELINE: &str =
        "service:\n  pipelines:\n    traces: {receivers: [otlp], exporters: [debug, otlp]}\n";

    fn findings(layers: &[Layer]) -> Vec<Finding> {
        Renderer::default().combine(layers).unwrap().findings()
    }

    #[test]
    fn layers_are_checked_together_and_each_finding_names_the_revision_at_fault() {
        let both = [layer("extra", 7, 1, PIPELINE), layer("base", 7, 0, BASE)];
        let told: Vec<_> = findings(&both)
            .into_iter()
            .map(|found| {
                let source = found.source;
                (
                    found.code.name(),
                    source.config.to_string(),
                    source.revision.0,
                    source.line,
                )
            })
            .collect();
        assert_eq!(told, [("undefined-component", "extra".to_owned(), 7, 3)]);
        let alone = findings(&both[1..]);
        assert!(alone.iter().any(Finding::is_error), "{alone:?}");
    }
}
