//! What the audit log keeps of every write and every refusal.

use jiff::Timestamp;

use crate::ids::{Actor, AgentId, Namespace};

/// How an audited act ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditOutcome {
    /// It was done.
    Success,
    /// It was refused or failed.
    Failure {
        /// Why, as the caller was told.
        error: String,
    },
}

/// One act to be put on the audit chain, without its place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The namespace acted in.
    pub namespace: Namespace,
    /// When.
    pub at: Timestamp,
    /// The kind of act, for example `config.revision_created`.
    pub event_type: String,
    /// The agent it concerns, if it concerns one.
    pub agent: Option<AgentId>,
    /// Who did it.
    pub user: Actor,
    /// The verb, for example `create`.
    pub action: String,
    /// What it was done to, for example `configs/edge`.
    pub resource: String,
    /// The value before, redacted.
    pub old_value: Option<String>,
    /// The value after, redacted.
    pub new_value: Option<String>,
    /// How it ended.
    pub outcome: AuditOutcome,
}
