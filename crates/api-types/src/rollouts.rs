//! Rollouts: the act that moves agents from one revision to another.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::agents::ConfigState;
use crate::dry_runs::{DryRunCounts, DryRunInput};

/// Starts a rollout. The fields stand at the top or under `rollout`, not both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRollout {
    /// The revision to release; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// `all_at_once`, also when absent. Others are refused until they exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `true`: also if checks find errors in what some agent would get. It is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// `true`: agents stay as they are that would get what checks find errors in, or what their Collector refuses in a dry
    /// run, or for which nothing can be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_incompatible: Option<bool>,
    /// `true`, or how: agents are asked first to have their own Collector check what they would get. The release is refused
    /// where one of them refuses, unless it is forced or leaves out agents that do (`exclude_incompatible`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_dry_run: Option<DryRunInput>,
    /// The same fields, one level deeper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,
}

/// What to release and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutSpec {
    /// The revision to release; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// `all_at_once`, also when absent. Others are refused until they exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `true`: also if checks find errors in what some agent would get. It is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// `true`: agents stay as they are that would get what checks find errors in, or what their Collector refuses in a dry
    /// run, or for which nothing can be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_incompatible: Option<bool>,
    /// `true`, or how: agents are asked first to have their own Collector check what they would get. The release is refused
    /// where one of them refuses, unless it is forced or leaves out agents that do (`exclude_incompatible`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_dry_run: Option<DryRunInput>,
}

/// How a rollout moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStatus {
    /// On its way.
    Running,
    /// Its revision is the baseline.
    Completed,
    /// Ended before its end.
    Aborted,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// Its id.
    pub id: String,
    /// The config it releases.
    pub config: String,
    /// The revision it releases; absent: it takes the config away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The revision that was in force before; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<u64>,
    /// `all_at_once`.
    pub strategy: String,
    /// Whether it was started whatever checks say of what agents get.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// How far it is.
    pub status: RolloutStatus,
    /// Who started it.
    pub author: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_reason: Option<String>,
}

/// A rollout that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartedRollout {
    /// The rollout.
    pub rollout: Rollout,
    /// How many agents it concerns: those that the old or the new revision matches; of a set of variables those whose
    /// templates get other values.
    pub affected: u64,
    /// How many of them stay as they are, since what they would get is wrong (`exclude_incompatible`).
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub excluded: u64,
    /// How many of these for nothing but that their own Collector, or another of their build, refused it in the dry run.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub excluded_by_dry_run: u64,
    /// How many agents said what in the dry run, where one was required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRunCounts>,
}

/// A rollout and how its agents stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutDetail {
    /// The rollout.
    pub rollout: Rollout,
    /// The agents that the revision's selector matches now; of a set of variables those whose templates it gives a value.
    pub agents: RolloutAgents,
}

/// Agents of a rollout, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutAgents {
    /// All of them.
    pub total: u64,
    /// Those that run what they should.
    pub in_sync: u64,
    /// Those without a connection.
    pub disconnected: u64,
    /// All of them by config state.
    pub by_state: BTreeMap<ConfigState, u64>,
}
