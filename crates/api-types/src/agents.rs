//! Agents: the list, one agent whole, and what can be done to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::StringMap;
use crate::configs::SharedBy;
use crate::dry_runs::KnownRefusal;

/// Whether an unknown agent has been let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Seen, offered nothing until approved.
    Pending,
    /// Takes part.
    Approved,
}

/// Where an agent stands with the config it should run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ConfigState {
    /// No config matches it: it is sent nothing and runs on as it is.
    Unassigned,
    /// It should run something that it has not been sent yet; [`AgentSummary::waits_for`] may tell why.
    Pending,
    /// It was sent and has not answered yet.
    Offered,
    /// It says that it is applying it.
    Applying,
    /// It says that it applied it.
    Applied,
    /// It says that it could not apply it; not offered again until retried or changed.
    Failed,
}

/// What keeps an agent from being sent what it should run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// A connection: it is away.
    Connection,
    /// Approval: it is seen, and offered nothing before.
    Approval,
    /// The end of a hold.
    Hold,
    /// The capability: it does not accept remote configuration.
    Capability,
}

/// The transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// WebSocket.
    Websocket,
    /// Plain HTTP polling.
    Http,
    /// The gRPC stream.
    Grpc,
}

/// An agent as a row of the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentSummary {
    /// This server's stable id of the agent, UUID text.
    pub id: String,
    /// The id on the wire, UUID text; the server may replace it.
    pub instance_uid: String,
    /// The namespace it belongs to.
    pub namespace: String,
    /// A name for people: `service.instance.id`, `host.name` or `service.name`, the first that the
    /// agent reports, else the uid.
    pub name: String,
    /// What selectors match: all sources together.
    pub labels: StringMap,
    /// Whether it has a live connection or polled within its liveness.
    pub connected: bool,
    /// What it says of its own health; absent while it has said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// The status text of its health.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Whether it is let in.
    pub approval: Approval,
    /// Where it stands with the config it should run.
    pub config_state: ConfigState,
    /// What keeps a `pending` agent from being sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// Why applying failed, in the agent's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// Whether it runs what it should; absent while there is nothing that it should run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_sync: Option<bool>,
    /// Hex hash of what it should run; absent: unassigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_hash: Option<String>,
    /// Hex hash that it last answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_hash: Option<String>,
    /// Counts what operators change of it; its entity tag.
    pub version: u64,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last heard of.
    pub last_seen: Timestamp,
}

/// The filters of the agent list; all must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListAgents {
    /// Kubernetes label selector: `env=prod,region in (us-west,us-east),!legacy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Text that occurs in an id, the name or a label, any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Only agents that are, or are not, connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Only agents that say they are, or are not, healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// Only agents in this config state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_state: Option<ConfigState>,
    /// Only agents of this approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Only agents that do, or do not, run what they should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_sync: Option<bool>,
    /// Entries a page, 1 to 500; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// How much of one agent is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GetAgent {
    /// `true` shows secrets in configs as they are; this is written to the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reveal: Option<bool>,
}

/// One agent whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// The row of the list.
    pub summary: AgentSummary,
    /// Its labels by source; `summary.labels` is what remains after precedence.
    pub label_sources: LabelSources,
    /// What it announced that it can do, by the names of the protocol without their prefix:
    /// `accepts_remote_config`.
    pub capabilities: Vec<String>,
    /// Custom capabilities, reverse-FQDN names.
    pub custom_capabilities: Vec<String>,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// Its health, component by component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The components that its build contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<Components>,
    /// Desired, offered, reported and effective config.
    pub config: AgentConfig,
    /// The packages that it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<Packages>,
    /// What became of connection settings that it was offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_settings: Option<ReportedConfig>,
    /// Its connection, the live one or the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
}

/// Labels by who gave them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LabelSources {
    /// From the credential that it used: wins over the others.
    pub credential: StringMap,
    /// From operators: `PATCH /agents/{id}`.
    pub operator: StringMap,
    /// From what it says of itself.
    pub agent: StringMap,
}

/// What an agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Description {
    /// Attributes that identify it.
    #[schema(value_type = Object)]
    pub identifying: BTreeMap<String, serde_json::Value>,
    /// Attributes that do not.
    #[schema(value_type = Object)]
    pub non_identifying: BTreeMap<String, serde_json::Value>,
}

/// Health of an agent or of one of its components.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether it says that it is healthy.
    pub healthy: bool,
    /// Its status in a word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Its last error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_error: String,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// When the status was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_time: Option<Timestamp>,
    /// Further facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// Its parts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(no_recursion)]
    pub components: BTreeMap<String, Health>,
}

/// The components that an agent's build contains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Components {
    /// The agent's own hash of the list, hex.
    pub hash: String,
    /// The list; absent while the agent has told only the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<BTreeMap<String, Component>>,
}

/// One component, or a group of them such as `receivers`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Component {
    /// Facts such as the module and its version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// Its parts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(no_recursion)]
    pub components: BTreeMap<String, Component>,
}

/// The packages that an agent reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Packages {
    /// Hash over all that it was offered, hex.
    pub offered_hash: String,
    /// What went wrong with all of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Each of them by name.
    pub packages: BTreeMap<String, Package>,
}

/// One package that an agent reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Package {
    /// `installed`, `install_pending`, `installing`, `install_failed` or `downloading`.
    pub state: String,
    /// The version it has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Hash of what it has, hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// The version it was offered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub offered_version: String,
    /// Hash of what it was offered, hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub offered_hash: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// What an agent should run, was sent, answered, and runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentConfig {
    /// Where it stands.
    pub state: ConfigState,
    /// What it should run; absent: unassigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredConfig>,
    /// What was last sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<OfferedConfig>,
    /// What it last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<ReportedConfig>,
    /// What it reports to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectiveConfig>,
    /// From desired to effective, where both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<ConfigDiff>,
    /// Where it runs otherwise than it should, where both are known and can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// The components of what is released for it that its build lacks, such as `receiver kafka`: it keeps what it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_components: Vec<String>,
    /// For what it keeps what it has: its Collector, or another of its build, refused in a dry run what is released for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<KnownRefusal>,
}

/// Where an agent runs otherwise than it should. What Collectors make of a configuration is none: defaults, references
/// resolved, secrets masked, another order of keys, what a supervisor adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// Whether there is any.
    pub drifted: bool,
    /// The places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<DriftedPlace>,
    /// How many further places there are.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub more: u64,
}

/// A place where an agent runs otherwise than it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DriftedPlace {
    /// The way to it: `exporters::otlp::endpoint`.
    pub path: String,
    /// How it differs.
    pub how: DriftKind,
}

/// How what runs differs at a place from what should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// It is not there.
    Missing,
    /// It is another one.
    Different,
    /// It is there although it should not: a component, a pipeline or a section.
    Added,
    /// A further setting: a default that was filled in, or one that somebody gave it. Alone it is no drift.
    Further,
}

/// What an agent should run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DesiredConfig {
    /// Its hash in hex; with the single file `config.yaml` the SHA-256 of that file.
    pub hash: String,
    /// The released revisions that it is made of, the last wins.
    pub layers: Vec<LayerRef>,
    /// The files by name.
    pub files: BTreeMap<String, ConfigFile>,
}

/// A released revision as it applies to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LayerRef {
    /// The config's name.
    pub config: String,
    /// The revision's number.
    pub revision: u64,
    /// Its version: `v1.2.3`.
    pub version: String,
    /// Its priority.
    pub priority: i64,
    /// What its template was given for the agent: `labels`, `uid` and `vars`, just those that it uses. Secrets are redacted
    /// unless revealed. Absent: its body is no template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub values: Option<serde_json::Value>,
    /// The variables among them that a shared set gives, and which. Absent, too, where the agent does not have yet what is
    /// released for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shared: BTreeMap<String, SharedBy>,
}

/// What was last sent to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedConfig {
    /// Its hash in hex.
    pub hash: String,
    /// When.
    pub at: Timestamp,
}

/// An agent's answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportedConfig {
    /// The hash it answered with, hex; empty: none.
    pub hash: String,
    /// `unset`, `applied`, `applying` or `failed`.
    pub status: ApplyStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// An agent's word on a config that it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyStatus {
    /// It has said nothing.
    Unset,
    /// It runs it.
    Applied,
    /// It is on its way.
    Applying,
    /// It could not.
    Failed,
}

/// What an agent reports to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveConfig {
    /// Hash of the files, computed by the server as for desired configs.
    pub hash: String,
    /// The files by name.
    pub files: BTreeMap<String, ConfigFile>,
}

/// One file of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigFile {
    /// MIME type; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// Length of the true body in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the true body, hex.
    pub sha256: String,
    /// The body as text; secrets are redacted. Absent where it is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether something in `body` was redacted.
    pub redacted: bool,
}

/// The difference between desired and effective config, after redaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigDiff {
    /// Whether the true files are the same byte for byte.
    pub identical: bool,
    /// A unified diff; empty when nothing that is shown differs.
    pub unified: String,
}

/// An agent's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// The node that holds it.
    pub node: String,
    /// How it is connected.
    pub transport: Transport,
    /// Where from.
    pub remote_address: String,
    /// Since when.
    pub connected_at: Timestamp,
    /// When it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnected_at: Option<Timestamp>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnect_reason: Option<String>,
}

/// Changes an agent's operator labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchAgent {
    /// Labels to set; `null` removes the operator's label. Others stay as they are.
    pub labels: BTreeMap<String, Option<String>>,
}

/// The answer to an act that goes on after the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// What happens now, for people.
    pub message: String,
}

/// One entry of an agent's history: what changed of it, when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// What: `labels`, `description`, `uid`, `approval`.
    pub what: String,
    /// Who changed it; absent: the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The value before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub before: Option<serde_json::Value>,
    /// The value after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub after: Option<serde_json::Value>,
}
