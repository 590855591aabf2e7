//! Budget beside measured value: the table for a terminal and the page for the documentation.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    BenchOptions,
    figure::{Figure, Mode},
    machine::Machine,
    record::{Measured, RunRecord},
};
use crate::samples::{median, worst};

/// What all runs of a benchmark say together.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The command that was given.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// When the last run began, RFC 3339.
    pub measured_at: String,
    /// Agents.
    pub agents: usize,
    /// Runs of each mode.
    pub runs: usize,
    /// Whether only the procedure was tried.
    pub smoke: bool,
    /// One row for each figure and mode.
    pub rows: Vec<Row>,
    /// The runs themselves.
    pub records: Vec<RunRecord>,
}

/// One figure in one mode over all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The figure.
    pub figure: Figure,
    /// With or without TLS.
    pub mode: Mode,
    /// The most it may be.
    pub budget: f64,
    /// The middle of the runs.
    pub median: Option<f64>,
    /// The worst of the runs.
    pub worst: Option<f64>,
    /// The middle of the runs of the echo server.
    pub echo_median: Option<f64>,
    /// Why runs do not count.
    pub problems: Vec<String>,
}

impl Row {
    /// Whether it is within its budget in the middle and no run failed.
    #[must_use]
    pub fn within(&self) -> bool {
        self.problems.is_empty() && self.median.is_some_and(|median| median <= self.budget)
    }

    fn verdict(&self) -> &'static str {
        match (self.problems.is_empty(), self.median) {
            (false, _) => "FAILED",
            (true, None) => "not measured",
            (true, Some(median)) if median <= self.budget => "within",
            (true, Some(_)) => "MISSED",
        }
    }
}

impl Report {
    pub(super) fn new(options: &BenchOptions, machine: Machine, records: Vec<RunRecord>) -> Self {
        let rows = options.modes.iter().flat_map(|mode| {
            let wanted = Figure::ALL
                .iter()
                .filter(|figure| options.figures.contains(figure));
            wanted.map(|figure| row(*figure, *mode, &records))
        });
        Self {
            command: options.command.clone(),
            machine,
            measured_at: records
                .last()
                .map(|run| run.started_at.clone())
                .unwrap_or_default(),
            agents: options.agents,
            runs: options.runs,
            smoke: options.smoke,
            rows: rows.collect(),
            records,
        }
    }

    /// Everything that made a run not count.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = Vec::new();
        for record in &self.records {
            let place = format!("{} run {}", record.mode.name(), record.run);
            problems.extend(
                record
                    .aborted
                    .iter()
                    .map(|reason| format!("{place}: {reason}")),
            );
        }
        for row in &self.rows {
            let place = format!("{}, {}", row.figure.title(), row.mode.name());
            problems.extend(
                row.problems
                    .iter()
                    .map(|problem| format!("{place}: {problem}")),
            );
        }
        problems
    }

    /// The table for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![COLUMNS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(cells));
        let width = |column: usize| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
        let mut text = String::new();
        for line in &lines {
            let padded = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// The page for the documentation.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let mut add = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        if self.smoke {
            add("**A smoke run: it shows that the procedure works, and nothing about speed.**\n");
        }
        add(&format!("- Command: `{}`", self.command));
        add(&format!("- Machine: {}", self.machine));
        add(&format!(
            "- Agents: {}; runs of each mode: {}",
            self.agents, self.runs
        ));
        add(&format!("- Measured: {}\n", self.measured_at));
        add(&format!("| {} |", COLUMNS.join(" | ")));
        add(&format!("|{}", "---|".repeat(COLUMNS.len())));
        for row in &self.rows {
            add(&format!("| {} |", cells(row).join(" | ")));
        }
        for problem in self.problems() {
            write!(text, "\n- {problem}").expect("writing to a string cannot fail");
        }
        text
    }
}

const COLUMNS: [&str; 9] = [
    "figure",
    "mode",
    "unit",
    "budget",
    "median",
    "worst",
    "echo server",
    "Go reference",
    "verdict",
];

fn cells(row: &Row) -> [String; 9] {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    [
        row.figure.title().to_owned(),
        row.mode.name().to_owned(),
        row.figure.unit().to_owned(),
        number(row.budget),
        shown(row.median),
        shown(row.worst),
        shown(row.echo_median),
        row.figure.reference(row.mode).to_owned(),
        row.verdict().to_owned(),
    ]
}

fn row(figure: Figure, mode: Mode, records: &[RunRecord]) -> Row {
    let runs: Vec<&RunRecord> = records
        .iter()
        .filter(|record| record.mode == mode)
        .collect();
    let measured: Vec<&Measured> = runs
        .iter()
        .filter_map(|record| record.figures.get(&figure))
        .collect();
    let values: Vec<f64> = measured
        .iter()
        .filter_map(|measured| measured.value)
        .collect();
    let mut problems: Vec<String> = measured
        .iter()
        .flat_map(|measured| measured.problems.clone())
        .collect();
    if !values.is_empty() && values.len() < runs.len() {
        problems.push(format!(
            "measured in {} of {} runs",
            values.len(),
            runs.len()
        ));
    }
    problems.dedup();
    let echo: Vec<f64> = runs
        .iter()
        .filter_map(|record| record.echo.get(&figure).and_then(|measured| measured.value))
        .collect();
    Row {
        figure,
        mode,
        budget: figure.budget(mode),
        median: median(&values),
        worst: worst(&values),
        echo_median: median(&echo),
        problems,
    }
}

/// A number with the digits that mean something: 14, 5.1, 0.62.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        small if small < 1.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn record(run: usize, value: f64, problem: Option<&str>) -> RunRecord {
        let mut measured = Measured::new(value, Value::Null);
        measured.problems.extend(problem.map(str::to_owned));
        RunRecord {
            mode: Mode::Plain,
            run,
            agents: 15_000,
            started_at: "2026-01-02T03:04:05Z".to_owned(),
            seconds: 1.0,
            figures: BTreeMap::from([(Figure::FanOut, measured)]),
            echo: BTreeMap::new(),
            aborted: None,
        }
    }

    fn report(records: Vec<RunRecord>) -> Report {
        let mut options = BenchOptions::full("server".into());
        options.modes = vec![Mode::Plain];
        options.figures = vec![Figure::FanOut];
        Report::new(&options, Machine::this(), records)
    }

    #[test]
    fn a_row_has_the_median_and_the_worst_of_its_runs() {
        let values = [0.5, 0.9, 0.4];
        let report = report(
            values
                .iter()
                .enumerate()
                .map(|(at, v)| record(at + 1, *v, None))
                .collect(),
        );
        let row = &report.rows[0];
        assert_eq!(
            (row.median, row.worst, row.within()),
            (Some(0.5), Some(0.9), true)
        );
        assert!(report.table().contains("within"), "{}", report.table());
    }

    #[test]
    fn a_median_above_the_budget_is_missed_and_a_problem_fails_whatever_the_value() {
        let missed = report(vec![record(1, 0.7, None)]);
        assert!(missed.table().contains("MISSED") && !missed.rows[0].within());
        let failed = report(vec![record(1, 0.1, Some("3 dials were refused"))]);
        assert!(failed.table().contains("FAILED") && !failed.rows[0].within());
        assert!(failed.markdown().contains("3 dials were refused"));
    }

    #[test]
    fn a_run_without_the_figure_does_not_pass_silently() {
        let mut broken = record(2, 0.0, None);
        broken.figures.clear();
        broken.aborted = Some("the server died".to_owned());
        let report = report(vec![record(1, 0.1, None), broken]);
        assert!(!report.rows[0].within());
        assert!(
            report
                .problems()
                .iter()
                .any(|problem| problem.contains("the server died"))
        );
    }

    #[test]
    fn numbers_keep_the_digits_that_mean_something() {
        let cases = [
            (14.0, "14"),
            (5.12, "5.1"),
            (0.624, "0.62"),
            (123.4, "123"),
            (0.0, "0.00"),
        ];
        for (value, shown) in cases {
            assert_eq!(number(value), shown);
        }
    }
}
