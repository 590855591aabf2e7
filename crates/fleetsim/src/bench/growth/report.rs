//! What was measured of growth: rows for people, JSON for machines.

use std::{fmt, path::Path};

use runtime::{Clock as _, SystemClock};
use serde::Serialize;

use super::{
    super::{error::BenchError, machine::Machine, report::number},
    GrowthOptions, Part,
};

/// What all parts say together.
#[derive(Debug, Clone, Serialize)]
pub struct GrowthReport {
    /// The command that was given.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// When it was begun, RFC 3339.
    pub measured_at: String,
    /// Whether only the procedure was tried.
    pub smoke: bool,
    /// The figures.
    pub rows: Vec<GrowthRow>,
    /// Why something does not count.
    pub problems: Vec<String>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GrowthRow {
    /// What grew.
    pub part: Part,
    /// How many agents there were.
    pub agents: usize,
    /// What it is.
    pub figure: String,
    /// Its value.
    pub value: f64,
    /// The unit of the value.
    pub unit: &'static str,
}

impl fmt::Display for GrowthRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = number(self.value);
        write!(f, "{}: {value} {}", self.figure, self.unit)
    }
}

impl GrowthReport {
    pub(super) fn new(options: &GrowthOptions) -> Self {
        Self {
            command: options.command.clone(),
            machine: Machine::this(),
            measured_at: SystemClock.now().to_string(),
            smoke: options.smoke,
            rows: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        part: Part,
        agents: usize,
        figure: &str,
        value: f64,
        unit: &'static str,
    ) {
        self.rows.push(GrowthRow {
            part,
            agents,
            figure: figure.to_owned(),
            value,
            unit,
        });
    }

    /// The page for the documentation: a table of figures, and one of the curve with a line for each size.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut lines = Vec::new();
        if self.smoke {
            lines.push(
                "**A smoke run: it shows that the procedure works, and nothing about speed.**\n"
                    .to_owned(),
            );
        }
        lines.push(format!("- Command: `{}`", self.command));
        lines.push(format!("- Machine: {}", self.machine));
        lines.push(format!("- Measured: {}", self.measured_at));
        lines.extend(self.figures());
        lines.extend(self.curve());
        if !self.problems.is_empty() {
            lines.push(String::new());
        }
        lines.extend(self.problems.iter().map(|problem| format!("- {problem}")));
        lines.join("\n") + "\n"
    }

    fn figures(&self) -> Vec<String> {
        let of_others = |row: &&GrowthRow| row.part != Part::Curve;
        let rows: Vec<_> = self.rows.iter().filter(of_others).collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let head = ["\n| figure | agents | value | unit |", "|---|---|---|---|"];
        let line = |row: &GrowthRow| {
            let value = number(row.value);
            format!(
                "| {} | {} | {value} | {} |",
                row.figure, row.agents, row.unit
            )
        };
        head.map(str::to_owned)
            .into_iter()
            .chain(rows.into_iter().map(line))
            .collect()
    }

    fn curve(&self) -> Vec<String> {
        let rows = || self.rows.iter().filter(|row| row.part == Part::Curve);
        let mut sizes: Vec<usize> = rows().map(|row| row.agents).collect();
        sizes.dedup();
        let Some(first) = sizes.first() else {
            return Vec::new();
        };
        let columns: Vec<String> = rows()
            .filter(|row| row.agents == *first)
            .map(|row| format!("{} {}", row.figure, row.unit).trim_end().to_owned())
            .collect();
        let mut lines = vec![
            format!("\n| agents | {} |", columns.join(" | ")),
            format!("|---|{}", "---|".repeat(columns.len())),
        ];
        for size in &sizes {
            let values: Vec<String> = rows()
                .filter(|row| row.agents == *size)
                .map(|row| number(row.value))
                .collect();
            lines.push(format!("| {size} | {} |", values.join(" | ")));
        }
        lines
    }

    /// Writes the raw results and the page.
    pub(super) fn keep(&self, directory: &Path) -> Result<(), BenchError> {
        let json = serde_json::to_string_pretty(self).expect("a report has only plain fields");
        for (name, text) in [("growth.json", json), ("growth.md", self.markdown())] {
            let path = directory.join(name);
            std::fs::write(&path, text)
                .map_err(BenchError::io(format!("writing {}", path.display())))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_table_of_figures_and_a_line_for_each_fleet_of_the_curve() {
        let mut report = GrowthReport::new(&GrowthOptions::full("server".into()));
        report.add(Part::Known, 15_000, "start-up", 0.8, "s");
        for (agents, memory) in [(1_000, 6.0), (19_000, 4.5)] {
            report.add(Part::Curve, agents, "memory", memory, "KiB");
            report.add(Part::Curve, agents, "source addresses", 1.0, "");
        }
        report
            .problems
            .push("Curve: 3 dials were refused".to_owned());
        let page = report.markdown();
        for line in [
            "| start-up | 15000 | 0.80 | s |",
            "| agents | memory KiB | source addresses |",
            "| 1000 | 6 | 1 |",
            "| 19000 | 4.5 | 1 |",
            "- Curve: 3 dials were refused",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}: {page}");
        }
    }
}
