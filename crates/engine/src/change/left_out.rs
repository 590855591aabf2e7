//! Which outcomes of a drafted change are not given to the agents that would get them.

use std::collections::HashSet;
use std::sync::Arc;

use desired::{Finding, Layer};
use domain::AgentId;
use jiff::Timestamp;
use store::StoreError;

use super::{Alike, Change, distinct};
use crate::agent::LiveAgent;
use crate::builds::{KnownBuild, id_of};
use crate::prepared::{Place, place};

/// Outcomes that are not given to the agents that would get them: these stay as they are.
#[derive(Default)]
pub(crate) struct LeftOut {
    keys: HashSet<(Place, u64, Option<AgentId>)>,
    /// How many agents they are.
    pub agents: u64,
    /// How many of them for nothing but what a Collector said in a dry run.
    pub refused: u64,
}

impl LeftOut {
    pub fn contains(&self, alike: &Alike) -> bool {
        let agent = alike.examples.first();
        let build = id_of(alike.build.as_deref());
        agent.is_some_and(|agent| {
            let place = place(agent, &alike.layers);
            self.keys.contains(&(place, build, alike.alone))
        })
    }
}

impl Change {
    /// The outcomes that are not given, of those that cannot be made or have errors that nobody forced: what agents are
    /// refused by now already, which is not this change's, and with `all` the others, too.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn left_out(
        &mut self,
        alike: &[Alike],
        all: bool,
        now: Timestamp,
    ) -> Result<LeftOut, StoreError> {
        self.prepare(alike, now).await?;
        let mut left_out = LeftOut::default();
        for one in alike {
            let Some((agent, layers)) = distinct(std::slice::from_ref(one)).next() else {
                continue;
            };
            let build = one.build.as_deref();
            if !self.is_refused(agent, layers, build, now).await? {
                continue;
            }
            let is_of_before =
                !self.is_newly_refused(one) && self.is_refused_already(one, now).await?;
            let is_its_own = one.is_moved && !is_of_before;
            if is_its_own && !all {
                continue;
            }
            let build = id_of(build);
            left_out
                .keys
                .insert((place(agent, layers), build, one.alone));
            if is_its_own {
                left_out.agents += one.agents;
                left_out.refused += if self.is_kept_by_refusal(one) {
                    one.agents
                } else {
                    0
                };
            }
        }
        Ok(left_out)
    }

    /// Whether agents are refused what is released for them without the change.
    pub(crate) async fn is_refused_already(
        &mut self,
        alike: &Alike,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match alike.examples.first() {
            Some(agent) if !alike.not_given.is_empty() => {
                let agent = Arc::clone(agent);
                let build = alike.build.as_deref();
                self.is_refused(&agent, &alike.not_given, build, now).await
            }
            _ => Ok(false),
        }
    }

    /// Whether these layers cannot be made, or have errors that nobody forced, or need what the build lacks. What was made
    /// before is not refused for its errors: it may be in use.
    async fn is_refused(
        &mut self,
        agent: &Arc<LiveAgent>,
        layers: &[Layer],
        build: Option<&KnownBuild>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let place = place(agent, layers);
        if self.made.contains_key(&place) {
            return Ok(false);
        }
        let wanted = std::iter::once((agent, layers));
        self.prepared.add(&self.engine, wanted, now).await?;
        let Some(Ok(made)) = self.prepared.get(&place) else {
            return Ok(true);
        };
        let is_wrong = |findings: &Arc<[Finding]>| findings.iter().any(Finding::is_error);
        let is_forced = self.world.is_forced(&agent.namespace, layers);
        let is_wrong = made.findings.as_ref().is_some_and(is_wrong);
        let suits = self.world.suits(agent, build, &made.content);
        Ok((is_wrong || !suits) && !is_forced)
    }
}
