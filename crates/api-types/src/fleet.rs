//! The fleet as a whole: counts and the emergency brake.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::SelectorInput;
use crate::agents::ConfigState;

/// Counts over the agents of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fleet {
    /// The namespace.
    pub namespace: String,
    /// All agents.
    pub agents: u64,
    /// Those with a live connection.
    pub connected: u64,
    /// Those without.
    pub disconnected: u64,
    /// Those that say they are healthy.
    pub healthy: u64,
    /// Those that say they are not.
    pub unhealthy: u64,
    /// Those that have not said.
    pub health_unknown: u64,
    /// Those that wait for approval.
    pub pending_approval: u64,
    /// Those that run what they should (agents without a config are not counted).
    pub in_sync: u64,
    /// All agents by config state; states without an agent are 0.
    pub by_config_state: BTreeMap<ConfigState, u64>,
    /// Configs that exist.
    pub configs: u64,
    /// Configs that are in force.
    pub configs_in_force: u64,
    /// Holds that concern this namespace.
    pub holds: u64,
}

/// How far a hold reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldScope {
    /// Every agent of every namespace.
    Fleet,
    /// Every agent of this namespace.
    Namespace,
    /// The agents of this namespace that a selector matches.
    Selector,
}

/// Pulls or releases the brake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutHold {
    /// `true`: no offer leaves. `false`: this hold is released.
    pub held: bool,
    /// How far it reaches: `selector` when one is given, else `namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<HoldScope>,
    /// The agents, for scope `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorInput>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The brake as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holds {
    /// Whether any hold concerns this namespace.
    pub held: bool,
    /// Each of them.
    pub holds: Vec<Hold>,
}

/// One hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// How far it reaches.
    pub scope: HoldScope,
    /// The agents, for scope `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Why.
    pub reason: String,
    /// Who.
    pub author: String,
    /// Since when.
    pub since: Timestamp,
}
