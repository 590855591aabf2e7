//! One agent as this node knows it in memory, and the claim that a connection has on it.
//!
//! Everything here is bounded per agent: contents are shared, descriptions and health trees are in the database.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use domain::{
    AgentId, Answered, Approval, ContentHash, Epoch, Labels, LabelsBySource, Namespace,
    model::{AgentCapabilities, CustomMessage, HealthTimes, InstanceUid, WireState},
};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use crate::{
    builds::KnownBuild,
    content::DesiredContent,
    dry_run::AskedContent,
    mailbox::{CloseReason, Mailbox},
    pending::Pending,
    principal::AuthMethod,
};

/// How an agent reaches this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// Plain HTTP polling; it has no connection between two requests.
    Http,
    /// A gRPC stream.
    Grpc,
}

impl Transport {
    /// The stable lower-case name in logs, storage and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// A live or remembered agent. It outlives its connections.
pub struct LiveAgent {
    /// The stable id.
    pub(crate) id: AgentId,
    /// The tenant.
    pub(crate) namespace: Namespace,
    /// Milliseconds since 1970 of the last message; outside the lock so that it can be read while a fleet is scanned.
    last_seen_ms: AtomicI64,
    state: Mutex<State>,
}

/// What changes about a [`LiveAgent`], under its lock.
pub(crate) struct State {
    pub uid: InstanceUid,
    /// The uid before the one this server assigned; known until the agent uses the new one.
    pub replaced_uid: Option<InstanceUid>,
    pub wire: WireState,
    /// The newest claim; an [`Attachment`] with an older one no longer speaks for the agent.
    pub epoch: Epoch,
    /// How many reports of it were handed to the store.
    pub reports: u64,
    pub link: Option<Link>,
    pub labels: LabelsBySource,
    pub approval: Approval,
    pub healthy: Option<bool>,
    /// The start time that its health names, in nanoseconds since 1970; 0: it never said.
    pub start_time_unix_nano: u64,
    /// Times that changed since the last flush.
    pub health_times: Option<HealthTimes>,
    pub answered: Option<Answered>,
    /// The agent that was last made of a newcomer under this one's uid.
    pub twin: Option<Box<Twin>>,
    pub desired: Option<Arc<DesiredContent>>,
    /// What it says that it is built of.
    pub reported_build: Option<Arc<KnownBuild>>,
    /// Since when `desired` stands, in milliseconds since 1970: the start of its convergence.
    pub desired_since_ms: i64,
    /// What was last sent, in which claim.
    pub offered: Option<Offered>,
    #[expect(
        clippy::box_collection,
        reason = "8 bytes instead of 32 for the many agents without a queue"
    )]
    pub queue: Option<Box<VecDeque<Queued>>>,
    /// What the next group commit writes.
    pub pending: Option<Box<Pending>>,
    pub flags: Flags,
}

/// One offer of a config that left the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    pub hash: ContentHash,
    pub epoch: Epoch,
    /// When it was first sent, in milliseconds since 1970.
    pub at_ms: i64,
    /// How often it was sent in this claim.
    pub sends: u16,
    /// When it was last sent, in milliseconds since 1970.
    pub sent_ms: i64,
    /// Its outcome was counted; a resend or a repeated status counts nothing more.
    pub settled: bool,
    /// The agent could not have it from a delta: it is sent whole from now on.
    pub whole: bool,
    /// What was saved by sending it as a delta, until the agent answers; 0: it was sent whole.
    pub saved_bytes: u32,
}

impl Offered {
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.at_ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// An agent made because two used one uid; until it uses the uid that it was given, the same newcomer gets it again.
pub(crate) struct Twin {
    pub agent: Arc<LiveAgent>,
    pub method: AuthMethod,
    /// Where it comes from; the port of an agent that polls changes.
    pub ip: IpAddr,
}

/// Small facts about an agent that need no place of their own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    /// Not in the database yet.
    pub unsaved: bool,
    /// Its labels are not known yet, so nothing was decided for it.
    pub fresh: bool,
    /// What it should run differs from what the database was told.
    pub desired_dirty: bool,
    /// What it was sent differs from what the database was told.
    pub offer_dirty: bool,
    /// Last-seen time, wire state or health times differ from what is stored.
    pub liveness_dirty: bool,
    /// Ask for the full state with the next message.
    pub full_state_wanted: bool,
    /// Ask for the component inventory with the next message.
    pub components_wanted: bool,
    /// An operator asked for a config to be tried again.
    pub retry: bool,
    /// `State::uid` was assigned by this server and the agent has not used it yet.
    pub uid_unconfirmed: bool,
    /// It said over this connection that it takes deltas.
    pub takes_deltas: bool,
    /// It announces that it takes dry runs.
    pub dry_runs: bool,
    /// Left the registry; nothing is written for it any more.
    pub forgotten: bool,
}

/// The connection through which an agent is reached.
pub(crate) struct Link {
    /// `None` for plain HTTP, which cannot be woken.
    pub mailbox: Option<Arc<Mailbox>>,
    pub transport: Transport,
    /// How its session was proved; it ends with its token.
    pub method: AuthMethod,
}

impl Link {
    /// Has the connection closed, if there is one.
    pub fn close(&self, reason: CloseReason) {
        if let Some(mailbox) = &self.mailbox {
            mailbox.close(reason);
        }
    }
}

/// Something that waits for an agent in order.
#[derive(Clone, Debug)]
pub(crate) enum Queued {
    Command(Command),
    Custom(CustomMessage),
    DryRun(AskedContent),
}

/// A command of the server. It travels alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Restart the managed process.
    Restart,
}

/// A connection's claim to speak for an agent, from attaching to detaching or to being superseded.
#[derive(Clone)]
pub struct Attachment {
    pub(crate) agent: Arc<LiveAgent>,
    pub(crate) epoch: Epoch,
}

impl LiveAgent {
    pub(crate) fn new(
        id: AgentId,
        namespace: Namespace,
        last_seen: Timestamp,
        state: State,
    ) -> Arc<Self> {
        let last_seen_ms = AtomicI64::new(last_seen.as_millisecond());
        Arc::new(Self {
            id,
            namespace,
            last_seen_ms,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn saw_message(&self, now: Timestamp) {
        self.last_seen_ms
            .store(now.as_millisecond(), Ordering::Relaxed);
    }

    pub(crate) fn last_seen(&self) -> Timestamp {
        let ms = self.last_seen_ms.load(Ordering::Relaxed);
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl State {
    /// The state of an agent of which nothing is known but its uid.
    pub fn new(uid: InstanceUid, approval: Approval) -> Self {
        Self {
            uid,
            replaced_uid: None,
            wire: WireState::default(),
            epoch: Epoch::default(),
            reports: 0,
            link: None,
            labels: LabelsBySource::default(),
            approval,
            healthy: None,
            start_time_unix_nano: 0,
            health_times: None,
            answered: None,
            twin: None,
            desired: None,
            reported_build: None,
            desired_since_ms: 0,
            offered: None,
            queue: None,
            pending: None,
            flags: Flags::default(),
        }
    }

    /// The build by which it is decided what this agent can be given; none for one that takes no configs.
    pub fn build(&self) -> Option<&Arc<KnownBuild>> {
        let takes_configs = AgentCapabilities::ACCEPTS_REMOTE_CONFIG;
        let can = self.wire.capabilities;
        // It says what it can with its next report where that is not known.
        let is_for_it = can.is_empty() || can.contains(takes_configs);
        self.reported_build.as_ref().filter(|_| is_for_it)
    }

    /// The labels that selectors match. Most agents have only reported ones, which are then not copied.
    pub fn effective_labels(&self) -> Cow<'_, Labels> {
        if self.labels.operator.is_empty() && self.labels.credential.is_empty() {
            return Cow::Borrowed(&self.labels.reported);
        }
        Cow::Owned(self.labels.effective())
    }

    /// Whether the agent can be asked for a dry run. It is shown a config, secrets included, so it must be one that may
    /// be offered some.
    pub fn is_askable(&self) -> bool {
        let accepts = AgentCapabilities::ACCEPTS_REMOTE_CONFIG;
        self.link.is_some()
            && self.flags.dry_runs
            && self.approval == Approval::Approved
            && self.wire.capabilities.contains(accepts)
    }

    /// Wakes the connection that serves this agent, if one can be woken.
    pub fn wake(&self, agent: &Arc<LiveAgent>) {
        if let Some(mailbox) = self.link.as_ref().and_then(|link| link.mailbox.as_ref()) {
            mailbox.wake(&Attachment {
                agent: Arc::clone(agent),
                epoch: self.epoch,
            });
        }
    }

    /// Whether the agent's link is one that can be pushed to.
    pub fn is_streaming(&self) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.mailbox.is_some())
    }

    /// Takes the link away and lets its mailbox know.
    pub fn unlink(&mut self) -> Option<Link> {
        let link = self.link.take()?;
        if let Some(mailbox) = &link.mailbox {
            mailbox.agent_detached();
        }
        Some(link)
    }
}

impl Attachment {
    /// The agent's stable id.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.agent.id
    }

    /// The uid under which the agent is known now; after [`crate::Outgoing::new_uid`] that is the new one.
    #[must_use]
    pub fn uid(&self) -> InstanceUid {
        self.agent.lock().uid
    }

    /// Whether both are the same claim on the same agent.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.agent, &other.agent) && self.epoch == other.epoch
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("agent", &self.agent.id)
            .field("epoch", &self.epoch)
            .finish()
    }
}
