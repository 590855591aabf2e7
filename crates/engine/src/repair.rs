//! Reading again what memory may have wrong: after a commit of which nobody knows whether it happened.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use domain::{AgentId, TokenId};
use jiff::Timestamp;
use store::{Conn, StoreError, agents::StoredAgent, tokens::TokenKind};
use tokio::sync::OwnedMutexGuard;

use crate::{agent::LiveAgent, engine::Engine, world::World};

/// Agents that are read at once.
const PAGE: u32 = 1_000;

impl Engine {
    /// Whether a commit was lost since memory was last read again.
    pub(crate) fn is_memory_doubtful(&self) -> bool {
        self.inner.repaired_after.load(Ordering::Acquire) != self.inner.db.lost_commits()
    }

    /// Brings what operators decide (released configs, holds, tokens, labels, approvals, deletions) back to what is
    /// stored, if a commit was lost. The guard is that of the change lock.
    pub(crate) async fn repair(
        &self,
        _serial: &OwnedMutexGuard<()>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lost = self.inner.db.lost_commits();
        if !self.is_memory_doubtful() {
            return Ok(());
        }
        tracing::warn!(event = "memory_reread", lost_commits = lost);
        let mut reader = self.inner.db.read().await?;
        self.repair_tokens(&mut reader, now).await?;
        let gone = self.repair_agents(&mut reader).await?;
        let world = World::load(&mut reader, self.sealing_key()).await?;
        let latest = store::events::latest(&mut reader).await?;
        drop(reader);

        self.inner.world.replace(world);
        for agent in gone {
            self.forget(&agent, &mut agent.lock(), now);
        }
        self.inner.registry.for_each(|agent| {
            // Nothing was decided yet for one whose labels are not known.
            if !agent.lock().flags.fresh {
                self.redesire_and_wake(agent, now);
            }
        });
        self.announce(latest);
        self.inner.repaired_after.store(lost, Ordering::Release);
        Ok(())
    }

    async fn repair_tokens(&self, conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
        let active = store::tokens::load_active(conn, TokenKind::Agent, now).await?;
        let ids: HashSet<TokenId> = active.iter().map(|token| token.id).collect();
        active.iter().for_each(|token| self.admit_token(token));
        let ended = self.inner.tokens.standing().into_iter();
        ended
            .filter(|id| !ids.contains(id))
            .for_each(|id| self.revoke_token(id));
        Ok(())
    }

    /// Gives the agents that are not stored any more.
    async fn repair_agents(&self, conn: &mut Conn) -> Result<Vec<Arc<LiveAgent>>, StoreError> {
        let mut unseen: HashSet<AgentId> = HashSet::new();
        self.inner.registry.for_each(|agent| {
            if !agent.lock().flags.unsaved {
                unseen.insert(agent.id);
            }
        });
        let mut after = None;
        loop {
            let start = after.as_ref().map(|(namespace, id)| (namespace, *id));
            let page = store::agents::load_page(conn, start, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.namespace.clone(), last.id));
            for stored in page {
                unseen.remove(&stored.id);
                self.repair_agent(stored);
            }
        }
        let registry = &self.inner.registry;
        Ok(unseen
            .into_iter()
            .filter_map(|id| registry.get(id))
            .collect())
    }

    fn repair_agent(&self, stored: StoredAgent) {
        if let Some(agent) = self.inner.registry.get(stored.id) {
            let mut state = agent.lock();
            state.approval = stored.approval;
            state.labels.operator = stored.labels.operator;
        }
    }
}
