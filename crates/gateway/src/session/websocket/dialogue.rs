//! What frames mean to one connection: messages to the conversation, control frames, and the closing handshake.

use engine::{Attachment, Contest, DisconnectReason, Probe, Wakes};
use opamp::{
    model::WireUid,
    ws::{Close, Event, Violation, strip_header},
};
use tokio::time::Instant;

use super::{
    super::{
        Answer, Conversation,
        contests::{Contests, Settled},
    },
    output::Output,
};
use crate::cut::Cut;

/// The state of a connection above its bytes.
pub(super) struct Dialogue {
    pub talk: Conversation,
    pub phase: Phase,
    pub rare: Option<Box<Rare>>,
    /// Since when no agent is known here, as long as none is.
    pub alone_since: Instant,
}

/// What most connections never have.
#[derive(Default)]
pub(super) struct Rare {
    /// Read, but not looked at: the replies before it are not written yet.
    pub unread: Vec<u8>,
    /// Agents that were woken and have not been looked after.
    pub woken: Vec<Attachment>,
    /// Questions that the next bytes of the peer answer.
    pub probes: Vec<Probe>,
    pub contests: Contests,
}

/// How far a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Our Close frame is out or on its way. While `listening`, the peer's is waited for among what else comes; after a
    /// violation frames cannot be told apart any more.
    Closing {
        until: Instant,
        listening: bool,
    },
    /// Both Close frames are exchanged: what is written is flushed, and that is all.
    Done,
}

impl Dialogue {
    pub fn new(talk: Conversation, unread: Vec<u8>, now: Instant) -> Self {
        let rare = (!unread.is_empty()).then(|| {
            Box::new(Rare {
                unread,
                ..Rare::default()
            })
        });
        Self {
            talk,
            phase: Phase::Open,
            rare,
            alone_since: now,
        }
    }

    pub fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Gives back the memory of what is over.
    pub fn tidy(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }

    /// Whether as much waits for contests as may.
    pub fn is_full(&self) -> bool {
        let message_bytes = self.talk.shared().limits.received.message_bytes;
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.contests.are_full(message_bytes))
    }

    /// Whether somebody asked for a sign of life.
    pub fn probes_wait(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| !rare.probes.is_empty())
    }

    /// Keeps what the engine wants of this connection.
    pub fn keep(&mut self, wakes: Wakes) {
        let rare = self.rare();
        rare.probes.extend(wakes.probes);
        for woken in wakes.agents {
            if !rare.woken.iter().any(|known| known.is_same(&woken)) {
                rare.woken.push(woken);
            }
        }
    }

    /// Answers one event of the peer.
    pub fn react(&mut self, event: &Event<'_>, output: &mut Output, now: Instant) {
        match (event, self.phase) {
            (Event::Close(close), Phase::Open) => self.answer_close(close.as_ref(), output),
            (Event::Close(_), Phase::Closing { .. }) => self.phase = Phase::Done,
            (Event::Ping(payload), Phase::Open) => output.put_pong(payload),
            (Event::Binary(message), Phase::Open) => match strip_header(message) {
                Ok(message) => self.hear(message, output, now),
                Err(malformed) => self.refuse(&malformed.to_string(), output),
            },
            (Event::Text(_), Phase::Open) => {
                self.refuse("messages travel in binary frames", output)
            }
            (Event::Pong(_), _) | (_, Phase::Closing { .. } | Phase::Done) => {}
        }
    }

    fn hear(&mut self, message: &[u8], output: &mut Output, now: Instant) {
        let was_alone = self.talk.is_empty();
        match self.talk.hear(message) {
            Answer::Send { reply, more } => {
                output.put_message(&reply);
                if let Some(attachment) = more {
                    self.push(&attachment, output);
                }
            }
            Answer::Refuse(refused) => output.put_message(&refused.encode()),
            Answer::Contested { contest, uid } => self.hold(*contest, uid, message),
            Answer::End(cut) => self.close(cut, output, now),
        }
        if self.talk.is_empty() && !was_alone {
            self.alone_since = now;
        }
    }

    fn hold(&mut self, contest: Contest, uid: WireUid, message: &[u8]) {
        let timeout = self.talk.shared().times.probe;
        self.rare().contests.hold(contest, uid, message, timeout);
    }

    fn refuse(&self, text: &str, output: &mut Output) {
        output.put_message(&self.talk.no_message(text).encode());
    }

    /// Sends what waits for an agent.
    pub fn push(&self, attachment: &Attachment, output: &mut Output) {
        while let Some((message, more)) = self.talk.take(attachment) {
            output.put_message(&message);
            if !more {
                break;
            }
        }
    }

    /// Goes on with the messages that waited for a contest.
    pub fn settle(&mut self, settled: Settled, output: &mut Output, now: Instant) {
        let Settled {
            uid,
            contest,
            alive,
            held,
        } = settled;
        let refused = self.talk.settle(contest, uid, alive);
        for message in held {
            match &refused {
                _ if self.phase != Phase::Open => {}
                None => self.hear(&message, output, now),
                Some(refused) => output.put_message(&refused.encode()),
            }
        }
    }

    /// Starts the closing handshake, and ends the claims on the agents at once.
    pub fn close(&mut self, cut: Cut, output: &mut Output, now: Instant) {
        let shared = self.talk.shared();
        shared.metrics.cut(cut).increment(1);
        if cut != Cut::Draining {
            tracing::info!(event = "connection_cut", peer = %self.talk.peer(), reason = cut.as_str(), "connection cut");
        }
        output.put_close(cut.close_code(), cut.as_str());
        self.phase = Phase::Closing {
            until: now + shared.times.close,
            listening: cut.leaves_frames(),
        };
        self.talk.end(reason(cut));
        self.rare = None;
    }

    /// Ends a connection whose peer broke the framing.
    pub fn violated(&mut self, violation: &Violation, output: &mut Output, now: Instant) {
        if self.phase != Phase::Open {
            self.phase = Phase::Done;
            return;
        }
        self.talk.shared().metrics.bad_messages.increment(1);
        tracing::debug!(event = "websocket_violation", peer = %self.talk.peer(), error = %violation);
        let cut = match violation {
            Violation::TooLarge { .. } => Cut::Oversize,
            Violation::NotUtf8 => Cut::NotUtf8,
            _ => Cut::Protocol,
        };
        self.close(cut, output, now);
    }

    /// Ends the connection because the server goes down.
    pub fn say_farewell(&mut self, output: &mut Output, now: Instant) {
        for farewell in self.talk.farewells() {
            output.put_message(&farewell);
        }
        self.close(Cut::Draining, output, now);
    }

    fn answer_close(&mut self, close: Option<&Close<'_>>, output: &mut Output) {
        output.put_close(close.map_or(1000, |close| close.code), "");
        self.phase = Phase::Done;
        self.talk.end(DisconnectReason::ConnectionClosed);
    }
}

impl Phase {
    /// Whether frames of the peer mean anything.
    pub const fn is_listening(self) -> bool {
        matches!(
            self,
            Self::Open
                | Self::Closing {
                    listening: true,
                    ..
                }
        )
    }
}

impl Rare {
    fn is_empty(&self) -> bool {
        let Self {
            unread,
            woken,
            probes,
            contests,
        } = self;
        unread.is_empty() && woken.is_empty() && probes.is_empty() && contests.is_empty()
    }
}

/// A cut in the engine's words.
pub(super) fn reason(cut: Cut) -> DisconnectReason {
    match cut {
        Cut::Idle => DisconnectReason::Silent,
        Cut::SlowReader => DisconnectReason::SlowReader,
        Cut::Oversize | Cut::Protocol | Cut::NotUtf8 => DisconnectReason::ProtocolViolation,
        Cut::CredentialRevoked => DisconnectReason::CredentialRevoked,
        Cut::AgentDeleted => DisconnectReason::AgentDeleted,
        Cut::Draining => DisconnectReason::ServerStopping,
        Cut::NoFirstMessage | Cut::Superseded | Cut::CloseUnanswered | Cut::TooSlow => {
            DisconnectReason::ConnectionClosed
        }
    }
}
