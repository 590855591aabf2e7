//! Rollouts: putting a revision in force. The one strategy there is, `all_at_once`, is complete when it is committed.

mod draft;
mod required;
mod start;

use std::collections::BTreeMap;

use desired::{AgentFacts, Layer};
use domain::model::InstanceUid;
use domain::{
    AgentId, ConfigName, ConfigState, Kind, Labels, Namespace, Rollout, RolloutId, Selector,
};
use store::{StoreError, configs, rollouts};

use super::access::Caller;
use super::{PageOf, Paged};
use crate::engine::{AgentStanding, Engine};

pub(super) use draft::{DraftError, Move};
pub use required::{Refusal, Refusals};
pub use start::{OnErrors, Release, StartRolloutError, Started};

/// A rollout and how its agents stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutDetail {
    /// It.
    pub rollout: Rollout,
    /// The agents that its revision's selector matches now; of a set of variables those whose templates it gives a value.
    pub agents: AgentCounts,
}

/// Agents, counted by where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentCounts {
    /// All.
    pub total: u64,
    /// Those without a connection.
    pub disconnected: u64,
    /// By where they stand with what they should run; every state is there.
    pub by_state: BTreeMap<ConfigState, u64>,
}

impl Engine {
    /// Rollouts of the caller's namespace, or of one of its configs, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rollouts(
        &self,
        caller: &Caller,
        config: Option<&ConfigName>,
        page: PageOf<RolloutId>,
    ) -> Result<Paged<Rollout, RolloutId>, StoreError> {
        let mut conn = self.db().read().await?;
        let read = rollouts::list(
            &mut conn,
            &caller.namespace,
            config,
            page.after,
            page.probe(),
        )
        .await?;
        Ok(page.cut(read, |last| last.id))
    }

    /// One rollout, and how the agents stand that its revision matches.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rollout(
        &self,
        caller: &Caller,
        id: RolloutId,
    ) -> Result<Option<RolloutDetail>, StoreError> {
        let mut conn = self.db().read().await?;
        let Some(rollout) = rollouts::find(&mut conn, &caller.namespace, id).await? else {
            return Ok(None);
        };
        // A rollout that takes a config away is of interest to those who had it.
        let number = rollout.target.or(rollout.previous);
        let revision = match number {
            Some(number) => {
                configs::revision(&mut conn, &caller.namespace, &rollout.config, number).await?
            }
            None => None,
        };
        drop(conn);
        let namespace = &caller.namespace;
        let agents = revision.map(|revision| match revision.kind {
            Kind::Collector => self.count_agents(namespace, &revision.selector),
            Kind::Variables => self.count_given(namespace, &revision.config),
        });
        Ok(Some(RolloutDetail {
            rollout,
            agents: agents.unwrap_or_else(AgentCounts::none),
        }))
    }

    /// Counts from memory, which is ahead of what is stored.
    pub(super) fn count_agents(&self, namespace: &Namespace, selector: &Selector) -> AgentCounts {
        AgentCounts::of(self.standings(namespace, |_: AgentId, labels: &Labels| {
            selector.matches(labels)
        }))
    }

    /// Counts the agents whose templates a set of variables gives a value.
    fn count_given(&self, namespace: &Namespace, set: &ConfigName) -> AgentCounts {
        let world = self.inner.world.get();
        let is_given = |agent: AgentId, labels: &Labels| {
            // Which set gives a value does not depend on the uid.
            let uid = InstanceUid::new([0; 16]);
            let layers = world.layers(namespace, agent, AgentFacts { uid, labels });
            let mut given = layers.iter().flat_map(Layer::shared);
            given.any(|(_, revision)| revision.config == *set)
        };
        AgentCounts::of(self.standings(namespace, is_given))
    }
}

impl AgentCounts {
    fn of(standings: Vec<(AgentId, AgentStanding)>) -> Self {
        let mut counts = Self::none();
        for (_, standing) in standings {
            counts.total += 1;
            counts.disconnected += u64::from(!standing.connected);
            *counts.by_state.entry(standing.config_state).or_default() += 1;
        }
        counts
    }

    fn none() -> Self {
        Self {
            by_state: ConfigState::ALL
                .into_iter()
                .map(|state| (state, 0))
                .collect(),
            ..Self::default()
        }
    }
}
