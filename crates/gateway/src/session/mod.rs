//! What a connection does with messages, whatever carries them: whose message it is, the engine's step, the reply.

mod agents;
mod contests;
mod encode;
pub(crate) mod grpc;
mod meter;
pub(crate) mod plain;
mod seats;
pub(crate) mod websocket;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use engine::{
    Attach, AttachRequest, Attachment, Contest, DisconnectReason, ExchangeError, Heard, Mailbox,
    Outgoing, Principal, Transport,
};
use opamp::{
    Malformed, dry_run,
    model::{CustomMessage, DryRunAnswer, InstanceUid, WireUid},
    server::{self, Encoded, ErrorKind, Reply},
};
use tokio::time::Instant;

pub use self::encode::encode_delta;
pub(crate) use self::seats::Seats;
use self::{agents::Agents, encode::encode, seats::Seated};
use crate::{admission::Reason, cut::Cut, shared::Shared};

/// The conversation of one connection (plain HTTP: of one request) with the agents behind it.
pub struct Conversation {
    shared: Arc<Shared>,
    principal: Arc<Principal>,
    mailbox: Option<Arc<Mailbox>>,
    transport: Transport,
    peer: SocketAddr,
    agents: Agents,
    /// Agents of which it is not known yet whether they are this connection's; they count as if they were.
    contested: Vec<InstanceUid>,
    seated: Seated,
}

/// What a received message leads to.
#[derive(Debug)]
pub enum Answer {
    /// Send this. With `more`, this agent has something else to be taken.
    Send {
        /// The reply.
        reply: Encoded,
        /// The agent that has something else to be taken.
        more: Option<Attachment>,
    },
    /// The message was not processed.
    Refuse(Refused),
    /// Another connection has this agent: find out whether it is alive, then [`Conversation::settle`] and hear the message again.
    Contested {
        /// The contest.
        contest: Box<Contest>,
        /// The uid that both connections use.
        uid: WireUid,
    },
    /// The connection is to end.
    End(Cut),
}

/// Why a message was not processed, addressed to the agent if its uid could be read.
#[derive(Debug)]
pub struct Refused {
    /// The agent, if its uid could be read.
    pub uid: Option<WireUid>,
    /// Why.
    pub why: Why,
}

/// Why a message was not processed.
#[derive(Debug)]
pub enum Why {
    /// There is no message in the bytes; the text says why.
    NoMessage(String),
    /// The message is wrong, or asks for what is not given; the text says how.
    Bad(String),
    /// Not now.
    Later(Duration),
}

impl Refused {
    /// As a message of the protocol.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        match &self.why {
            Why::NoMessage(text) | Why::Bad(text) => {
                Reply::error(self.uid, ErrorKind::BadRequest, text, None)
            }
            Why::Later(after) => {
                Reply::error(self.uid, ErrorKind::Unavailable, "overloaded", Some(*after))
            }
        }
    }
}

impl Conversation {
    /// A conversation over a connection that can be woken.
    pub(crate) fn streaming(
        shared: Arc<Shared>,
        principal: Principal,
        transport: Transport,
        peer: SocketAddr,
    ) -> Self {
        Self::new(shared, principal, transport, peer, Some(Mailbox::new()))
    }

    /// The conversation of one request.
    pub(crate) fn polled(shared: Arc<Shared>, principal: Principal, peer: SocketAddr) -> Self {
        Self::new(shared, principal, Transport::Http, peer, None)
    }

    fn new(
        shared: Arc<Shared>,
        principal: Principal,
        transport: Transport,
        peer: SocketAddr,
        mailbox: Option<Arc<Mailbox>>,
    ) -> Self {
        Self {
            shared,
            principal: Arc::new(principal),
            mailbox,
            transport,
            peer,
            agents: Agents::default(),
            contested: Vec::new(),
            seated: Seated::new(None),
        }
    }

    /// Lets it count its agents together with the other conversations of its connection.
    pub(crate) fn seated_with(mut self, seats: &Seats) -> Self {
        self.seated = Seated::new(Some(seats.clone()));
        self
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// How the engine wakes this connection.
    ///
    /// # Panics
    /// If the conversation is a polled one.
    #[must_use]
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        self.mailbox
            .as_ref()
            .expect("only conversations over a connection are woken")
    }

    /// Whether no agent is known on this connection (yet, or any more).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// Takes one message, bare protobuf.
    pub fn hear(&mut self, message: &[u8]) -> Answer {
        let started = Instant::now();
        let answer = self.step(message);
        self.seated.hold(self.agents.len() + self.contested.len());
        self.shared
            .metrics
            .request_duration
            .record(started.elapsed());
        answer
    }

    fn step(&mut self, message: &[u8]) -> Answer {
        let uid =
            match server::peek(message).and_then(|peek| peek.uid.map_err(Malformed::InstanceUid)) {
                Ok(uid) => uid,
                Err(malformed) => return Answer::Refuse(self.malformed(None, &malformed)),
            };
        let attachment = match self.attachment(uid) {
            Ok(attachment) => attachment,
            Err(answer) => return *answer,
        };
        self.exchange(uid, &attachment, message)
    }

    /// The claim under which this connection speaks for the uid; claims it if need be.
    fn attachment(&mut self, uid: WireUid) -> Result<Attachment, Box<Answer>> {
        if let Some(attachment) = self.agents.find(uid) {
            return Ok(attachment.clone());
        }
        let request = AttachRequest {
            principal: &self.principal,
            uid: uid.uid(),
            mailbox: self.mailbox.as_ref(),
            transport: self.transport,
            peer: self.peer,
        };
        let limit = self.shared.limits.agents_per_connection;
        let is_counted = self.agents.expects(uid.uid()) || self.contested.contains(&uid.uid());
        let carried = self.agents.len() + self.contested.len();
        if !is_counted && !self.seated.take(carried, limit) {
            let text = format!("this connection carries {limit} agents already");
            return Err(Box::new(self.bad_request(Some(uid), &text)));
        }
        match self.shared.engine.attach(&request, self.shared.now()) {
            Attach::Ready(attachment) => {
                self.agents.insert(uid, attachment.clone());
                Ok(attachment)
            }
            Attach::Contested(contest) => {
                if !self.contested.contains(&uid.uid()) {
                    self.contested.push(uid.uid());
                }
                Err(Box::new(Answer::Contested {
                    contest: Box::new(contest),
                    uid,
                }))
            }
            Attach::Refused(engine::Refusal::TooManyAgents) => Err(Box::new(self.unavailable(uid))),
            Attach::Refused(refusal) => {
                Err(Box::new(self.bad_request(Some(uid), &refusal.to_string())))
            }
        }
    }

    /// Ends a contest for an agent of this connection, whose messages are then to be heard again: they may meet another
    /// contest. Gives what they are refused with, if there is no room for another agent.
    pub fn settle(&mut self, contest: Contest, uid: WireUid, alive: bool) -> Option<Refused> {
        self.contested.retain(|contested| *contested != uid.uid());
        let refused = match self.shared.engine.settle(contest, alive, self.shared.now()) {
            Ok(Some(attachment)) => {
                self.agents.insert(uid, attachment);
                None
            }
            Ok(None) => None,
            Err(_) => Some(self.turned_away(uid)),
        };
        self.seated.hold(self.agents.len() + self.contested.len());
        refused
    }

    fn exchange(&mut self, uid: WireUid, attachment: &Attachment, message: &[u8]) -> Answer {
        let mut disconnecting = false;
        let limits = &self.shared.limits.received;
        let now = self.shared.now();
        let outcome = self.shared.engine.exchange(attachment, now, |wire| {
            let received = server::receive(wire, message, limits)
                .inspect_err(|_| server::skip(wire, message))?;
            disconnecting = received.changes.disconnecting;
            let message = received.changes.custom_message.as_ref();
            Ok::<_, Malformed>(Heard {
                dry_run: message.and_then(dry_run_in),
                changes: received.changes,
                full_state_needed: received.full_state_needed,
                carried_status: received.carried_status,
                components_wanted: received.components_wanted,
                takes_deltas: received.takes_deltas,
            })
        });
        if disconnecting {
            self.agents.remove(uid.uid());
            self.shared
                .engine
                .detach(attachment, DisconnectReason::AgentDisconnect, now);
        }
        match outcome {
            Ok(outgoing) => {
                if let Some(text) = &outgoing.error {
                    return self.bad_request(Some(uid), text);
                }
                let more = (outgoing.more && !disconnecting).then(|| attachment.clone());
                Answer::Send {
                    reply: self.encode(uid, &outgoing),
                    more,
                }
            }
            Err(ExchangeError::Decode(malformed)) => {
                Answer::Refuse(self.malformed(Some(uid), &malformed))
            }
            Err(ExchangeError::Overloaded { .. }) => self.unavailable(uid),
            Err(ExchangeError::Superseded) => {
                self.agents.remove(uid.uid());
                if self.agents.is_empty() {
                    Answer::End(Cut::Superseded)
                } else {
                    self.unavailable(uid)
                }
            }
        }
    }

    /// The next message for an agent that was woken, if there is one; with `true`, another may follow it.
    pub fn take(&self, attachment: &Attachment) -> Option<(Encoded, bool)> {
        let uid = self.agents.uid_of(attachment)?;
        let outgoing = self.shared.engine.take(attachment, self.shared.now());
        (!outgoing.is_empty()).then(|| (self.encode(uid, &outgoing), outgoing.more))
    }

    /// Encodes a message; what is over the limit stays here and the agent is only acknowledged (WS-09, HT-14).
    fn encode(&self, uid: WireUid, outgoing: &Outgoing) -> Encoded {
        let reply = encode(uid, outgoing);
        let limit_bytes = self.shared.limits.reply_bytes;
        if reply.len() <= limit_bytes {
            return reply;
        }
        self.shared.metrics.oversize_dropped.increment(1);
        let bytes = reply.len();
        tracing::error!(event = "oversize_dropped", instance_uid = %uid, bytes, limit_bytes, "message over the limit not sent");
        encode(uid, &Outgoing::default())
    }

    /// The refusals that tell every agent of this connection to come back later, spread over time.
    pub fn farewells(&self) -> impl Iterator<Item = Encoded> {
        self.agents.uids().map(|uid| {
            let retry_after = Some(self.shared.drain_retry());
            Reply::error(
                Some(uid),
                ErrorKind::Unavailable,
                "the server is going down",
                retry_after,
            )
        })
    }

    /// The refusal of what is no message.
    pub fn no_message(&self, text: &str) -> Refused {
        self.refused(None, Why::NoMessage(text.to_owned()))
    }

    fn malformed(&self, uid: Option<WireUid>, malformed: &Malformed) -> Refused {
        let text = describe(malformed);
        let why = if malformed.is_message() {
            Why::Bad(text)
        } else {
            Why::NoMessage(text)
        };
        self.refused(uid, why)
    }

    fn bad_request(&self, uid: Option<WireUid>, text: &str) -> Answer {
        Answer::Refuse(self.refused(uid, Why::Bad(text.to_owned())))
    }

    fn refused(&self, uid: Option<WireUid>, why: Why) -> Refused {
        self.shared.metrics.bad_messages.increment(1);
        if let Why::NoMessage(text) | Why::Bad(text) = &why {
            tracing::debug!(event = "bad_request", peer = %self.peer, error = text, "a message could not be processed");
        }
        Refused { uid, why }
    }

    fn unavailable(&self, uid: WireUid) -> Answer {
        Answer::Refuse(self.turned_away(uid))
    }

    fn turned_away(&self, uid: WireUid) -> Refused {
        let retry_after = self.shared.gate.refuse(Reason::Engine);
        Refused {
            uid: Some(uid),
            why: Why::Later(retry_after),
        }
    }

    /// A message that makes the peer say something, if an agent is known: the answer proves that the connection lives.
    pub fn wake_up_call(&self) -> Option<Encoded> {
        let uid = self.agents.uids().next()?;
        Some(encode(
            uid,
            &Outgoing {
                full_state: true,
                ..Outgoing::default()
            },
        ))
    }

    /// Ends the claims on all agents.
    pub fn end(&mut self, reason: DisconnectReason) {
        let now = self.shared.now();
        for attachment in self.agents.take() {
            self.shared.engine.detach(&attachment, reason, now);
        }
        self.seated.hold(self.contested.len());
    }
}

impl Drop for Conversation {
    /// A connection that ended without a word, or whose task was aborted.
    fn drop(&mut self) {
        // Between two polls an agent has no connection, and is still there.
        if self.mailbox.is_some() {
            self.end(DisconnectReason::ConnectionClosed);
        }
    }
}

/// The whole chain of causes in one line.
fn describe(malformed: &Malformed) -> String {
    let mut text = malformed.to_string();
    let mut cause = std::error::Error::source(malformed);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The answer to a dry run in a custom message. What cannot be read is no answer.
fn dry_run_in(message: &CustomMessage) -> Option<DryRunAnswer> {
    dry_run::read_answer(message)
        .inspect_err(|malformed| {
            tracing::debug!(
                event = "custom_message_unreadable",
                error = describe(malformed)
            );
        })
        .ok()
        .flatten()
}
