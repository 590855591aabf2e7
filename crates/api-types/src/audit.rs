//! The audit log: every write and every refusal, in a hash chain.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its place in the chain, from 1, without gaps.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What was done, or refused: `config.revision_created`, `request.refused`, ….
    pub event: String,
    /// The namespace.
    pub namespace: String,
    /// Who: `admin` (the bootstrap token), `token:<id>`, `server`, `anonymous`.
    pub actor: String,
    /// The verb: `put`, `release`, `delete`; of refused requests the HTTP method.
    pub action: String,
    /// The agent's id, where one is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What it was done to: `configs/gateway`.
    pub resource: String,
    /// The value before, secrets redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub old_value: Option<serde_json::Value>,
    /// The value after, secrets redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub new_value: Option<serde_json::Value>,
    /// Whether it was done.
    pub success: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Hex hash of the entry before; zeros for the first.
    pub previous_hash: String,
    /// Hex hash of this entry.
    pub hash: String,
}

/// The filters of the audit log; the newest entries come first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListAudit {
    /// Entries a page, 1 to 500; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Whether the audit log is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerification {
    /// Whether every entry has the hash that its content and its forerunner demand.
    pub intact: bool,
    /// Entries that were checked and fit.
    pub entries: u64,
    /// The first entry that does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
    /// How it does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Hex hash of the last entry that fits: keep it elsewhere to prove later that nothing was cut off.
    pub head_hash: String,
}
