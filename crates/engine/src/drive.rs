//! The engine's steps that are driven from outside: group commit, liveness flush, reconciling, expiry and retention.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domain::{AgentId, EventId};
use jiff::Timestamp;
use parking_lot::Mutex;
use store::{
    StoreError,
    agents::{AgentReport, Liveness, Offered as StoredOffered},
    desired as stored,
    retention::{KeepRevisions, Retention, drop_revisions, sweep},
};
use tokio::sync::Notify;

use crate::{
    agent::{LiveAgent, Transport},
    attach::DisconnectReason,
    clock::Passed,
    desire::{DesireError, Pointer},
    engine::Engine,
    events,
    mailbox::CloseReason,
    preview::CheckErrors,
    principal::AuthMethod,
};

/// Agents whose reports one group commit writes at most.
const COMMIT_AGENTS: usize = 2_000;
/// Rows of one transaction of a liveness flush at most.
const FLUSH_AGENTS: usize = 20_000;

/// A sweep that comes so long after the one before was told a clock that jumped: nothing is forgotten for that alone.
const SWEEP_STRIDE: Duration = Duration::from_secs(24 * 3600);

/// Contents that are made in a minute for what one agent says of itself. An agent that says something else of itself each
/// second gets its content a minute later.
const MADE_PER_AGENT: u32 = 20;

/// Agents whose desired content is not made yet.
#[derive(Default)]
pub(crate) struct Missing {
    agents: Mutex<Vec<Arc<LiveAgent>>>,
    notify: Notify,
    spent: Mutex<Spent>,
}

/// What was made in a minute, for which agents.
#[derive(Default)]
struct Spent {
    minute: i64,
    made: HashMap<AgentId, u32>,
    /// Agents that wait for the next minute.
    later: Vec<Arc<LiveAgent>>,
}

impl Missing {
    pub fn push(&self, agent: &Arc<LiveAgent>) {
        self.agents.lock().push(Arc::clone(agent));
        self.notify.notify_one();
    }

    /// The agents that wait by now.
    fn take(&self, now: Timestamp) -> Vec<Arc<LiveAgent>> {
        let mut agents = std::mem::take(&mut *self.agents.lock());
        let mut spent = self.spent.lock();
        let minute = now.as_second() / 60;
        if spent.minute != minute {
            spent.minute = minute;
            spent.made.clear();
            agents.append(&mut spent.later);
        }
        agents
    }

    /// Whether a content may be made for an agent in this minute; else it waits for the next.
    fn admits(&self, agent: &Arc<LiveAgent>) -> bool {
        let mut spent = self.spent.lock();
        let made = spent.made.get(&agent.id).copied().unwrap_or_default();
        if made < MADE_PER_AGENT {
            return true;
        }
        spent.later.push(Arc::clone(agent));
        false
    }

    fn note_made(&self, agent: AgentId) {
        *self.spent.lock().made.entry(agent).or_default() += 1;
    }
}

impl Engine {
    /// Resolves when reports wait for [`Engine::commit_reports`]. Cancel-safe.
    pub async fn reports_waiting(&self) {
        self.inner.pending.waiting().await;
    }

    /// Resolves when [`Engine::reconcile`] has something to make. Cancel-safe.
    pub async fn reconcile_waiting(&self) {
        while self.inner.missing.agents.lock().is_empty() {
            self.inner.missing.notify.notified().await;
        }
    }

    /// Commits what agents reported, in transactions of many agents, until none waits. Says how many agents' it was.
    ///
    /// # Errors
    /// [`StoreError`]; what was not committed waits for the next call.
    pub async fn commit_reports(&self) -> Result<usize, StoreError> {
        let mut committed = 0;
        let mut refused = Vec::new();
        let outcome = loop {
            let agents = self.inner.pending.take(COMMIT_AGENTS);
            if agents.is_empty() {
                self.note_database(Ok(()));
                break Ok(committed);
            }
            committed += agents.len();
            match self.commit(&agents).await {
                Ok(more) => refused.extend(more),
                Err(error) => break Err(error),
            }
        };
        for (agent, report) in refused {
            tracing::warn!(event = "agent_not_stored", agent_id = %agent.id, "another agent has its instance_uid; tried again");
            self.inner
                .pending
                .restore(&agent, &mut agent.lock(), report);
        }
        outcome
    }

    /// Commits reports of some agents. Gives those of new agents that were refused, because another agent still has
    /// their uid in the database: that one's report, which gives it up, may be yet to come.
    async fn commit(
        &self,
        agents: &[Arc<LiveAgent>],
    ) -> Result<Vec<(Arc<LiveAgent>, AgentReport)>, StoreError> {
        let _order = self.inner.write_lock.lock().await;
        let reports: Vec<AgentReport> = agents
            .iter()
            .filter_map(|agent| self.report_of(agent))
            .collect();
        if reports.is_empty() {
            return Ok(Vec::new());
        }
        let by_id = || -> HashMap<_, _> { agents.iter().map(|agent| (agent.id, agent)).collect() };
        match self.inner.db.apply_reports(&reports).await {
            Ok(applied) => {
                let mut refused = Vec::new();
                if !applied.stale.is_empty() {
                    let (by_id, stale) = (by_id(), HashSet::<_>::from_iter(applied.stale));
                    let new = reports
                        .into_iter()
                        .filter(|report| report.created.is_some() && stale.contains(&report.agent));
                    refused.extend(new.filter_map(|report| {
                        by_id
                            .get(&report.agent)
                            .map(|agent| (Arc::clone(agent), report))
                    }));
                }
                for agent in agents {
                    if !refused.iter().any(|(new, _)| new.id == agent.id) {
                        agent.lock().flags.unsaved = false;
                    }
                }
                if let Some(event) = applied.last_event {
                    self.announce(event);
                }
                Ok(refused)
            }
            Err(error) => {
                let by_id = by_id();
                for report in reports {
                    if let Some(agent) = by_id.get(&report.agent) {
                        let mut state = agent.lock();
                        self.inner.pending.restore(agent, &mut state, report);
                    }
                }
                self.note_database(Err(&error));
                Err(error)
            }
        }
    }

    /// Takes an agent's report with a snapshot of its small state, which is then what the report makes true.
    fn report_of(&self, agent: &Arc<LiveAgent>) -> Option<AgentReport> {
        let mut state = agent.lock();
        let mut report = self.inner.pending.take_report(&mut state)?;
        if std::mem::take(&mut state.flags.desired_dirty) {
            report.desired = Some(state.desired.as_ref().map(|content| content.hash));
        }
        if std::mem::take(&mut state.flags.offer_dirty) {
            report.offered = state.offered.map(|offered| StoredOffered {
                hash: offered.hash,
                at: offered.at(),
            });
        }
        state.reports += 1;
        report.number = state.reports;
        report.wire = Some(Box::from(state.wire.to_bytes()));
        report.last_seen = Some(agent.last_seen());
        Some(report)
    }

    /// Stores when agents were last seen and their sessions' state. An agent whose report is not committed is left out,
    /// so that the stored session never runs ahead of what it covers.
    ///
    /// # Errors
    /// [`StoreError`]; the rows are written by the next call.
    pub async fn flush_liveness(&self) -> Result<usize, StoreError> {
        let mut dirty = Vec::new();
        self.inner.registry.for_each(|agent| {
            if agent.lock().flags.liveness_dirty {
                dirty.push(Arc::clone(agent));
            }
        });
        let mut written = 0;
        for agents in dirty.chunks(FLUSH_AGENTS) {
            written += self.flush_some(agents).await?;
        }
        if 0 < written {
            self.note_database(Ok(()));
        }
        Ok(written)
    }

    /// One transaction of a flush; commits of reports go between two of them.
    async fn flush_some(&self, agents: &[Arc<LiveAgent>]) -> Result<usize, StoreError> {
        let _order = self.inner.write_lock.lock().await;
        let (flushed, rows): (Vec<_>, Vec<_>) = agents
            .iter()
            .filter_map(|agent| Some((agent, liveness_of(agent)?)))
            .unzip();
        if let Err(error) = self.inner.db.flush_liveness(&rows).await {
            for (agent, row) in flushed.into_iter().zip(rows) {
                let mut state = agent.lock();
                state.flags.liveness_dirty = true;
                state.health_times = state.health_times.take().or(row.health_times);
            }
            self.note_database(Err(&error));
            return Err(error);
        }
        Ok(rows.len())
    }

    /// Makes and commits desired contents that agents turned out to need, wakes connections whose agents have an offer
    /// due, and lets the database know of offers. Idempotent: run it at start, when woken and on a timer.
    ///
    /// # Errors
    /// [`DesireError`] if the database failed; what was not made is tried again by the next call.
    pub async fn reconcile(&self, now: Timestamp) -> Result<(), DesireError> {
        if self.is_memory_doubtful() {
            let serial = Arc::clone(&self.inner.change_lock).lock_owned().await;
            self.repair(&serial, now).await?;
        }
        self.make_missing(now).await?;
        self.make_wanted_deltas().await?;
        self.inner.registry.for_each(|agent| {
            let state = agent.lock();
            let offered = state
                .offered
                .is_some_and(|offered| offered.epoch == state.epoch);
            if !offered {
                self.wake_if_due(agent, &state);
            }
        });
        Ok(())
    }

    /// Lets the database know what agents should run and were sent, where no report of theirs has done so yet. Nothing
    /// is written for it when an offer leaves, so that a fan-out does not wait for the database; lists follow a moment
    /// later.
    pub fn note_standings(&self, now: Timestamp) {
        if !self.inner.standings_dirty.swap(false, Ordering::Relaxed) {
            return;
        }
        self.inner.registry.for_each(|agent| {
            let mut state = agent.lock();
            if state.flags.desired_dirty || state.flags.offer_dirty {
                self.inner.pending.of(agent, &mut state, now);
            }
        });
    }

    async fn make_missing(&self, now: Timestamp) -> Result<(), DesireError> {
        let agents = self.inner.missing.take(now);
        if agents.is_empty() {
            return Ok(());
        }
        let _serial = Arc::clone(&self.inner.change_lock).lock_owned().await;
        let world = self.inner.world.get();
        let mut failed = HashSet::new();
        for agent in &agents {
            let pointer = self.pointer(&world, agent, &agent.lock());
            if let Pointer::Missing(key) = pointer
                && self.inner.missing.admits(agent)
                && !failed.contains(&(agent.namespace.clone(), key))
                && let Err(error) = self.make_for(agent, now).await
            {
                if let DesireError::Store(_) = error {
                    agents
                        .iter()
                        .for_each(|agent| self.inner.missing.push(agent));
                    return Err(error);
                }
                failed.insert((agent.namespace.clone(), key));
                events::count_error();
                let chain = error_chain(&error);
                tracing::error!(event = "desired_state_failed", agent_id = %agent.id, error = chain);
            }
        }
        for agent in agents {
            let made = !matches!(
                self.pointer(&world, &agent, &agent.lock()),
                Pointer::Missing(_)
            );
            if made {
                self.redesire_and_wake(&agent, now);
            }
        }
        Ok(())
    }

    async fn make_for(&self, agent: &Arc<LiveAgent>, now: Timestamp) -> Result<(), DesireError> {
        let world = self.inner.world.get();
        let layers = {
            let state = agent.lock();
            world.layers_of(agent, &state)
        };
        if layers.is_empty() {
            return Ok(());
        }
        let made = self
            .content_of(&agent.namespace, agent.id, &layers, now)
            .await?;
        // No release looked at this combination: the agent came later, or has other labels now.
        if let Some(findings) = &made.findings
            && !world.is_forced(&agent.namespace, &layers)
            && let Some(errors) = CheckErrors::of_one(agent.id, findings)
        {
            return Err(DesireError::Checks {
                agent: agent.id,
                source: Box::new(errors),
            });
        }
        if made.findings.is_some() {
            self.inner.missing.note_made(agent.id);
        }
        let mut tx = self.inner.db.begin().await?;
        stored::put(&mut tx, &made.row).await?;
        tx.commit().await?;
        self.inner.contents.put(
            agent.namespace.clone(),
            desired::inputs_key(&layers),
            made.content,
        );
        Ok(())
    }

    /// Ends the claims of polling agents that were silent for longer than their liveness, and says how many it were.
    /// Ends also the sessions whose token was revoked or has expired.
    pub fn expire(&self, now: Timestamp) -> usize {
        let liveness = self.inner.options.liveness;
        self.heed_clock(now);
        let counts_from = self.inner.silence_counts_from_ms.load(Ordering::Relaxed);
        let counts_from = Timestamp::from_millisecond(counts_from).unwrap_or(Timestamp::MIN);
        let ended = self.inner.tokens.ended(now);
        let mut expired = 0;
        self.inner.registry.for_each(|agent| {
            let mut state = agent.lock();
            let Some(link) = &state.link else { return };
            let (polls, method) = (link.transport == Transport::Http, link.method);
            let silent = now.duration_since(agent.last_seen().max(counts_from));
            if matches!(method, AuthMethod::Token(id) if ended.contains(&id)) {
                // A connection ends its claims itself when it is closed.
                link.close(CloseReason::CredentialRevoked);
                if polls {
                    self.disconnect(agent, &mut state, DisconnectReason::CredentialRevoked, now);
                }
            } else if polls && liveness < silent.unsigned_abs() && silent.is_positive() {
                self.disconnect(agent, &mut state, DisconnectReason::Silent, now);
                expired += 1;
            }
        });
        expired
    }

    /// After a jump of the clock, silence counts from the jump on.
    fn heed_clock(&self, now: Timestamp) {
        // Half of it leaves room for an agent that was about to poll.
        let stride = self.inner.options.liveness / 2;
        let passed = self.inner.expired_at.pass(now, stride);
        if passed == Passed::On {
            return;
        }
        tracing::warn!(event = "clock_jumped", to = %now);
        let counts_from = &self.inner.silence_counts_from_ms;
        counts_from.store(now.as_millisecond(), Ordering::Relaxed);
        if passed == Passed::Back {
            self.inner.registry.for_each(|agent| {
                if now < agent.last_seen() {
                    agent.saw_message(now);
                }
            });
        }
    }

    /// Forgets what retention no longer keeps. A clock that jumped ahead is not believed before the next call. Call it again while it says that there was more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.inner.contents.drop_unused();
        if self.inner.swept_at.pass(now, SWEEP_STRIDE) == Passed::Ahead {
            tracing::warn!(event = "sweep_put_off", to = %now);
            return Ok(false);
        }
        let keep = Retention {
            offline_agents: self.inner.options.forget_offline_after,
            events: self.inner.options.keep_events,
            ..Retention::default()
        };
        let swept = sweep(&self.inner.db, &keep, now).await?;
        store::secrets::sweep(&self.inner.db).await?;
        let revisions = {
            // None of them is released meanwhile.
            let _serial = Arc::clone(&self.inner.change_lock).lock_owned().await;
            let keep = KeepRevisions {
                younger_than: self.inner.options.keep_revisions,
                per_config: self.inner.options.keep_revisions_per_config,
            };
            self.drop_refusals().await?;
            drop_revisions(&self.inner.db, keep, now).await?
        };
        for (_, id) in &swept.agents {
            if let Some(agent) = self.inner.registry.get(*id) {
                self.forget(&agent, &mut agent.lock(), now);
            }
        }
        Ok(!swept.agents.is_empty()
            || 0 < swept.events + swept.desired + swept.contents + swept.answers + revisions)
    }

    /// Writes everything that is only in memory: the last step of an orderly stop.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drain(&self, now: Timestamp) -> Result<(), StoreError> {
        self.inner.registry.for_each(|agent| {
            let mut state = agent.lock();
            self.disconnect(agent, &mut state, DisconnectReason::ServerStopping, now);
            if state.flags.desired_dirty || state.flags.offer_dirty {
                self.inner.pending.of(agent, &mut state, now);
            }
        });
        self.commit_reports().await?;
        self.flush_liveness().await?;
        Ok(())
    }

    /// Lets those who follow events know of the newest one.
    pub fn announce(&self, event: EventId) {
        self.inner.latest_event.send_if_modified(|latest| {
            let newer = *latest < event;
            *latest = event.max(*latest);
            newer
        });
    }

    fn note_database(&self, outcome: Result<(), &StoreError>) {
        let mut degraded = self.inner.degraded.lock();
        match outcome {
            Err(error) => {
                let chain = error_chain(error);
                if degraded.is_none() {
                    events::count_error();
                    tracing::error!(event = "database_degraded", error = chain);
                }
                *degraded = Some(chain);
            }
            Ok(()) => {
                if degraded.take().is_some() {
                    tracing::info!(event = "database_recovered");
                }
            }
        }
    }
}

/// What a flush writes of an agent; nothing while a report of it is not committed.
fn liveness_of(agent: &LiveAgent) -> Option<Liveness> {
    let mut state = agent.lock();
    let covered = !state.flags.unsaved && state.pending.is_none() && !state.flags.forgotten;
    if !covered || !std::mem::take(&mut state.flags.liveness_dirty) {
        return None;
    }
    Some(Liveness {
        namespace: agent.namespace.clone(),
        agent: agent.id,
        last_seen: agent.last_seen(),
        follows: state.reports,
        wire: Box::from(state.wire.to_bytes()),
        health_times: state.health_times.take(),
    })
}

/// An error and its causes in one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
