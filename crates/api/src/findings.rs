//! What checks find, as the API shows it.

use api_types::checks::{Finding, FindingSeverity};
use engine::{Found, Severity};

pub(crate) fn to_finding(finding: engine::Finding) -> Finding {
    Finding {
        code: finding.code.name().to_owned(),
        severity: match finding.severity() {
            Severity::Error => FindingSeverity::Error,
            Severity::Warning => FindingSeverity::Warning,
            Severity::Advice => FindingSeverity::Advice,
        },
        config: finding.source.config.to_string(),
        revision: finding.source.revision.0,
        line: finding.source.line.into(),
        column: finding.source.column.into(),
        path: finding.path.to_string(),
        message: finding.message,
        advice: finding.advice,
        agents: None,
    }
}

pub(crate) fn to_found(found: Found) -> Finding {
    Finding {
        agents: Some(found.agents),
        ..to_finding(found.finding)
    }
}
