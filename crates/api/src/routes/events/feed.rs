//! What one event stream has sent and what comes next.

use std::collections::VecDeque;
use std::time::Duration;

use engine::admin::Caller;
use engine::domain::{Event, EventId};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::state::{ApiState, Readiness};

/// Events read at a time.
const STEP: u32 = 256;
/// How long a stream trusts this node's word that nothing is new. Other nodes' events come by the database only, and a
/// credential may have been revoked.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// One stream's place.
pub(super) struct Feed {
    state: ApiState,
    caller: Caller,
    after: EventId,
    waiting: VecDeque<Event>,
    newest: watch::Receiver<EventId>,
    readiness: watch::Receiver<Readiness>,
    let_in_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    pub(super) fn new(
        state: ApiState,
        caller: Caller,
        after: EventId,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let newest = state.engine.newest_event();
        let readiness = state.readiness.clone();
        Self {
            state,
            caller,
            after,
            waiting: VecDeque::new(),
            newest,
            readiness,
            let_in_at: Instant::now(),
            _permit: permit,
        }
    }

    /// The next event; `None` when the stream is to end: the server drains, or the credential is no longer valid. The
    /// client comes back with the id of the last event, and nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            // On a busy fleet there is no pause in which to ask.
            if LOOK_AGAIN <= self.let_in_at.elapsed() {
                self.look_again().await?;
            }
            if let Some(event) = self.waiting.pop_front() {
                self.after = event.id;
                return Some(event);
            }
            if *self.readiness.borrow() == Readiness::Draining {
                return None;
            }
            // Marked before the read: what is committed after it wakes the wait below.
            self.newest.mark_unchanged();
            match self
                .state
                .engine
                .events_after(&self.caller, self.after, STEP)
                .await
            {
                Ok(events) if !events.is_empty() => self.waiting.extend(events),
                Ok(_) => self.wait().await?,
                Err(error) => {
                    tracing::warn!(event = "event_stream_delayed", %error, "an event stream could not read");
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
    }

    /// Waits until something may be new.
    async fn wait(&mut self) -> Option<()> {
        let draining = self
            .readiness
            .wait_for(|readiness| *readiness == Readiness::Draining);
        tokio::select! {
            biased;
            _ = draining => None,
            _ = self.newest.changed() => Some(()),
            () = tokio::time::sleep(LOOK_AGAIN) => Some(()),
        }
    }

    /// Ends the stream of a credential that is no longer valid.
    async fn look_again(&mut self) -> Option<()> {
        let still = self
            .state
            .engine
            .is_still_let_in(&self.caller, self.state.now())
            .await;
        match still {
            Ok(false) => None,
            // A database that is lost lets nobody out either.
            Ok(true) | Err(_) => {
                self.let_in_at = Instant::now();
                Some(())
            }
        }
    }
}
