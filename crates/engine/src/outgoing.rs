//! What is to be sent to an agent next, decided under the agent's lock.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use domain::{
    Answered, OfferDecision, OfferQuestion,
    model::{ApplyState, CustomMessage, InstanceUid},
    offer_decision,
};
use jiff::Timestamp;

use crate::{
    agent::{Attachment, Command, LiveAgent, Offered, Queued, State, Transport},
    content::DesiredContent,
    delta::Delta,
    dry_run::AskedContent,
    engine::Engine,
    events,
};

/// How often one config is sent in a claim as the agent's messages call for it (CF-07). An agent that names another hash
/// in each status would else be sent it with each.
const QUICK_SENDS: u16 = 3;
/// The time between two sends after that.
const RESEND_PAUSE: Duration = Duration::from_secs(30);

/// What one message to an agent carries beside its acknowledgement.
///
/// A command travels alone: when `command` is set, everything else is empty, and `more` says that more waits.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The uid that the agent is to use from now on.
    pub new_uid: Option<InstanceUid>,
    /// Ask for the full state (`ReportFullState`).
    pub full_state: bool,
    /// Ask for the component inventory (`ReportAvailableComponents`).
    pub components_wanted: bool,
    /// The config offered.
    pub config: Option<Arc<DesiredContent>>,
    /// The config's offer as what changed, to be sent in place of the whole.
    pub delta: Option<Bytes>,
    /// A command.
    pub command: Option<Command>,
    /// A custom message; a message carries at most one, this or a dry run.
    pub custom: Option<CustomMessage>,
    /// A question whether the agent's program would take a content.
    pub dry_run: Option<AskedContent>,
    /// The message just received could not be processed: answer with `BadRequest` and this text, and nothing else.
    pub error: Option<String>,
    /// Something else waits for this agent: take again after this message.
    pub more: bool,
}

impl Outgoing {
    /// Whether there is nothing to send but an acknowledgement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let flags = self.full_state || self.components_wanted || self.more;
        let content = self.config.is_some() || self.command.is_some();
        let message = self.custom.is_some() || self.dry_run.is_some();
        !flags && !content && !message && self.new_uid.is_none() && self.error.is_none()
    }

    pub(crate) fn bad_request(text: String) -> Self {
        Self {
            error: Some(text),
            ..Self::default()
        }
    }
}

/// What the message that is being answered says about resending an offer that was sent before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The agent spoke of its config: a mismatch must be answered with the config (CF-07).
    StatusCarried,
    /// Any other message, or a push.
    Other,
}

impl Engine {
    /// Takes what waits for an agent whose connection was woken. Empty when the claim was superseded.
    #[must_use]
    pub fn take(&self, attachment: &Attachment, now: Timestamp) -> Outgoing {
        let mut state = attachment.agent.lock();
        if state.epoch != attachment.epoch || state.flags.forgotten {
            return Outgoing::default();
        }
        self.outgoing(&attachment.agent, &mut state, Occasion::Other, now)
    }

    pub(crate) fn outgoing(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        occasion: Occasion,
        now: Timestamp,
    ) -> Outgoing {
        if let Some(command) = take_command(state) {
            return Outgoing {
                command: Some(command),
                more: true,
                ..Outgoing::default()
            };
        }
        let (config, delta) = self.due_config(agent, state, occasion, now).unzip();
        let (custom, dry_run) = match self.take_message(state) {
            Some(Queued::Custom(message)) => (Some(message), None),
            Some(Queued::DryRun(question)) => (None, Some(question)),
            Some(Queued::Command(_)) | None => (None, None),
        };
        Outgoing {
            new_uid: state.flags.uid_unconfirmed.then_some(state.uid),
            full_state: std::mem::take(&mut state.flags.full_state_wanted),
            components_wanted: std::mem::take(&mut state.flags.components_wanted),
            config,
            delta: delta.flatten(),
            custom,
            dry_run,
            command: None,
            error: None,
            more: state.queue.is_some(),
        }
    }

    /// The next in the queue, if it travels as a custom message.
    fn take_message(&self, state: &mut State) -> Option<Queued> {
        self.drop_closed_questions(state);
        let queue = state.queue.as_mut()?;
        let message = match queue.front()? {
            Queued::Custom(_) | Queued::DryRun(_) => queue.pop_front(),
            Queued::Command(_) => None,
        };
        drop_empty(state);
        message
    }

    /// The config that is to be offered now, noted as offered, and its offer as a delta if it is to be sent as one.
    fn due_config(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        occasion: Occasion,
        now: Timestamp,
    ) -> Option<(Arc<DesiredContent>, Option<Bytes>)> {
        let desired = state.desired.as_ref()?;
        let retry = state.flags.retry;
        if self.decide(agent, state, retry) != OfferDecision::Offer {
            return None;
        }
        let desired = Arc::clone(desired);
        let before = state.offered.filter(|offered| offered.hash == desired.hash);
        // On a stream nothing that was written is lost while the claim lasts; a polled agent may have missed its reply.
        let sent_already = before.is_some_and(|offered| offered.epoch == state.epoch) && !retry;
        let streaming = state
            .link
            .as_ref()
            .is_some_and(|link| link.transport != Transport::Http);
        if sent_already && streaming && occasion == Occasion::Other {
            return None;
        }
        let earlier = before.filter(|_| sent_already);
        if earlier.is_some_and(|offered| is_too_soon(&offered, now)) {
            return None;
        }
        let settled = before.is_some_and(|offered| offered.settled) && !retry;
        let first = before.is_none() || retry;
        let at_ms = before
            .filter(|_| !first)
            .map_or(now.as_millisecond(), |offered| offered.at_ms);
        // Once in a claim: whatever has to be sent again is sent whole, so that nothing depends on the delta.
        let whole = before.is_some_and(|offered| offered.whole);
        let delta = match (earlier, whole) {
            (None, false) => self.delta_for(agent, state, &desired),
            _ => None,
        };
        let saved_bytes = delta.as_ref().map_or(0, |delta| delta.saved_bytes);
        if delta.is_some() && first {
            events::delta_sent();
        }
        state.offered = Some(Offered {
            hash: desired.hash,
            epoch: state.epoch,
            at_ms,
            sends: earlier.map_or(1, |offered| offered.sends.saturating_add(1)),
            sent_ms: now.as_millisecond(),
            settled,
            whole,
            saved_bytes,
        });
        state.flags.retry = false;
        if first {
            state.flags.offer_dirty = true;
            self.inner.standings_dirty.store(true, Ordering::Relaxed);
            events::config_sent(agent, &desired.hash);
        }
        Some((desired, delta.map(|delta| delta.encoded)))
    }

    /// What an agent should run as a delta against what it says that it runs, if it takes that and there is one.
    fn delta_for(
        &self,
        agent: &LiveAgent,
        state: &State,
        desired: &Arc<DesiredContent>,
    ) -> Option<Delta> {
        let runs = |answered: &&Answered| answered.state == ApplyState::Applied;
        let answered = state.answered.as_ref().filter(|_| state.flags.takes_deltas);
        let base = answered.filter(runs)?.hash.as_content()?;
        self.find_delta(&agent.namespace, base, desired)
    }

    /// Decides on an offer; the world is looked at only when one could be due.
    pub(crate) fn decide(&self, agent: &LiveAgent, state: &State, retry: bool) -> OfferDecision {
        let question = OfferQuestion {
            desired: state.desired.as_ref().map(|content| &content.hash),
            answered: state.answered.as_ref().filter(|_| !retry),
            capabilities: state.wire.capabilities,
            approval: state.approval,
            held: false,
        };
        match offer_decision(&question) {
            OfferDecision::Offer
                if self
                    .inner
                    .world
                    .get()
                    .is_held(&agent.namespace, &state.effective_labels()) =>
            {
                OfferDecision::Held
            }
            decision => decision,
        }
    }
}

/// Whether an offer was sent so often without the agent naming its hash that it has to wait.
fn is_too_soon(offered: &Offered, now: Timestamp) -> bool {
    let since_ms = now.as_millisecond().abs_diff(offered.sent_ms);
    QUICK_SENDS <= offered.sends && u128::from(since_ms) < RESEND_PAUSE.as_millis()
}

fn take_command(state: &mut State) -> Option<Command> {
    let queue = state.queue.as_mut()?;
    let Some(Queued::Command(command)) = queue.front() else {
        return None;
    };
    let command = *command;
    queue.pop_front();
    drop_empty(state);
    Some(command)
}

/// Gives up a queue in which nothing waits.
pub(crate) fn drop_empty(state: &mut State) {
    if state.queue.as_ref().is_some_and(|queue| queue.is_empty()) {
        state.queue = None;
    }
}
