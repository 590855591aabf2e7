//! Findings as SARIF 2.1.0 (OASIS), which forges show beside the lines that they are about.

mod uri;

use std::io::{self, Write};

use engine::Severity;
use engine::admin::source::{CheckCode, CheckFinding, all_codes};
use serde::Serialize;

use super::Report;
use crate::cli::PROGRAM;
use uri::Base;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool<'a>,
    column_kind: &'static str,
    results: Vec<ResultOf<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    driver: Driver<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver<'a> {
    name: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    information_uri: Option<&'a str>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Text,
    full_description: Text,
    help: Text,
    help_uri: String,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultOf<'a> {
    rule_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Physical,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_column: Option<u64>,
}

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let codes: Vec<CheckCode> = all_codes().collect();
    let base = Base::of(report.directory);
    let results = report.check.findings.iter();
    let results = results.map(|found| result(report, found, &codes, &base));
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            // Columns are counted in characters.
            column_kind: "unicodeCodePoints",
            results: results.collect(),
            tool: Tool {
                driver: Driver {
                    name: PROGRAM,
                    version: env!("CARGO_PKG_VERSION"),
                    information_uri: report.pages.url(),
                    rules: codes.iter().map(|code| rule(report, code)).collect(),
                },
            },
        }],
    };
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn rule(report: &Report<'_>, code: &CheckCode) -> Rule {
    let text = |text: &str| Text {
        text: text.to_owned(),
    };
    Rule {
        id: code.name,
        short_description: text(code.summary),
        full_description: text(code.summary),
        help: Text {
            text: format!("See {}", report.pages.of(code)),
        },
        help_uri: report.pages.uri(code),
        default_configuration: Configuration {
            level: level(code.severity),
        },
    }
}

fn result<'a>(
    report: &Report<'_>,
    found: &'a CheckFinding,
    codes: &[CheckCode],
    base: &Base,
) -> ResultOf<'a> {
    let place = &found.place;
    let region = Region {
        // Forges show nothing without a line.
        start_line: place.line.unwrap_or(1),
        start_column: place.column,
    };
    ResultOf {
        rule_id: found.code.name,
        rule_index: codes.iter().position(|code| code.name == found.code.name),
        level: level(found.severity),
        message: Text {
            text: format!("{}{}", found.message, report.audience(found)),
        },
        locations: [Location {
            physical_location: Physical {
                artifact_location: Artifact {
                    uri: base.uri(&place.file),
                },
                region,
            },
        }],
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Advice => "note",
    }
}
