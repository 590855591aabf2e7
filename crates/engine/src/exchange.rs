//! One received message: the session's step, what it changes here, and what is sent back, in one locked step per agent.

use std::{sync::Arc, time::Duration};

use desired::Build;
use domain::{
    Answered, EventKind, ReportedHash, labels_of,
    model::{
        AgentDescription, ApplyState, AvailableComponents, Changes, CustomCapabilities,
        CustomMessage, DRY_RUN, DryRunAnswer, DryRunOutcome, Health, HealthReport,
        RemoteConfigStatus, WireState,
    },
};
use jiff::Timestamp;
use store::agents::HealthChange;

use crate::{
    agent::{Attachment, LiveAgent, State},
    builds::id_of,
    engine::Engine,
    events,
    outgoing::{Occasion, Outgoing},
};

/// What the session made of one received message.
#[derive(Debug, Default)]
pub struct Heard {
    /// What it changed.
    pub changes: Changes,
    /// The session lost track (a gap, or state it never saw) and wants everything again.
    pub full_state_needed: bool,
    /// The message spoke of the agent's remote config, changed or not.
    pub carried_status: bool,
    /// The agent's component inventory is not known under the hash it named.
    pub components_wanted: bool,
    /// Whether the agent takes deltas, where the message tells.
    pub takes_deltas: Option<bool>,
    /// The answer to a dry run that the message brought.
    pub dry_run: Option<DryRunAnswer>,
}

/// Why a received message got no ordinary reply.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError<E> {
    /// A newer connection speaks for the agent: this one is to be closed.
    #[error("another connection speaks for this agent now")]
    Superseded,
    /// Too much waits to be stored. The message was not taken; the agent should come back later.
    #[error("too many reports wait to be stored")]
    Overloaded {
        /// When to come back, at the earliest.
        retry_after: Duration,
    },
    /// The session could not read the message.
    #[error("the message cannot be read")]
    Decode(#[source] E),
}

/// The most bytes kept of a text in which an agent says what went wrong: of the error with its config status, and of
/// what an event repeats. The longest that is of use to a person; an agent may send megabytes.
const REPORTED_TEXT_MAX_BYTES: usize = 4 * 1024;

/// How long an agent is sent away when reports are not stored fast enough.
const OVERLOAD_RETRY: Duration = Duration::from_secs(30);

impl Engine {
    /// Takes one received message of an attached agent and says what to answer.
    ///
    /// `decode` runs the protocol's session over the agent's wire state; if it fails, what it left there (the number of
    /// the refused message) is kept, and if the engine is overloaded, the wire state stays as it was. A message that changes nothing touches no lock but the agent's own.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub fn exchange<E>(
        &self,
        attachment: &Attachment,
        now: Timestamp,
        decode: impl FnOnce(&mut WireState) -> Result<Heard, E>,
    ) -> Result<Outgoing, ExchangeError<E>> {
        let agent = &attachment.agent;
        let mut state = agent.lock();
        if state.epoch != attachment.epoch || state.flags.forgotten {
            return Err(ExchangeError::Superseded);
        }
        let mut wire = state.wire;
        let heard = match decode(&mut wire) {
            Ok(heard) => heard,
            Err(error) => {
                state.wire = wire;
                state.flags.liveness_dirty = true;
                return Err(ExchangeError::Decode(error));
            }
        };
        agent.saw_message(now);
        state.flags.liveness_dirty = true;
        if let Some(takes_deltas) = heard.takes_deltas {
            state.flags.takes_deltas = takes_deltas;
        }
        let asks_for_whole = heard
            .changes
            .custom_message
            .as_ref()
            .is_some_and(|message| note_delta_refused(agent, &mut state, message));
        let is_described = heard.changes.description.is_some();
        if heard.changes.is_only_liveness() {
            state.wire = wire;
            self.note_times(agent, &mut state, heard.changes.health, now);
        } else {
            if self.is_overloaded() {
                return Err(ExchangeError::Overloaded {
                    retry_after: OVERLOAD_RETRY,
                });
            }
            if heard.changes.certificate_request.is_some() {
                // CS-05. The sequence goes on, so that the refused message is not also taken for a lost one.
                state.wire.sequence_num = wire.sequence_num;
                return Ok(Outgoing::bad_request(
                    "this server does not issue certificates".to_owned(),
                ));
            }
            state.wire = wire;
            self.apply(agent, &mut state, heard.changes, now);
            self.inner.pending.weigh(&mut state);
        }
        if let Some(mut answer) = heard.dry_run {
            if let DryRunOutcome::Refused(why) | DryRunOutcome::Failed(why) = &mut answer.outcome {
                let vault = self.inner.world.get().vault.clone();
                vault.hide_text(&agent.namespace, why);
            }
            self.inner.questions.answer(agent.id, answer);
        }
        // What it is built of decides what it can be given. It is asked for with this answer, and not waited for longer.
        let is_known = is_described || !heard.full_state_needed;
        if state.flags.fresh && is_known && !heard.components_wanted {
            self.redesire(agent, &mut state, now);
        }
        state.flags.full_state_wanted |= heard.full_state_needed;
        state.flags.components_wanted |= heard.components_wanted;
        let occasion = if heard.carried_status || asks_for_whole {
            Occasion::StatusCarried
        } else {
            Occasion::Other
        };
        Ok(self.outgoing(agent, &mut state, occasion, now))
    }

    fn is_overloaded(&self) -> bool {
        let limits = &self.inner.options.limits;
        limits.pending_reports < self.inner.pending.len()
            || limits.pending_bytes < self.inner.pending.bytes()
    }

    fn apply(&self, agent: &Arc<LiveAgent>, state: &mut State, changes: Changes, now: Timestamp) {
        if let Some(reported) = &changes.available_components {
            self.note_build(agent, state, reported, now);
        }
        if let Some(description) = changes.description {
            self.describe(agent, state, description, now);
        }
        match changes.health {
            Some(HealthReport {
                tree: Some(mut tree),
                times,
            }) => {
                let vault = self.inner.world.get().vault.clone();
                vault.hide_in_health(&agent.namespace, &mut tree);
                self.note_health(agent, state, &tree, times.root_start_time_unix_nano(), now);
                state.health_times = None;
                self.inner.pending.of(agent, state, now).health =
                    Some(HealthChange { tree, times });
            }
            only_times => self.note_times(agent, state, only_times, now),
        }
        if let Some(mut status) = changes.remote_config_status {
            status.last_hash.truncate(ReportedHash::MAX_BYTES);
            let vault = self.inner.world.get().vault.clone();
            vault.hide_text(&agent.namespace, &mut status.error);
            clip(&mut status.error);
            self.note_config_status(agent, state, &status, now);
            self.inner
                .pending
                .of(agent, state, now)
                .remote_config_status = Some(status);
        }
        if let Some(mut config) = changes.effective_config {
            let vault = self.inner.world.get().vault.clone();
            vault.hide_in_files(&agent.namespace, &mut config);
            self.inner.pending.of(agent, state, now).effective_config = Some(config);
        }
        if changes.requests_uid && !state.flags.uid_unconfirmed {
            self.assign_uid(agent, state, now);
        }
        if let Some(message) = changes.custom_message {
            tracing::debug!(event = "custom_message", agent_id = %agent.id, capability = message.capability, kind = message.kind);
        }
        if let Some(custom) = &changes.custom_capabilities {
            state.flags.dry_runs = custom.contains(DRY_RUN);
        }
        let rest = (
            changes.package_statuses,
            changes.custom_capabilities,
            changes.available_components,
        );
        let settings = changes.connection_settings_status;
        if changes.capabilities.is_none()
            && matches!(rest, (None, None, None))
            && settings.is_none()
        {
            return;
        }
        let report = self.inner.pending.of(agent, state, now);
        let (packages, custom, components) = rest;
        report.capabilities = changes.capabilities.or(report.capabilities);
        report.package_statuses = packages.or(report.package_statuses.take());
        report.custom_capabilities = custom.or(report.custom_capabilities.take());
        report.available_components = components.or(report.available_components.take());
        report.connection_settings_status = settings.or(report.connection_settings_status.take());
    }

    fn describe(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        description: AgentDescription,
        now: Timestamp,
    ) {
        let labels = labels_of(&description);
        let labels_changed = labels != state.labels.reported;
        let report = self.inner.pending.of(agent, state, now);
        report.description = Some(description);
        if labels_changed {
            report.reported_labels = Some(labels.clone());
            state.labels.reported = labels;
            if !state.flags.fresh {
                self.redesire(agent, state, now);
            }
        }
    }

    /// What an agent is built of decides what it can be given.
    fn note_build(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        reported: &AvailableComponents,
        now: Timestamp,
    ) {
        let Some(components) = &reported.components else {
            return;
        };
        let build = Build::of(components).and_then(|build| self.inner.builds.share(build));
        if id_of(build.as_deref()) == id_of(state.reported_build.as_deref()) {
            return;
        }
        state.reported_build = build;
        if !state.flags.fresh {
            self.redesire(agent, state, now);
        }
    }

    fn note_health(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        tree: &Health,
        start: u64,
        now: Timestamp,
    ) {
        if state.healthy != Some(tree.healthy) {
            let kind = if tree.healthy {
                EventKind::AgentHealthy
            } else {
                EventKind::AgentUnhealthy
            };
            // The first word of a healthy agent is no change worth an event.
            if state.healthy.is_some() || !tree.healthy {
                let facts = [
                    ("error", clipped(&tree.last_error)),
                    ("status", clipped(&tree.status)),
                ];
                self.inner.pending.push_event(
                    agent,
                    state,
                    events::of_agent(agent, kind, now, facts),
                );
            }
            state.healthy = Some(tree.healthy);
        }
        self.note_start(agent, state, start, now);
    }

    /// Keeps times that changed alone for the next liveness flush.
    fn note_times(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        health: Option<HealthReport>,
        now: Timestamp,
    ) {
        if let Some(report) = health {
            self.note_start(agent, state, report.times.root_start_time_unix_nano(), now);
            state.health_times = Some(report.times);
        }
    }

    fn note_start(&self, agent: &Arc<LiveAgent>, state: &mut State, start: u64, now: Timestamp) {
        if start == 0 || start == state.start_time_unix_nano {
            return;
        }
        if state.start_time_unix_nano != 0 {
            let facts = [("start_time_unix_nano", start.to_string())];
            let event = events::of_agent(agent, EventKind::AgentRestarted, now, facts);
            self.inner.pending.push_event(agent, state, event);
        }
        state.start_time_unix_nano = start;
    }

    fn note_config_status(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        status: &RemoteConfigStatus,
        now: Timestamp,
    ) {
        let hash = ReportedHash::new(status.last_hash.clone());
        if let Some(offered) = &mut state.offered
            && hash.names(&offered.hash)
        {
            events::delta_taken(std::mem::take(&mut offered.saved_bytes));
        }
        let about_offer = state
            .offered
            .filter(|offered| !offered.settled && hash.names(&offered.hash));
        state.answered = Some(Answered {
            hash,
            state: status.state,
        });
        let Some(mut offered) = about_offer else {
            return;
        };
        let facts = [
            ("config_hash", offered.hash.to_string()),
            ("error", status.error.clone()),
        ];
        let kind = match status.state {
            ApplyState::Applied => {
                events::config_applied(agent, &offered.hash, state.desired_since_ms, now);
                EventKind::ConfigApplied
            }
            ApplyState::Failed => {
                events::config_failed(agent, &offered.hash, &status.error);
                EventKind::ConfigFailed
            }
            ApplyState::Unset | ApplyState::Applying => return,
        };
        offered.settled = true;
        state.offered = Some(offered);
        self.inner
            .pending
            .push_event(agent, state, events::of_agent(agent, kind, now, facts));
    }
}

/// Whether a message asks for the whole of what its agent was last offered. It is not sent as a delta again.
fn note_delta_refused(agent: &LiveAgent, state: &mut State, message: &CustomMessage) -> bool {
    if message.capability != CustomCapabilities::DELTA || message.kind != CustomMessage::WHOLE {
        return false;
    }
    let Some(offered) = &mut state.offered else {
        return false;
    };
    if message.data != offered.hash.as_bytes() {
        return false;
    }
    if std::mem::take(&mut offered.saved_bytes) != 0 {
        events::delta_refused(agent, &offered.hash);
    }
    offered.whole = true;
    true
}

/// Cuts a text off at [`REPORTED_TEXT_MAX_BYTES`], between two characters.
pub(crate) fn clip(text: &mut String) {
    text.truncate(text.floor_char_boundary(REPORTED_TEXT_MAX_BYTES));
    text.shrink_to_fit();
}

fn clipped(text: &str) -> String {
    text[..text.floor_char_boundary(REPORTED_TEXT_MAX_BYTES)].to_owned()
}
