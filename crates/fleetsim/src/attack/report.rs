//! What an attack cost, as a table and as JSON.

use serde::Serialize;

use super::{catalog::Attack, victim::Counts};
use crate::{
    bench::{Machine, Mode},
    samples::Summary,
};

/// The most that 99 of 100 answers to the fleet may take, in milliseconds.
pub const P99_BUDGET_MS: f64 = 50.0;

/// What one attack cost.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Which.
    pub attack: Attack,
    /// The server that was attacked.
    pub mode: Mode,
    /// Agents of the fleet.
    pub agents: usize,
    /// What the attackers counted.
    pub counts: Counts,
    /// Hostile connections that were open when memory was looked at.
    pub open: u64,
    /// What each of them took, in KiB; absent where none is held.
    pub kib_per_connection: Option<f64>,
    /// What the attack took at its worst moment, in MiB.
    pub peak_mib: f64,
    /// Answers to reports of the fleet while the attack ran.
    pub latency: Option<Summary>,
    /// The slowest answer of the API to a new connection, in milliseconds, and how many were asked for.
    pub slowest_api_ms: f64,
    /// Requests of the API.
    pub api_requests: u64,
    /// What broke a bound.
    pub problems: Vec<String>,
}

/// All of them.
#[derive(Debug, Clone, Serialize)]
pub struct AttackReport {
    /// The command.
    pub command: String,
    /// When it began.
    pub started_at: String,
    /// Where it ran.
    pub machine: Machine,
    /// Whether times are judged.
    pub smoke: bool,
    /// One each attack.
    pub rows: Vec<Row>,
}

impl AttackReport {
    /// Everything that broke a bound.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let told = |row: &Row| {
            let name = name(row.attack);
            let problems = row.problems.iter();
            problems
                .map(|problem| format!("{name}: {problem}"))
                .collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(told).collect()
    }

    /// A table in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = "| attack | tries | refused | server ended | KiB each | peak MiB | p50 ms | p99 ms | slowest API ms | |\n|---|---|---|---|---|---|---|---|---|---|\n".to_owned();
        for row in &self.rows {
            text.push_str(&line(row));
        }
        text
    }
}

fn line(row: &Row) -> String {
    let Counts {
        tries,
        refused,
        ended,
        ..
    } = row.counts;
    let each = row
        .kib_per_connection
        .map_or_else(|| "–".to_owned(), |kib| format!("{kib:.1}"));
    let (p50, p99) = row.latency.map_or_else(
        || ("–".to_owned(), "–".to_owned()),
        |latency| {
            (
                format!("{:.2}", latency.p50_ms),
                format!("{:.2}", latency.p99_ms),
            )
        },
    );
    let verdict = if row.problems.is_empty() {
        "ok"
    } else {
        "broken"
    };
    format!(
        "| {} | {tries} | {refused} | {ended} | {each} | {:.1} | {p50} | {p99} | {:.1} | {verdict} |\n",
        name(row.attack),
        row.peak_mib,
        row.slowest_api_ms
    )
}

/// The name on the command line.
pub(super) fn name(attack: Attack) -> String {
    let value = clap::ValueEnum::to_possible_value(&attack);
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}
