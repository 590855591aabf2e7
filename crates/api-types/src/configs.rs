//! Configs and their revisions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::SelectorInput;
use crate::rollouts::{Rollout, StartedRollout};

/// The kind of a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigKind {
    /// Configuration of an OpenTelemetry Collector: one YAML file.
    Collector,
}

/// Makes a revision of a config. It changes no agent: a rollout does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutConfig {
    /// What it configures: `collector`. Others are refused until they exist.
    pub kind: String,
    /// The agents it is for: text or a plain map. Absent or empty: all of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorInput>,
    /// Where several configs match an agent they merge by ascending (priority, name). 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// The configuration, YAML text.
    pub body: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its semantic version: one that follows the newest (`v1.2.3`), or the part to raise (`major`, `minor`, `patch`).
    /// Absent: minor where selector or priority change, else patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Reserved: refused unless empty, until templates exist.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub variables: BTreeMap<String, serde_json::Value>,
}

/// Makes an earlier revision the newest again. It changes no agent: a rollout does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBackConfig {
    /// The number of the revision to go back to.
    pub revision: u64,
    /// Why, for people; which revision it is again when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A revision without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionSummary {
    /// The config's name.
    pub config: String,
    /// Counts from 1.
    pub number: u64,
    /// Semantic version: `v1.2.3`.
    pub version: String,
    /// What it configures.
    pub kind: ConfigKind,
    /// The agents it is for, canonical text; empty: all.
    pub selector: String,
    /// Its place among the configs of an agent.
    pub priority: i64,
    /// SHA-256 of the body, hex.
    pub sha256: String,
    /// Length of the body in bytes.
    pub size_bytes: u64,
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// Where it came from: `api`, `rollback to 3`.
    pub origin: String,
    /// When.
    pub created_at: Timestamp,
}

/// One immutable version of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// All but the body.
    pub summary: RevisionSummary,
    /// The configuration; secrets are redacted unless revealed.
    pub body: String,
    /// Whether something in `body` was redacted.
    pub redacted: bool,
}

/// A config: a name with its revisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Config {
    /// Its name in its namespace.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// What it configures.
    pub kind: ConfigKind,
    /// The newest revision.
    pub latest: RevisionSummary,
    /// The number of the revision that is in force; absent: never released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<u64>,
    /// Its newest rollout; shown with one config, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rollout: Option<Rollout>,
    /// When its first revision was made.
    pub created_at: Timestamp,
}

/// How much of a revision is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GetRevision {
    /// `true` shows secrets as they are; this is written to the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reveal: Option<bool>,
}

/// How a config is deleted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeleteConfig {
    /// `remove`: also take it away, at once, from the agents that run it. Needed when in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<DeleteAgents>,
    /// `true`: also if checks find errors in what is left for some agent. It is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// What becomes of the agents that run a config that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeleteAgents {
    /// They lose this layer; an agent that no other config matches runs on as it is.
    Remove,
}

/// A config that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedConfig {
    /// Its name.
    pub name: String,
    /// The rollout that took it away from agents, where it was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<StartedRollout>,
}
