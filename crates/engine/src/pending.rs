//! What agents said and the database does not know yet: kept with each agent, newest of each kind, written by group commit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use domain::NewEvent;
use jiff::Timestamp;
use parking_lot::Mutex;
use store::agents::AgentReport;
use tokio::sync::Notify;

use crate::agent::{LiveAgent, State};

/// Events of one agent that one group commit may hold; beyond it the oldest are dropped.
const MAX_EVENTS: usize = 32;

/// What the next group commit writes of one agent.
#[derive(Debug)]
pub(crate) struct Pending {
    pub report: AgentReport,
    /// Its [`AgentReport::weight`] as it was last counted in [`PendingQueue`].
    bytes: usize,
}

/// The agents that have something [`Pending`], in the order in which they first had it.
#[derive(Default)]
pub(crate) struct PendingQueue {
    agents: Mutex<Vec<Arc<LiveAgent>>>,
    /// Agents in `agents`, readable without its lock.
    count: AtomicUsize,
    /// What the reports that wait weigh together.
    bytes: AtomicUsize,
    notify: Notify,
}

impl PendingQueue {
    /// The report that the next commit writes; the queue's lock is taken only for the first since the last commit.
    pub fn of<'s>(
        &self,
        agent: &Arc<LiveAgent>,
        state: &'s mut State,
        now: Timestamp,
    ) -> &'s mut AgentReport {
        let epoch = state.epoch;
        let pending = state.pending.get_or_insert_with(|| {
            self.enqueue(agent);
            let report = AgentReport::new(agent.id, agent.namespace.clone(), epoch, now);
            Box::new(Pending { report, bytes: 0 })
        });
        pending.report.epoch = epoch;
        pending.report.at = now;
        &mut pending.report
    }

    /// Adds an event, dropping the oldest beyond the bound.
    pub fn push_event(&self, agent: &Arc<LiveAgent>, state: &mut State, event: NewEvent) {
        let events = &mut self.of(agent, state, event.at).events;
        if MAX_EVENTS <= events.len() {
            events.remove(0);
        }
        events.push(event);
    }

    /// Counts what an agent's report weighs now. Call it when a report may have grown.
    pub fn weigh(&self, state: &mut State) {
        if let Some(pending) = &mut state.pending {
            let now = pending.report.weight();
            let before = std::mem::replace(&mut pending.bytes, now);
            // Added first, so that the sum is never below zero.
            self.bytes.fetch_add(now, Ordering::Relaxed);
            self.bytes.fetch_sub(before, Ordering::Relaxed);
        }
    }

    /// Takes a report out of an agent's state to be written.
    pub fn take_report(&self, state: &mut State) -> Option<AgentReport> {
        let pending = *state.pending.take()?;
        self.bytes.fetch_sub(pending.bytes, Ordering::Relaxed);
        Some(pending.report)
    }

    /// Puts back a report whose commit failed, under whatever came since.
    pub fn restore(&self, agent: &Arc<LiveAgent>, state: &mut State, mut failed: AgentReport) {
        if state.flags.forgotten {
            return;
        }
        match &mut state.pending {
            Some(pending) => {
                let newer = std::mem::replace(
                    &mut pending.report,
                    AgentReport::new(agent.id, agent.namespace.clone(), failed.epoch, failed.at),
                );
                failed.absorb(newer);
                let surplus = failed.events.len().saturating_sub(MAX_EVENTS);
                failed.events.drain(..surplus);
                pending.report = failed;
            }
            None => {
                self.enqueue(agent);
                state.pending = Some(Box::new(Pending {
                    report: failed,
                    bytes: 0,
                }));
            }
        }
        self.weigh(state);
    }

    /// Takes up to `most` agents with something to write.
    pub fn take(&self, most: usize) -> Vec<Arc<LiveAgent>> {
        let mut agents = self.agents.lock();
        let taken: Vec<_> = if agents.len() <= most {
            std::mem::take(&mut *agents)
        } else {
            agents.drain(..most).collect()
        };
        self.count.fetch_sub(taken.len(), Ordering::Relaxed);
        taken
    }

    /// Agents that wait.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// What the reports that wait weigh together.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Resolves when something is to be written.
    pub async fn waiting(&self) {
        while self.len() == 0 {
            self.notify.notified().await;
        }
    }

    fn enqueue(&self, agent: &Arc<LiveAgent>) {
        self.agents.lock().push(Arc::clone(agent));
        self.count.fetch_add(1, Ordering::Relaxed);
        self.notify.notify_one();
    }
}
