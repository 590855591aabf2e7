//! How a connection comes to speak for an agent, and how that ends.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use domain::{AgentId, Approval, Epoch, EventKind, LabelsBySource, model::InstanceUid};
use jiff::Timestamp;
use store::agents::{Attachment as StoredAttachment, AttachmentChange, NewAgent};

use crate::{
    agent::{Attachment, Flags, Link, LiveAgent, State, Transport, Twin},
    engine::Engine,
    events,
    mailbox::Mailbox,
    options::ApprovalMode,
    principal::{AuthMethod, Principal},
};

/// A connection that wants to speak for an agent.
#[derive(Clone)]
pub struct AttachRequest<'a> {
    /// Who the session has proved to be.
    pub principal: &'a Principal,
    /// The uid that the agent uses.
    pub uid: InstanceUid,
    /// How to wake the connection; `None` for plain HTTP.
    pub mailbox: Option<&'a Arc<Mailbox>>,
    /// The connection's kind.
    pub transport: Transport,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// The answer to an [`AttachRequest`].
#[derive(Debug)]
pub enum Attach {
    /// The connection speaks for the agent.
    Ready(Attachment),
    /// Another connection speaks for it: find out whether that one is alive, then [`Engine::settle`].
    Contested(Contest),
    /// The connection may not speak for this agent.
    Refused(Refusal),
}

/// Why a connection may not speak for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credential is bound to another uid.
    #[error("the credential belongs to another instance_uid")]
    OtherUid,
    /// The token with which the session was opened was revoked or has expired since.
    #[error("the credential is no longer valid")]
    CredentialEnded,
    /// The server keeps as many agents as it may.
    #[error("the server has reached its limit of agents")]
    TooManyAgents,
}

/// Two connections that use the same uid.
pub struct Contest {
    agent: Arc<LiveAgent>,
    principal: Principal,
    old: Arc<Mailbox>,
    mailbox: Option<Arc<Mailbox>>,
    transport: Transport,
    peer: SocketAddr,
}

/// Why an agent is no longer attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// It said goodbye.
    AgentDisconnect,
    /// Its connection was closed or lost.
    ConnectionClosed,
    /// It was silent for longer than its liveness.
    Silent,
    /// It did not read what was written to it.
    SlowReader,
    /// It broke the protocol or a limit.
    ProtocolViolation,
    /// This server is stopping.
    ServerStopping,
    /// Its credential is no longer valid.
    CredentialRevoked,
    /// An operator deleted it.
    AgentDeleted,
}

impl DisconnectReason {
    /// The stable text in events, logs and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentDisconnect => "agent_disconnect",
            Self::ConnectionClosed => "connection_closed",
            Self::Silent => "silent",
            Self::SlowReader => "slow_reader",
            Self::ProtocolViolation => "protocol_violation",
            Self::ServerStopping => "server_stopping",
            Self::CredentialRevoked => "credential_revoked",
            Self::AgentDeleted => "agent_deleted",
        }
    }
}

impl Contest {
    /// Asks the connection that speaks for the agent now whether its peer still answers, for at most `timeout`.
    pub async fn probe(&self, timeout: Duration) -> bool {
        self.old.probe(timeout).await
    }
}

impl fmt::Debug for Contest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contest")
            .field("agent", &self.agent.id)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Lets a connection speak for an agent. Memory only: an unknown agent is stored with the next group commit.
    #[must_use]
    pub fn attach(&self, request: &AttachRequest<'_>, now: Timestamp) -> Attach {
        if request
            .principal
            .bound_uid
            .is_some_and(|bound| bound != request.uid)
        {
            return Attach::Refused(Refusal::OtherUid);
        }
        if let AuthMethod::Token(id) = request.principal.method
            && self.inner.tokens.has_ended(id, now)
        {
            return Attach::Refused(Refusal::CredentialEnded);
        }
        let namespace = &request.principal.namespace;
        if self.inner.options.limits.agents <= self.inner.registry.len_estimate()
            && self.inner.registry.find(namespace, request.uid).is_none()
        {
            return Attach::Refused(Refusal::TooManyAgents);
        }
        let (agent, _) = self
            .inner
            .registry
            .find_or_insert(namespace, request.uid, || {
                self.new_agent(request.principal, request.uid, now)
            });
        let mut state = agent.lock();
        if state.flags.uid_unconfirmed && state.uid == request.uid {
            self.confirm_uid(&agent, &mut state);
        }
        if let Some(link) = &state.link {
            match (&link.mailbox, request.mailbox) {
                // The same connection, or the next poll of the same agent: the claim goes on.
                (Some(old), Some(new)) if Arc::ptr_eq(old, new) => return ready(&agent, &state),
                // Unless another credential speaks than before: its labels and its end count from now on.
                (None, None) if is_proved_alike(link, &state, request.principal) => {
                    return ready(&agent, &state);
                }
                // Nobody can be asked behind a polling claim; whoever comes takes over.
                (None, _) => {}
                (Some(old), _) => {
                    let old = Arc::clone(old);
                    drop(state);
                    return Attach::Contested(Contest::new(agent, old, request));
                }
            }
        }
        self.claim(&agent, &mut state, request, now);
        ready(&agent, &state)
    }

    /// Ends a contest: where the old connection is alive the newcomer is another agent and is given a uid of its own,
    /// else it takes over. `None`: another connection has taken over meanwhile; attach again.
    ///
    /// # Errors
    /// [`Refusal::TooManyAgents`]: it would be one agent too many.
    pub fn settle(
        &self,
        contest: Contest,
        alive: bool,
        now: Timestamp,
    ) -> Result<Option<Attachment>, Refusal> {
        let Contest {
            agent,
            principal,
            old,
            mailbox,
            transport,
            peer,
        } = contest;
        let request = |uid| AttachRequest {
            principal: &principal,
            uid,
            mailbox: mailbox.as_ref(),
            transport,
            peer,
        };
        if !alive {
            let mut state = agent.lock();
            let holder = state.link.as_ref().and_then(|link| link.mailbox.as_ref());
            // Somebody else took over while the old connection was asked, and is to be asked in turn: of two that
            // come at once, the one that was settled last is not the newer one.
            if holder.is_some_and(|holder| !Arc::ptr_eq(holder, &old)) {
                return Ok(None);
            }
            let uid = state.uid;
            self.claim(&agent, &mut state, &request(uid), now);
            let epoch = state.epoch;
            drop(state);
            return Ok(Some(Attachment { agent, epoch }));
        }
        let twin = match known_twin(&agent, &principal, peer) {
            Some(twin) => twin,
            None => self.new_twin(&agent, &principal, peer, now)?,
        };
        let mut state = twin.lock();
        let uid = state.uid;
        let polls_on = state
            .link
            .as_ref()
            .is_some_and(|link| link.mailbox.is_none() && mailbox.is_none());
        if !polls_on {
            self.claim(&twin, &mut state, &request(uid), now);
        }
        let epoch = state.epoch;
        drop(state);
        Ok(Some(Attachment { agent: twin, epoch }))
    }

    fn new_twin(
        &self,
        agent: &Arc<LiveAgent>,
        principal: &Principal,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Result<Arc<LiveAgent>, Refusal> {
        if self.inner.options.limits.agents <= self.inner.registry.len_estimate() {
            return Err(Refusal::TooManyAgents);
        }
        let uid = self.new_uid(now);
        let (twin, _) = self
            .inner
            .registry
            .find_or_insert(&principal.namespace, uid, || {
                self.new_agent(principal, uid, now)
            });
        tracing::warn!(event = "duplicate_instance_uid", agent_id = %agent.id, new_agent_id = %twin.id, peer = %peer);
        twin.lock().flags.uid_unconfirmed = true;
        agent.lock().twin = Some(Box::new(Twin {
            agent: Arc::clone(&twin),
            method: principal.method,
            ip: peer.ip(),
        }));
        Ok(twin)
    }

    /// Ends a claim. One that was superseded ends nothing.
    pub fn detach(&self, attachment: &Attachment, reason: DisconnectReason, now: Timestamp) {
        let agent = &attachment.agent;
        let mut state = agent.lock();
        if state.epoch == attachment.epoch {
            self.disconnect(agent, &mut state, reason, now);
        }
    }

    pub(crate) fn disconnect(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        reason: DisconnectReason,
        now: Timestamp,
    ) {
        if state.unlink().is_none() {
            return;
        }
        // Commands are for the process that was there; a new connection may be another one.
        state.queue = None;
        self.inner.questions.close(agent.id);
        events::agent_disconnected(
            agent,
            reason.as_str(),
            self.inner.connection_lines.admit(now),
        );
        if state.flags.forgotten {
            return;
        }
        let event = events::of_agent(
            agent,
            EventKind::AgentDisconnected,
            now,
            [("reason", reason.as_str().to_owned())],
        );
        self.inner.pending.push_event(agent, state, event);
        self.inner.pending.of(agent, state, now).attachment = Some(AttachmentChange::Detached {
            at: now,
            reason: reason.as_str().to_owned(),
        });
    }

    fn claim(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        request: &AttachRequest<'_>,
        now: Timestamp,
    ) {
        if state.unlink().is_some() {
            events::agent_replaced();
        }
        state.epoch = Epoch(now.as_microsecond().max(state.epoch.0 + 1));
        state.link = Some(Link {
            mailbox: request.mailbox.cloned(),
            transport: request.transport,
            method: request.principal.method,
        });
        if let Some(mailbox) = request.mailbox {
            mailbox.agent_attached();
        }
        // What was asked of the agent over the old connection may be lost with it.
        state.wire.reconnected();
        state.flags.takes_deltas = false;
        agent.saw_message(now);
        let shown = self.inner.connection_lines.admit(now);
        events::agent_connected(agent, request.transport, request.peer, shown);
        let transport = request.transport.as_str().to_owned();
        let facts = [
            ("transport", transport.clone()),
            ("remote_addr", request.peer.to_string()),
        ];
        let event = events::of_agent(agent, EventKind::AgentConnected, now, facts);
        self.inner.pending.push_event(agent, state, event);
        let remote_addr = request.peer.to_string();
        let attached = StoredAttachment {
            node: self.inner.node.clone(),
            transport,
            remote_addr,
            at: now,
        };
        let report = self.inner.pending.of(agent, state, now);
        report.attachment = Some(AttachmentChange::Attached(attached));
        if state.labels.credential != request.principal.labels {
            let labels = request.principal.labels.clone();
            self.inner.pending.of(agent, state, now).credential_labels = Some(labels.clone());
            state.labels.credential = labels;
            self.redesire(agent, state, now);
        }
    }

    fn new_agent(&self, principal: &Principal, uid: InstanceUid, now: Timestamp) -> Arc<LiveAgent> {
        let id = AgentId::from_parts(unix_ms(now), self.random());
        let approval = match self.inner.options.approval {
            ApprovalMode::Automatic => Approval::Approved,
            ApprovalMode::Manual => Approval::Pending,
        };
        let mut state = State::new(uid, approval);
        state.labels = LabelsBySource {
            credential: principal.labels.clone(),
            ..LabelsBySource::default()
        };
        state.flags = Flags {
            unsaved: true,
            fresh: true,
            ..Flags::default()
        };
        let agent = LiveAgent::new(id, principal.namespace.clone(), now, state);
        let mut state = agent.lock();
        let report = self.inner.pending.of(&agent, &mut state, now);
        report.created = Some(NewAgent { uid, approval });
        report.credential_labels = Some(principal.labels.clone());
        let event = events::of_agent(
            &agent,
            EventKind::AgentCreated,
            now,
            [("instance_uid", uid.to_string())],
        );
        self.inner.pending.push_event(&agent, &mut state, event);
        drop(state);
        agent
    }

    /// Gives an agent that asked for it a uid of ours; it stays known under the old one until it uses the new.
    pub(crate) fn assign_uid(&self, agent: &Arc<LiveAgent>, state: &mut State, now: Timestamp) {
        let uid = self.new_uid(now);
        self.inner.registry.add_uid(uid, agent);
        state.replaced_uid = Some(std::mem::replace(&mut state.uid, uid));
        state.flags.uid_unconfirmed = true;
        self.inner.pending.of(agent, state, now).uid = Some(uid);
        // A template may have used the old one.
        self.redesire(agent, state, now);
    }

    fn confirm_uid(&self, agent: &LiveAgent, state: &mut State) {
        state.flags.uid_unconfirmed = false;
        if let Some(old) = state.replaced_uid.take() {
            self.inner.registry.remove_uid(old, agent);
        }
    }

    fn new_uid(&self, now: Timestamp) -> InstanceUid {
        InstanceUid::v7(unix_ms(now), self.random())
    }
}

/// The agent that an earlier contest made of the same newcomer, if it has not come to use the uid that it was given.
fn known_twin(
    agent: &LiveAgent,
    principal: &Principal,
    peer: SocketAddr,
) -> Option<Arc<LiveAgent>> {
    let twin = {
        let state = agent.lock();
        let known = state.twin.as_ref()?;
        let same = known.method == principal.method && known.ip == peer.ip();
        same.then(|| Arc::clone(&known.agent))?
    };
    let state = twin.lock();
    // Behind a stream there is somebody: a second newcomer from the same place.
    let free = state.flags.uid_unconfirmed && !state.flags.forgotten && !state.is_streaming();
    drop(state);
    free.then_some(twin)
}

/// Whether a principal is the one under which the link was claimed, as far as the agent can tell them apart.
fn is_proved_alike(link: &Link, state: &State, principal: &Principal) -> bool {
    link.method == principal.method && state.labels.credential == principal.labels
}

fn ready(agent: &Arc<LiveAgent>, state: &State) -> Attach {
    Attach::Ready(Attachment {
        agent: Arc::clone(agent),
        epoch: state.epoch,
    })
}

fn unix_ms(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}

impl Contest {
    fn new(agent: Arc<LiveAgent>, old: Arc<Mailbox>, request: &AttachRequest<'_>) -> Self {
        Self {
            agent,
            principal: request.principal.clone(),
            old,
            mailbox: request.mailbox.cloned(),
            transport: request.transport,
            peer: request.peer,
        }
    }
}
