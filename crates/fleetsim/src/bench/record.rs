//! What one run measured: the raw JSON that is kept.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::figure::{Figure, Mode};

/// One figure of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Its value in its unit; absent when it could not be measured.
    pub value: Option<f64>,
    /// Why it does not count: a refusal, a wrong hash, an answer that never came.
    pub problems: Vec<String>,
    /// Everything it was computed from.
    pub detail: Value,
}

/// Everything that one run measured.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    /// With or without TLS.
    pub mode: Mode,
    /// Counts from 1.
    pub run: usize,
    /// Agents.
    pub agents: usize,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The figures of the server under test.
    pub figures: BTreeMap<Figure, Measured>,
    /// The same of the bare echo server, where it can do them.
    pub echo: BTreeMap<Figure, Measured>,
    /// Why the run ended early, if it did.
    pub aborted: Option<String>,
}

impl Measured {
    /// A good value.
    pub(super) fn new(value: f64, detail: Value) -> Self {
        Self {
            value: Some(value),
            problems: Vec::new(),
            detail,
        }
    }

    /// Adds a problem where there is one.
    pub(super) fn unless(mut self, fine: bool, problem: impl FnOnce() -> String) -> Self {
        if !fine {
            self.problems.push(problem());
        }
        self
    }
}
