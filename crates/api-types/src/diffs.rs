//! What differs between two configurations.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// With which revision one is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// The number of the other revision; absent: the one before. `0` is the empty configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
}

/// What differs between two revisions of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionDiff {
    /// The config.
    pub config: String,
    /// The revision that is compared with; 0: the empty configuration.
    pub from: u64,
    /// The revision that is looked at.
    pub to: u64,
    /// Whether the bodies are the same byte for byte.
    pub identical: bool,
    /// The selector, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<TextChange>,
    /// The priority, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<NumberChange>,
    /// The bodies in unified format, secrets redacted; cut where it is very long.
    pub unified: String,
    /// What differs in the Collector's own terms.
    pub changes: ConfigChanges,
}

/// A text before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextChange {
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

/// A number before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NumberChange {
    /// Before.
    pub from: i64,
    /// After.
    pub to: i64,
}

/// What differs in the Collector's own terms. Style, comments and the order of keys do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigChanges {
    /// Components that are new, gone, or have other settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentChange>,
    /// Pipelines that are new, gone, or made of other components.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<PipelineChange>,
    /// The extensions that are started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<ListChange>,
    /// The ways to whatever else differs: `service::telemetry::logs::level`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// How many further ways of changed settings there are.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub more: u64,
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is otherwise.
    Changed,
}

/// A component that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentChange {
    /// `receiver`, `processor`, `exporter`, `connector` or `extension`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What became of it.
    pub change: ChangeKind,
    /// The ways to what differs in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
}

/// A pipeline that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PipelineChange {
    /// Its id.
    pub id: String,
    /// What became of it.
    pub change: ChangeKind,
    /// Where its data comes from, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receivers: Option<ListChange>,
    /// What is done with it, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processors: Option<ListChange>,
    /// Where it goes, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exporters: Option<ListChange>,
}

/// A list of components that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListChange {
    /// Ids that are new in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Ids that are gone from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Whether those that stay stand in another order, where that means something.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reordered: bool,
}
