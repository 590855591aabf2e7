//! Events: what happened to agents, as it happens and later.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::StringMap;

/// One event. In the stream, `id` is the SSE id and `kind` the SSE event name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows; resume after it with `Last-Event-ID`.
    pub id: i64,
    /// What happened: `agent_connected`, `config_applied`, ….
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// The namespace.
    pub namespace: String,
    /// The agent's id, where one is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Further facts by name.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    pub detail: StringMap,
}

/// Which events the stream sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StreamEvents {
    /// Start after this id; `0`: from the oldest that is kept. `Last-Event-ID` wins. Absent: from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}
