//! Plans: what a change would do to every agent, before it does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::checks::Finding;
use crate::configs::PutConfig;
use crate::diffs::ConfigChanges;
use crate::dry_runs::{DryRun, DryRunCounts, DryRunInput, KnownRefusal};

/// Asks what a change would do. One of `revision`, `edit` and `remove`, or none: the newest revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanConfig {
    /// The release of this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// A revision that is not made yet, and its release. The config need not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<PutConfig>,
    /// `true`: the config is deleted and taken away from its agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<bool>,
    /// `true`: the release would be made with `exclude_incompatible`. Agents of different builds stand in groups of their
    /// own, and nothing blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_incompatible: Option<bool>,
    /// `true`, or how: agents have their own Collector check what they would be given. They apply nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRunInput>,
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The config.
    pub config: String,
    /// The revision that would be in force; absent: none. Of an edit it does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The revision that is in force; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<u64>,
    /// Whether a release is refused unless it is forced, for what some agents would get; or an agent refused it in a dry
    /// run, which a release heeds that requires one.
    pub blocked: bool,
    /// How many agents are concerned: those that the old or the new revision matches.
    pub agents: u64,
    /// How many of them would be given something else than they should run now.
    pub changed: u64,
    /// How many of them would be given what a Collector refuses, or what cannot be made; of agents in whose group one
    /// refused it in a dry run: all.
    pub refused: u64,
    /// How many of them would stay as they are, where `exclude_incompatible` is planned. (A release asks further agents of a
    /// build before it leaves out all of it for what one refuses.)
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub excluded: u64,
    /// How many of those that would be given something else do not report what they are built of, and name a released build
    /// that lacks components of it. They are given it all the same.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub presumably_incompatible: u64,
    /// The agents, alike ones together: those first that block the release, then the largest groups.
    pub groups: Vec<PlanGroup>,
    /// How many further groups there are, which are counted above and not shown.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub more_groups: u64,
    /// How many agents said what in the dry run, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRunCounts>,
    /// What checks say of the revision alone, where no agent is concerned: what it lacks, another config may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// Asks what other labels would do to an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanAgent {
    /// Labels to set; `null` removes the operator's label. Others stay as they are.
    pub labels: BTreeMap<String, Option<String>>,
    /// `true`, or how: the agent has its own Collector check what it would be given. It applies nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRunInput>,
}

/// What other labels would do to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentPlan {
    /// The agent.
    pub agent: String,
    /// Whether the labels are refused for what it would get; or its Collector refused that in a dry run, which a change of
    /// labels does not ask for.
    pub blocked: bool,
    /// What it would get; absent: the node that was asked does not know the agent yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<PlanGroup>,
}

/// What a change would do to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanOutcome {
    /// Nothing: it should run just that already, or runs it although nobody gave it to it.
    NoChange,
    /// It would be given something else than it should run now.
    Change,
    /// No config matches it any more: it is given nothing and runs on as it is.
    Unassigned,
    /// A Collector would refuse what it would be given.
    CheckErrors,
    /// Its Collector was built without components of what it would be given.
    MissingComponents,
    /// Its own Collector, or another of its build, refused what it would be given, in a dry run.
    RefusedByAgent,
    /// A template of what it would be given fails, or makes no configuration.
    TemplateFailed,
    /// What it would be given cannot be made.
    MergeFailed,
}

/// Agents to which a change would do the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanGroup {
    /// What it would do to them.
    pub outcome: PlanOutcome,
    /// How many they are.
    pub agents: u64,
    /// How many of them have no connection now.
    pub disconnected: u64,
    /// The ids of the first few.
    pub examples: Vec<String>,
    /// The revisions they would be given, as `config@revision`, in the order in which they merge.
    pub layers: Vec<String>,
    /// The hash of what they should run now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The hash of what they would be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// From the one to the other, in unified format, secrets redacted; cut where it is very long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// The same in the Collector's own terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ConfigChanges>,
    /// Why it cannot be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The components of what they would be given that they report not to have, such as `receiver kafka`; a finding says
    /// which line wants each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_components: Vec<String>,
    /// For what they are known from an earlier dry run to refuse it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_refusal: Option<KnownRefusal>,
    /// The released build that they name without reporting what they are built of, such as `otelcol@0.149.0`, where it lacks
    /// components of what they would be given. They are given it all the same: their build may be another of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presumed_build: Option<String>,
    /// The components that the presumed build lacks, such as `receiver kafka`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub presumably_missing: Vec<String>,
    /// What agents said that were asked in the dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry_runs: Vec<DryRun>,
    /// What checks say of what they would be given, errors first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How many further findings there are.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub more_findings: u64,
}
