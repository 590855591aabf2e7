//! Events: what happened, for people and for the stream.

use domain::{AgentId, Event, EventId};
use store::{StoreError, agents, events};
use tokio::sync::watch;

use super::access::Caller;
use super::{PageOf, Paged};
use crate::engine::Engine;

impl Engine {
    /// Events of the caller's namespace after one, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events_after(
        &self,
        caller: &Caller,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let mut conn = self.db().read().await?;
        events::list_after(&mut conn, &caller.namespace, after, limit).await
    }

    /// The newest event as the database has it: it knows of other nodes' events too. Those who follow this node's
    /// events are told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest_event(&self) -> Result<EventId, StoreError> {
        let mut conn = self.db().read().await?;
        let latest = events::latest(&mut conn).await?;
        self.announce(latest);
        Ok(latest)
    }

    /// Whether every event after one is still kept. An id that was never given has no events after it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keeps_events_after(&self, after: EventId) -> Result<bool, StoreError> {
        let mut conn = self.db().read().await?;
        let oldest = events::oldest(&mut conn).await?;
        let latest = events::latest(&mut conn).await?;
        // Numbers have no gaps.
        let first = oldest.map_or(latest.0.saturating_add(1), |oldest| oldest.0);
        Ok(first <= after.0.saturating_add(1) && after <= latest)
    }

    /// Changes whenever there are newer events; the value is the newest one's id.
    #[must_use]
    pub fn newest_event(&self) -> watch::Receiver<EventId> {
        self.follow_events()
    }

    /// Events of one agent, newest first; `None` where there is no such agent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agent_events(
        &self,
        caller: &Caller,
        agent: AgentId,
        page: PageOf<EventId>,
    ) -> Result<Option<Paged<Event, EventId>>, StoreError> {
        let mut conn = self.db().read().await?;
        let read = events::list_of_agent(
            &mut conn,
            &caller.namespace,
            agent,
            page.after,
            page.probe(),
        )
        .await?;
        // Its events outlive an agent, so those are looked for first.
        if read.is_empty()
            && agents::find(&mut conn, &caller.namespace, agent)
                .await?
                .is_none()
        {
            return Ok(None);
        }
        Ok(Some(page.cut(read, |last| last.id)))
    }
}
