//! gRPC: a bidirectional stream of the same messages. An extension of ours; see the page on it in the documentation.

use std::{future::poll_fn, ops::ControlFlow, sync::Arc, time::Duration};

use bytes::Bytes;
use engine::{CloseReason, DisconnectReason, Mailbox, Probe, Transport, Wakes};
use http::header::AUTHORIZATION;
use hyper::body::Incoming;
use opamp::{
    grpc::{Connect, OpAmpServer},
    server::Encoded,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming, body::Body, metadata::MetadataValue};
use tower::Service;

use super::{
    Answer, Conversation,
    contests::{Contests, Settled},
    meter::{Meter, Metered},
};
use crate::{
    cut::Cut,
    head::bearer,
    http::{Busy, Connection},
    refusal::Refusal,
    roster::Open,
};

/// Answers one gRPC call.
pub(crate) async fn serve(
    connection: &Arc<Connection>,
    request: http::Request<Incoming>,
) -> http::Response<Body> {
    let limit = connection.shared.limits.received.message_bytes;
    let mut service = OpAmpServer::new(Arc::new(Agents(Arc::clone(connection))), limit);
    let within = connection.shared.times.body;
    let meter = Arc::<Meter>::default();
    let mut request = request.map(|body| Metered::new(body, Arc::clone(&meter), within));
    request.extensions_mut().insert(meter);
    match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The handler of one connection's streams.
struct Agents(Arc<Connection>);

impl Connect for Agents {
    type Replies = ReceiverStream<Result<Encoded, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<Bytes>>,
    ) -> Result<Response<Self::Replies>, Status> {
        let connection = &self.0;
        let shared = &connection.shared;
        let authorization = request.metadata().get(AUTHORIZATION.as_str());
        let bearer = authorization.and_then(|value| bearer(value.as_bytes()));
        let principal = shared
            .start_session(
                bearer,
                connection.certificate.as_ref(),
                connection.peer.ip(),
            )
            .map_err(status)?;
        connection.proved();
        let talk = Conversation::streaming(
            Arc::clone(shared),
            principal,
            Transport::Grpc,
            connection.peer,
        )
        .seated_with(&connection.seats);
        // One message under way: what the peer does not take keeps the session from making more.
        let (replies, received) = mpsc::channel(1);
        let meter = request.extensions().get::<Arc<Meter>>();
        let session = Session {
            meter: meter.map(Arc::clone).unwrap_or_default(),
            messages: request.into_inner(),
            replies,
            mailbox: Arc::clone(talk.mailbox()),
            contests: Contests::default(),
            probes: Vec::new(),
            alone_since: Instant::now(),
            sent_at: Instant::now(),
            talk,
            _busy: connection.busy(),
            _open: shared.roster.open(),
        };
        tokio::spawn(session.run());
        Ok(Response::new(ReceiverStream::new(received)))
    }
}

/// One stream and the agents on it.
struct Session {
    meter: Arc<Meter>,
    messages: Streaming<Bytes>,
    replies: mpsc::Sender<Result<Encoded, Status>>,
    mailbox: Arc<Mailbox>,
    talk: Conversation,
    contests: Contests,
    /// Questions that the next message answers.
    probes: Vec<Probe>,
    alone_since: Instant,
    /// When the last reply was handed over; it may still wait for the peer to read the one before.
    sent_at: Instant,
    _busy: Busy,
    _open: Open,
}

/// What happened on a stream.
enum Event {
    Draining,
    Woken(Wakes),
    Settled(Settled),
    Message(Result<Option<Bytes>, Status>),
    NobodyCame,
    /// The peer may have stopped reading.
    Stalled,
}

/// Why a stream ends: what the engine is told, and the status that the peer is told, if any.
struct End {
    reason: DisconnectReason,
    status: Option<Status>,
}

type Flow = ControlFlow<End>;

impl Session {
    async fn run(mut self) {
        loop {
            let event = self.next().await;
            if let ControlFlow::Break(End { reason, status }) = self.react(event).await {
                self.talk.end(reason);
                if let Some(status) = status {
                    // A peer that does not even take the status is cut by the end of its stream.
                    let wait = self.talk.shared().times.close;
                    timeout(wait, self.replies.send(Err(status))).await.ok();
                }
                return;
            }
        }
    }

    async fn next(&mut self) -> Event {
        let shared = self.talk.shared();
        let alone = self.talk.is_empty();
        let waits = self.replies.capacity() == 0;
        let reading = !self.contests.are_full(shared.limits.received.message_bytes);
        // Every branch is cancel-safe: a message, a wake-up or a settled contest is taken only in the poll that returns it.
        tokio::select! {
            biased;
            () = shared.roster.drained() => Event::Draining,
            wakes = self.mailbox.wait() => Event::Woken(wakes),
            settled = poll_fn(|cx| self.contests.poll_settled(cx)) => Event::Settled(settled),
            message = self.messages.message(), if reading => Event::Message(message),
            () = sleep_until(self.alone_since + shared.times.first_message), if alone => Event::NobodyCame,
            () = sleep_until(self.sent_at + shared.times.write_stall), if waits => Event::Stalled,
        }
    }

    async fn react(&mut self, event: Event) -> Flow {
        match event {
            Event::Message(Ok(Some(message))) => {
                self.meter.took(&message);
                self.probes.drain(..).for_each(Probe::alive);
                self.hear(&message).await
            }
            Event::Message(Ok(None)) => end(DisconnectReason::ConnectionClosed, None),
            Event::Message(Err(status)) => self.broken(&status),
            Event::Woken(wakes) => self.attend(wakes).await,
            Event::Settled(settled) => {
                let refused = self
                    .talk
                    .settle(settled.contest, settled.uid, settled.alive);
                for message in settled.held {
                    match &refused {
                        None => self.hear(&message).await?,
                        Some(refused) => self.send(refused.encode()).await?,
                    }
                }
                ControlFlow::Continue(())
            }
            Event::NobodyCame => {
                self.count(Cut::NoFirstMessage);
                end(
                    DisconnectReason::ConnectionClosed,
                    Some(Status::deadline_exceeded("no agent made itself known")),
                )
            }
            // Read meanwhile: the next stall is noticed after the next reply.
            Event::Stalled if 0 < self.replies.capacity() => ControlFlow::Continue(()),
            Event::Stalled => self.stalled(),
            Event::Draining => self.say_farewell().await,
        }
    }

    async fn hear(&mut self, message: &[u8]) -> Flow {
        let was_alone = self.talk.is_empty();
        let answer = self.talk.hear(message);
        if self.talk.is_empty() && !was_alone {
            self.alone_since = Instant::now();
        }
        match answer {
            Answer::Send { reply, more } => {
                self.send(reply).await?;
                match more {
                    Some(attachment) => self.push(&attachment).await,
                    None => ControlFlow::Continue(()),
                }
            }
            Answer::Refuse(refused) => self.send(refused.encode()).await,
            Answer::Contested { contest, uid } => {
                let timeout = self.talk.shared().times.probe;
                self.contests.hold(*contest, uid, message, timeout);
                ControlFlow::Continue(())
            }
            Answer::End(cut) => {
                self.count(cut);
                end(
                    DisconnectReason::ConnectionClosed,
                    Some(Status::aborted(cut.as_str())),
                )
            }
        }
    }

    async fn attend(&mut self, wakes: Wakes) -> Flow {
        match wakes.close {
            Some(CloseReason::CredentialRevoked) => {
                self.count(Cut::CredentialRevoked);
                let status = Status::unauthenticated(Cut::CredentialRevoked.as_str());
                return end(DisconnectReason::CredentialRevoked, Some(status));
            }
            Some(CloseReason::AgentDeleted) => {
                self.count(Cut::AgentDeleted);
                return end(
                    DisconnectReason::AgentDeleted,
                    Some(Status::aborted(Cut::AgentDeleted.as_str())),
                );
            }
            None => {}
        }
        for attachment in wakes.agents {
            self.push(&attachment).await?;
        }
        if !wakes.probes.is_empty() {
            // Streams have no pings of their own, so the agent is asked for something that it answers.
            self.probes.extend(wakes.probes);
            if let Some(call) = self.talk.wake_up_call() {
                return self.send(call).await;
            }
        }
        ControlFlow::Continue(())
    }

    async fn push(&mut self, attachment: &engine::Attachment) -> Flow {
        while let Some((message, more)) = self.talk.take(attachment) {
            self.send(message).await?;
            if !more {
                break;
            }
        }
        ControlFlow::Continue(())
    }

    async fn say_farewell(&mut self) -> Flow {
        let farewells: Vec<Encoded> = self.talk.farewells().collect();
        for farewell in farewells {
            self.send(farewell).await?;
        }
        self.count(Cut::Draining);
        let retry_after = self.talk.shared().drain_retry();
        end(
            DisconnectReason::ServerStopping,
            Some(unavailable(retry_after)),
        )
    }

    async fn send(&mut self, message: Encoded) -> Flow {
        match timeout(
            self.talk.shared().times.write_stall,
            self.replies.send(Ok(message)),
        )
        .await
        {
            Ok(Ok(())) => {
                self.sent_at = Instant::now();
                ControlFlow::Continue(())
            }
            Ok(Err(_)) => end(DisconnectReason::ConnectionClosed, None),
            Err(_) => self.stalled(),
        }
    }

    fn stalled(&self) -> Flow {
        self.count(Cut::SlowReader);
        end(DisconnectReason::SlowReader, None)
    }

    /// The stream broke off, or carried what is no gRPC message or one over the limit.
    fn broken(&self, status: &Status) -> Flow {
        if self.meter.is_overdue() {
            self.count(Cut::TooSlow);
            let status = Status::deadline_exceeded("a message did not come to its end");
            return end(DisconnectReason::ConnectionClosed, Some(status));
        }
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => {
                self.count(Cut::Oversize);
                self.talk.shared().metrics.bad_messages.increment(1);
                let limit = self.talk.shared().limits.received.message_bytes;
                let text = format!("the message is over the limit of {limit} bytes");
                end(
                    DisconnectReason::ProtocolViolation,
                    Some(Status::resource_exhausted(text)),
                )
            }
            _ => end(DisconnectReason::ConnectionClosed, None),
        }
    }

    fn count(&self, cut: Cut) {
        self.talk.shared().metrics.cut(cut).increment(1);
        if cut != Cut::Draining {
            tracing::info!(event = "connection_cut", peer = %self.talk.peer(), reason = cut.as_str(), "stream cut");
        }
    }
}

fn end(reason: DisconnectReason, status: Option<Status>) -> Flow {
    ControlFlow::Break(End { reason, status })
}

/// A refusal in gRPC's words.
fn status(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Unavailable { retry_after } => unavailable(retry_after),
        _ => Status::unauthenticated("a valid agent credential is needed"),
    }
}

/// `UNAVAILABLE` with the time to come back: as gRPC has it, and as HTTP has it.
fn unavailable(retry_after: Duration) -> Status {
    let mut status = Status::unavailable("come back later");
    let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    let seconds = crate::admission::retry_after_seconds(retry_after);
    status
        .metadata_mut()
        .insert("grpc-retry-pushback-ms", MetadataValue::from(millis));
    status
        .metadata_mut()
        .insert("retry-after", MetadataValue::from(seconds));
    status
}
