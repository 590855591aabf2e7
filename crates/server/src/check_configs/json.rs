//! Findings for programs: one JSON object, whose shape docs/check-configs.md promises.

use std::io::{self, Write};

use engine::Severity;
use engine::admin::source::{CheckFinding, CheckedBuild};
use serde::Serialize;

use super::{Report, labels};

/// The number of the shape: another one where what is there changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Told<'a> {
    version: u32,
    directory: String,
    /// Whether the server would refuse a commit of this.
    refused: bool,
    documents: usize,
    errors: usize,
    warnings: usize,
    advice: usize,
    /// How many findings are counted and not listed.
    left_out: usize,
    agents: Vec<Agent<'a>>,
    builds: Vec<Build<'a>>,
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Agent<'a> {
    labels: String,
    /// In the order in which they merge.
    configs: Vec<&'a str>,
}

#[derive(Serialize)]
struct Build<'a> {
    name: &'a str,
    /// How many names of components are known of it.
    components: usize,
    /// The kinds of which not all are known.
    in_part: Vec<&'static str>,
}

#[derive(Serialize)]
struct Finding<'a> {
    code: &'a str,
    severity: &'static str,
    file: Option<&'a str>,
    line: Option<u64>,
    column: Option<u64>,
    message: &'a str,
    page: String,
    /// Whether the server would refuse a commit for it.
    refuses: bool,
    /// The labels whose agents would get it.
    labels: Vec<String>,
    /// The builds that it is about.
    builds: Vec<&'a str>,
}

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let check = report.check;
    let configs = check.agents.iter().map(Some).chain(std::iter::repeat(None));
    let agents = report.labels.iter().zip(configs);
    let told = Told {
        version: VERSION,
        directory: report.directory.display().to_string(),
        refused: check.is_refused,
        documents: check.documents,
        errors: check.count(Severity::Error),
        warnings: check.count(Severity::Warning),
        advice: check.count(Severity::Advice),
        left_out: check.left_out(),
        agents: agents
            .map(|(labels, configs)| Agent {
                labels: labels::text(labels),
                configs: configs
                    .into_iter()
                    .flatten()
                    .map(|name| name.as_str())
                    .collect(),
            })
            .collect(),
        builds: report.builds.iter().map(build).collect(),
        findings: check
            .findings
            .iter()
            .map(|found| finding(report, found))
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &told)?;
    writeln!(out)
}

fn build(checked: &CheckedBuild) -> Build<'_> {
    Build {
        name: &checked.name,
        components: checked.build.components(),
        in_part: checked.build.sections_in_part().collect(),
    }
}

fn finding<'a>(report: &Report<'a>, found: &'a CheckFinding) -> Finding<'a> {
    Finding {
        code: found.code.name,
        severity: found.severity.name(),
        file: Some(&*found.place.file).filter(|file| !file.is_empty()),
        line: found.place.line,
        column: found.place.column,
        message: &found.message,
        page: report.pages.of(&found.code),
        refuses: found.refuses,
        labels: report.labels_of(found).collect(),
        builds: report.builds_of(found).collect(),
    }
}
