//! Findings for people: one a line, as compilers write them, and a line that counts them.

use std::io::{self, Write};

use engine::Severity;
use engine::admin::source::CheckFinding;

use super::Report;

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    for found in &report.check.findings {
        writeln!(out, "{}", printable(&line(report, found)))?;
    }
    writeln!(out, "{}", summary(report))
}

/// `file:line:column: severity[code] sentence`, with the path as this command was given it.
fn line(report: &Report<'_>, found: &CheckFinding) -> String {
    let place = &found.place;
    let numbers = [place.line, place.column].into_iter().flatten();
    let file = match &*place.file {
        "" => report.directory.display().to_string(),
        file => report.directory.join(file).display().to_string(),
    };
    let place = numbers.fold(file, |place, number| format!("{place}:{number}"));
    let (severity, code) = (found.severity, found.code.name);
    let audience = report.audience(found);
    format!("{place}: {severity}[{code}] {}{audience}", found.message)
}

fn summary(report: &Report<'_>) -> String {
    let check = report.check;
    let builds = match report.builds.len() {
        0 => String::new(),
        builds => format!(", {}", counted(builds, "build", "builds")),
    };
    let mut summary = format!(
        "{}, {}{builds}: {}, {}, {} advice",
        counted(check.documents, "document", "documents"),
        counted(report.labels.len(), "set of labels", "sets of labels"),
        counted(check.count(Severity::Error), "error", "errors"),
        counted(check.count(Severity::Warning), "warning", "warnings"),
        check.count(Severity::Advice),
    );
    if 0 < check.left_out() {
        summary.push_str(&format!(", {} of them not shown", check.left_out()));
    }
    if check.is_refused {
        summary.push_str("; the server would refuse a commit of this");
    }
    summary
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Without what moves the cursor of a terminal: names of files and keys are what somebody wrote.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}
