//! The server itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerHealth {
    /// `ok` or `degraded`; agents stay connected in both.
    pub status: ServerStatus,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The program's version.
    pub version: String,
}

/// How the server is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerStatus {
    /// All is well.
    Ok,
    /// It works, less well: see the reason.
    Degraded,
    /// It starts.
    Starting,
    /// It stops.
    Draining,
}
