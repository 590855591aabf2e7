//! What checks find in configurations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// Worth knowing.
    Advice,
    /// The Collector runs, and most likely not as meant.
    Warning,
    /// The Collector refuses it: a release is refused unless it is forced.
    Error,
}

/// Something to be said about what an agent would run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What kind of finding it is, stable: `undefined-component`. Each has its page in the documentation.
    pub code: String,
    /// How bad it is.
    pub severity: FindingSeverity,
    /// The config whose revision wrote it.
    pub config: String,
    /// That revision.
    pub revision: u64,
    /// The line in its body, from 1.
    pub line: u64,
    /// The column, in characters from 1.
    pub column: u64,
    /// The way to it: `service::pipelines::traces`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
    /// How many agents would get it, where that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<u64>,
}
