//! Which revision of each config an agent should run, and in which order they merge.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::Revision;
use crate::ids::{AgentId, ConfigName, RolloutId};
use crate::labels::Labels;

/// A rollout whose open stage admits agents.
#[derive(Debug, Clone)]
pub struct OpenRollout {
    /// Which.
    pub rollout: RolloutId,
    /// The revision it moves agents to; `None`: it takes the config away.
    pub target: Option<Arc<Revision>>,
}

impl OpenRollout {
    /// Whether the open stage admits this agent. The one strategy there is admits every agent.
    #[must_use]
    pub fn admits(&self, _agent: AgentId) -> bool {
        true
    }
}

/// What of one config is released.
#[derive(Debug, Clone, Default)]
pub struct ReleasedConfig {
    /// The revision that the last completed rollout left in force.
    pub baseline: Option<Arc<Revision>>,
    /// The rollout that is under way.
    pub open: Option<OpenRollout>,
}

/// What of all configs of one namespace is released, and the agents that go their own way.
#[derive(Debug, Clone, Default)]
pub struct ReleasedSet {
    /// By config.
    pub configs: BTreeMap<ConfigName, ReleasedConfig>,
    /// By agent and config: the revision it should run instead, or nothing of that config.
    pub exceptions: HashMap<AgentId, BTreeMap<ConfigName, Option<Arc<Revision>>>>,
}

impl ReleasedSet {
    /// The revisions that apply to an agent, in the order in which they merge: ascending (priority, name).
    ///
    /// A revision applies when it is released for the agent and its own selector matches the agent's labels.
    #[must_use]
    pub fn layers(&self, agent: AgentId, labels: &Labels) -> Vec<Arc<Revision>> {
        let exceptions = self.exceptions.get(&agent);
        let mut layers: Vec<Arc<Revision>> = self
            .configs
            .iter()
            .filter_map(|(name, config)| {
                released(agent, config, exceptions.and_then(|own| own.get(name)))
            })
            .filter(|revision| revision.selector.matches(labels))
            .cloned()
            .collect();
        layers.sort_by(|a, b| (a.priority, &a.config).cmp(&(b.priority, &b.config)));
        layers
    }
}

/// The revision of a config that is released for an agent: its own exception, else the open stage of a rollout
/// that admits it, else the baseline.
#[must_use]
pub fn released<'a>(
    agent: AgentId,
    config: &'a ReleasedConfig,
    exception: Option<&'a Option<Arc<Revision>>>,
) -> Option<&'a Arc<Revision>> {
    if let Some(own) = exception {
        return own.as_ref();
    }
    match config.open.as_ref().filter(|open| open.admits(agent)) {
        Some(open) => open.target.as_ref(),
        None => config.baseline.as_ref(),
    }
}
