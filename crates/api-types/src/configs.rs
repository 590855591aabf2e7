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
    /// Values by name, a YAML map, that templates see as their `vars`. No agent is sent it.
    Variables,
}

/// Makes a revision of a config. It changes no agent: a rollout does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutConfig {
    /// What it configures: `collector`, or `variables` for a set of values that templates share. Others are refused until they
    /// exist. A config keeps its kind.
    pub kind: String,
    /// The agents it is for: text or a plain map. Absent or empty: all of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorInput>,
    /// Where several configs match an agent they merge by ascending (priority, name). 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// The configuration, YAML text; of `variables` a map of values by name.
    pub body: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its semantic version: one that follows the newest (`v1.2.3`), or the part to raise (`major`, `minor`, `patch`).
    /// Absent: minor where selector or priority change, else patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `jinja`: the body is a template, rendered for each agent. Absent: it is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The template's variables, which it sees as `vars.NAME`. A shared set that has the name goes before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub variables: BTreeMap<String, serde_json::Value>,
    /// Other values for some agents; the last that matches an agent wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<VariableOverride>,
}

/// Values that the agents of a selector have instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VariableOverride {
    /// The agents: text or a plain map.
    pub selector: SelectorInput,
    /// The values, by the names of variables.
    #[schema(value_type = Object)]
    pub variables: BTreeMap<String, serde_json::Value>,
}

/// What makes the body of a revision a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// Its language: `jinja`.
    pub language: String,
    /// Its variables. Secrets are redacted unless revealed.
    #[schema(value_type = Object)]
    pub variables: BTreeMap<String, serde_json::Value>,
    /// Other values for some agents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<VariableOverride>,
    /// The names that it looks at.
    pub uses: TemplateUses,
}

/// What of an agent and of its variables a template looks at: agents with equal values get an equal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateUses {
    /// Whether the agent's uid.
    pub uid: bool,
    /// Which labels; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Which variables; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<String>>,
}

/// Asks what a revision comes to for an agent, or for labels that nobody has yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderConfig {
    /// The revision; absent: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// A revision that is not made yet, instead. The config need not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<PutConfig>,
    /// The agent, by id or uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The labels of an agent that nobody knows, instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The uid of that agent; absent: all zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// What a revision comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RenderedConfig {
    /// The config.
    pub config: String,
    /// The revision; absent: it is not made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Whether its selector matches: an agent that it does not match never gets this.
    pub matches: bool,
    /// The text, secrets redacted. Other configs may merge with it before an agent gets it.
    pub body: String,
    /// SHA-256 of the text with its secrets, hex.
    pub sha256: String,
    /// What the template was given: `labels`, `uid` and `vars`, just those that it uses. Absent: the body is no template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub values: Option<serde_json::Value>,
    /// The variables among them that a shared set gives, and which.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shared: BTreeMap<String, SharedBy>,
    /// Why the text is no configuration, if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The set of variables that gives a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedBy {
    /// The config, of kind `variables`.
    pub config: String,
    /// Its revision.
    pub revision: u64,
}

/// Makes a revision of what an agent runs by now. It changes no agent: a rollout does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// The agent, by id or uid.
    pub agent: String,
    /// The agents that the config is for: text or a plain map. Absent or empty: all of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorInput>,
    /// Where several configs match an agent they merge by ascending (priority, name). 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Why, for people; which agent it is from when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
    /// Whether the body is a template, rendered for each agent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_template: bool,
    /// SHA-256 of the body, hex.
    pub sha256: String,
    /// Length of the body in bytes.
    pub size_bytes: u64,
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// Where it came from: `api`, `rollback to 3`, `import from agent …`, `git <commit>`.
    pub origin: String,
    /// When.
    pub created_at: Timestamp,
}

/// One immutable version of a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// All but the body.
    pub summary: RevisionSummary,
    /// The configuration; secrets are redacted unless revealed.
    pub body: String,
    /// What makes the body a template; absent: it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Whether something in `body` or `template` was redacted.
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
    /// Its tags; shown with one config, not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The config source that it comes from, which alone changes it; absent: it is changed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ConfigOwner>,
    /// When its first revision was made.
    pub created_at: Timestamp,
}

/// The config source that a config comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigOwner {
    /// The repository.
    pub repository: String,
    /// Since when the source has the config no more, where it is still in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
}

/// A name for a revision, which people may move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tag {
    /// The name.
    pub name: String,
    /// The revision's number.
    pub revision: u64,
    /// Who set it.
    pub set_by: String,
    /// When.
    pub set_at: Timestamp,
}

/// Gives a revision a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTag {
    /// The revision's number.
    pub revision: u64,
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
    /// `true`: agents stay as they are for which what is left has errors, or cannot be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_incompatible: Option<bool>,
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
