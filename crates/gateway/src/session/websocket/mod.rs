//! One WebSocket: the byte stream on one side, the conversation on the other, and as little as possible between.
//!
//! An idle connection holds no buffer. Bytes are read into a buffer of the thread and decoded in the same poll; replies
//! are written before the next read; only what is incomplete or not taken by the socket is kept.

mod dialogue;
mod output;

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use engine::{CloseReason, Probe, Wakes};
use opamp::ws::{Decoder, Event};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use self::{
    dialogue::{Dialogue, Phase, reason},
    output::{Blocked, Output},
};
use super::Conversation;
use crate::{cut::Cut, options::Times, roster::Place, stream::Stream};

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;
/// Replies are written when this much has gathered, even if more messages were read already.
const GATHER_BYTES: usize = 64 * 1024;
/// What one poll does at most: frames answered, and KiB read. Then the other connections of the thread have their turn.
const TURN: usize = 64;

thread_local! {
    /// Where every connection of this thread reads into; nothing in it outlives a poll.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// One agent connection after its upgrade.
pub(crate) struct Session {
    stream: Stream,
    decoder: Decoder,
    dialogue: Dialogue,
    /// What the socket did not take. While there is such, nothing is read and nothing is made to be written.
    blocked: Option<Box<Blocked>>,
    place: Option<Place>,
    /// When the peer last showed that it is there: by sending, or by reading what it had left unread.
    heard_at: Instant,
    ping_at: Instant,
    /// Since when a message is only partly here; its memory is not to be held for as long as the peer likes.
    partial_since: Option<Instant>,
}

impl Session {
    /// Takes over a connection whose upgrade was answered; `unread` came together with the request.
    pub fn new(stream: Stream, unread: Vec<u8>, talk: Conversation) -> Box<Self> {
        let now = Instant::now();
        let ping_interval = talk.shared().times.ping_interval;
        // The first ping comes earlier, by chance, so that a fleet that connected together is not pinged together.
        let ping_at = now + ping_interval / 2 + talk.shared().gate.spread_over(ping_interval / 2);
        let decoder = Decoder::server(&talk.shared().limits.received);
        let dialogue = Dialogue::new(talk, unread, now);
        Box::new(Self {
            stream,
            decoder,
            dialogue,
            blocked: None,
            place: None,
            heard_at: now,
            ping_at,
            partial_since: None,
        })
    }

    /// Serves the connection until it ends.
    pub async fn run(mut self: Box<Self>) {
        let mut sleep = pin!(tokio::time::sleep_until(self.deadline()));
        let mailbox = Arc::clone(self.dialogue.talk.mailbox());
        loop {
            let mut word = pin!(mailbox.wait());
            let event = poll_fn(|cx| {
                if let Poll::Ready(wakes) = word.as_mut().poll(cx) {
                    return Poll::Ready(Some(wakes));
                }
                self.poll(cx, sleep.as_mut()).map(|()| None)
            });
            match event.await {
                Some(wakes) => self.note(wakes),
                None => break,
            }
        }
        // TLS says goodbye; whether that still gets out does not matter.
        poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_shutdown(cx).is_ready())).await;
    }

    /// Takes word from the engine. A connection that closes drops it: probes are then answered "gone".
    fn note(&mut self, wakes: Wakes) {
        if self.dialogue.phase != Phase::Open {
            return;
        }
        match wakes.close {
            Some(CloseReason::CredentialRevoked) => {
                return self.cut(Cut::CredentialRevoked, Instant::now());
            }
            Some(CloseReason::AgentDeleted) => return self.cut(Cut::AgentDeleted, Instant::now()),
            None => {}
        }
        if !wakes.probes.is_empty() {
            self.ping_at = Instant::now();
        }
        self.dialogue.keep(wakes);
    }

    /// Does all there is to do; ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        if self.place.is_none() {
            self.place = Some(self.dialogue.talk.shared().roster.enter(cx));
        }
        loop {
            let now = Instant::now();
            self.keep_time(now);
            match self.drive(cx, now) {
                Poll::Ready(Ok(())) => return Poll::Ready(()),
                Poll::Ready(Err(error)) => {
                    // The peer is gone; nobody reads what could still be said.
                    tracing::debug!(event = "connection_lost", peer = %self.dialogue.talk.peer(), error = %error);
                    return Poll::Ready(());
                }
                Poll::Pending => self.dialogue.tidy(),
            }
            let deadline = self.deadline();
            if deadline < sleep.deadline() || sleep.is_elapsed() {
                sleep.as_mut().reset(deadline);
            }
            ready!(sleep.as_mut().poll(cx));
        }
    }

    fn times(&self) -> &Times {
        &self.dialogue.talk.shared().times
    }

    /// When time alone makes something to do.
    fn deadline(&self) -> Instant {
        let times = self.times();
        let next = match self.dialogue.phase {
            Phase::Closing { until, .. } => until,
            Phase::Open | Phase::Done => {
                let alone = self
                    .dialogue
                    .talk
                    .is_empty()
                    .then(|| self.dialogue.alone_since + times.first_message);
                let ping = self.blocked.is_none().then_some(self.ping_at);
                [alone, ping, self.partial_deadline()]
                    .into_iter()
                    .flatten()
                    .fold(self.heard_at + times.idle, Instant::min)
            }
        };
        let stalled = self
            .blocked
            .as_ref()
            .map(|blocked| blocked.progress_at + times.write_stall);
        stalled.map_or(next, |stalled| stalled.min(next))
    }

    /// When a message that has begun must be here. While nothing is read, the peer cannot help it.
    fn partial_deadline(&self) -> Option<Instant> {
        let since = self.partial_since.filter(|_| self.blocked.is_none())?;
        Some(since + self.times().body)
    }

    /// Ends, or starts to end, what is overdue, and pings when it is time.
    fn keep_time(&mut self, now: Instant) {
        let times = self.times();
        if self.dialogue.talk.shared().roster.is_closed() {
            return self.abandon(Cut::Draining);
        }
        let Dialogue {
            phase,
            talk,
            alone_since,
            ..
        } = &self.dialogue;
        match phase {
            Phase::Open if talk.shared().roster.is_draining() => {
                let mut output = Output::default();
                self.dialogue.say_farewell(&mut output, now);
                self.queue(output, now);
            }
            Phase::Open if self.heard_at + times.idle <= now => self.cut(Cut::Idle, now),
            Phase::Open if talk.is_empty() && *alone_since + times.first_message <= now => {
                self.cut(Cut::NoFirstMessage, now);
            }
            Phase::Open
                if self
                    .partial_deadline()
                    .is_some_and(|deadline| deadline <= now) =>
            {
                self.cut(Cut::TooSlow, now);
            }
            Phase::Open if self.blocked.is_none() && self.ping_at <= now => {
                if self.dialogue.probes_wait() {
                    // Somebody waits for the answer: what was heard before says nothing.
                } else if let Some(later) = ping_later(self.heard_at, times, now) {
                    self.ping_at = later;
                    return;
                }
                self.ping_at = now + times.ping_interval;
                let mut output = Output::default();
                output.put_ping();
                self.queue(output, now);
            }
            Phase::Closing { until, .. } if *until <= now => self.abandon(Cut::CloseUnanswered),
            Phase::Open | Phase::Closing { .. } | Phase::Done => {}
        }
    }

    /// Starts the closing handshake.
    fn cut(&mut self, cut: Cut, now: Instant) {
        let mut output = Output::default();
        self.dialogue.close(cut, &mut output, now);
        self.queue(output, now);
    }

    /// Ends the connection without a further word.
    fn abandon(&mut self, cut: Cut) {
        let Dialogue { phase, talk, .. } = &mut self.dialogue;
        talk.shared().metrics.cut(cut).increment(1);
        if *phase == Phase::Open {
            tracing::info!(event = "connection_cut", peer = %talk.peer(), reason = cut.as_str(), "connection cut");
        }
        talk.end(reason(cut));
        *phase = Phase::Done;
        self.blocked = None;
    }

    /// Puts frames behind those that wait.
    fn queue(&mut self, output: Output, now: Instant) {
        match &mut self.blocked {
            Some(blocked) => blocked.output.append(output),
            None => self.blocked = Some(Blocked::new(output, &self.stream, now)),
        }
    }

    /// Writes, pushes and reads until there is nothing to do or the turn is over; ready when the connection is over.
    fn drive(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<io::Result<()>> {
        let mut turn = TURN;
        let write_stall = self.times().write_stall;
        loop {
            // What is written goes first, so that a slow reader makes nothing more to write.
            if let Some(blocked) = &mut self.blocked {
                let sent = blocked.poll_send(&mut self.stream, cx, now);
                if blocked.was_read {
                    self.heard_at = self.heard_at.max(blocked.progress_at);
                }
                // Only now: after a pause of the whole server the peer may long have made room.
                if sent.is_pending() && blocked.progress_at + write_stall <= now {
                    self.abandon(Cut::SlowReader);
                    return Poll::Ready(Ok(()));
                }
                ready!(sent)?;
                self.blocked = None;
                self.partial_since = self.partial_since.map(|_| now);
            }
            if self.dialogue.phase == Phase::Done {
                return Poll::Ready(Ok(()));
            }
            if turn == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.attend_to_rare(cx, &mut turn, now)? {
                ready!(self.poll_read(cx, &mut turn, now))?;
            }
        }
    }

    /// Does one thing of those that most connections never have; `false` if there was none and reading may go on.
    fn attend_to_rare(
        &mut self,
        cx: &mut Context<'_>,
        turn: &mut usize,
        now: Instant,
    ) -> io::Result<bool> {
        let full = self.dialogue.is_full();
        let Some(rare) = &mut self.dialogue.rare else {
            return Ok(false);
        };
        let mut output = Output::default();
        if let Some(attachment) = rare.woken.pop() {
            self.dialogue.push(&attachment, &mut output);
        } else if let Poll::Ready(settled) = rare.contests.poll_settled(cx) {
            self.dialogue.settle(settled, &mut output, now);
        } else if !rare.unread.is_empty() && !full {
            let mut unread = std::mem::take(&mut rare.unread);
            return self.digest(cx, &mut unread, turn, now).map(|()| true);
        } else {
            return Ok(false);
        }
        self.send(cx, output, now).map(|()| true)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        turn: &mut usize,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        if self.dialogue.is_full() {
            return Poll::Pending;
        }
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.heard_at = now;
            if let Some(rare) = &mut self.dialogue.rare {
                rare.probes.drain(..).for_each(Probe::alive);
            }
            let read = buffer.filled_mut();
            let mut left = *turn;
            *turn = turn.saturating_sub(read.len() / 1024);
            let digested = self.digest(cx, read, &mut left, now);
            *turn = left.min(*turn);
            Poll::Ready(digested)
        })
    }

    /// Decodes what was read, answers it and writes the answers. What is too much for this turn waits for the next.
    fn digest(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut [u8],
        turn: &mut usize,
        now: Instant,
    ) -> io::Result<()> {
        let mut input = chunk;
        let mut output = Output::default();
        while self.dialogue.phase.is_listening() {
            if !input.is_empty() && (*turn == 0 || self.has_to_wait(cx, &mut output, now)?) {
                self.dialogue.rare().unread.extend_from_slice(input);
                break;
            }
            // Asked once more when all is read: the decoder gives back the memory of the message before only then.
            match self.decoder.next(&mut input) {
                Ok(Some(event)) => {
                    if matches!(event, Event::Binary(_) | Event::Text(_)) {
                        self.partial_since = None;
                    }
                    self.dialogue.react(&event, &mut output, now);
                }
                Ok(None) => {
                    self.note_partial(now);
                    break;
                }
                Err(violation) => self.dialogue.violated(&violation, &mut output, now),
            }
            *turn = turn.saturating_sub(1);
        }
        self.send(cx, output, now)
    }

    fn note_partial(&mut self, now: Instant) {
        if self.decoder.heap_bytes() == 0 {
            self.partial_since = None;
        } else {
            self.partial_since.get_or_insert(now);
        }
    }

    /// Whether what was read has to wait: for the socket to take replies, or for a contest.
    fn has_to_wait(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output,
        now: Instant,
    ) -> io::Result<bool> {
        if self.dialogue.is_full() {
            return Ok(true);
        }
        if output.len() < GATHER_BYTES {
            return Ok(false);
        }
        let gathered = std::mem::take(output);
        self.send(cx, gathered, now)?;
        Ok(self.blocked.is_some())
    }

    /// Writes now what the socket takes now, and keeps the rest.
    fn send(&mut self, cx: &mut Context<'_>, mut output: Output, now: Instant) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        if output.poll_send(&mut self.stream, cx)?.is_pending() {
            self.blocked = Some(Blocked::new(output, &self.stream, now));
        }
        Ok(())
    }
}

/// When to think of a ping again, for a peer that was heard of a moment ago: an agent that sends heartbeats as often as
/// it would be pinged need not be pinged at all. A ping and its answer cost as much as a heartbeat.
fn ping_later(heard_at: Instant, times: &Times, now: Instant) -> Option<Instant> {
    let interval = times.ping_interval;
    // Later than the interval, so that a heartbeat of that very interval comes first; early enough for an answer.
    let grace = (interval / 8).min(times.idle.saturating_sub(interval) / 2);
    (now < heard_at + interval / 2).then_some(heard_at + interval + grace)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_peer_that_is_silent_is_pinged() {
        let heard = Instant::now();
        let mut times = Times {
            ping_interval: Duration::from_secs(30),
            idle: Duration::from_secs(90),
            ..Times::default()
        };
        let later =
            |times: &Times, silent| ping_later(heard, times, heard + Duration::from_secs(silent));
        let expected = Some(heard + Duration::from_millis(33_750));
        assert_eq!(later(&times, 0), expected);
        assert_eq!(later(&times, 14), expected);
        assert_eq!(later(&times, 15), None, "half an interval of silence");
        assert_eq!(later(&times, 34), None);

        times.idle = Duration::from_secs(31);
        let before_it_is_cut = Some(heard + Duration::from_millis(30_500));
        assert_eq!(later(&times, 0), before_it_is_cut);
    }
}
