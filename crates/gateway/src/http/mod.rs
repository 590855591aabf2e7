//! Connections that hyper serves: plain HTTP exchanges, gRPC streams, `/health`, and the rare upgrade that did not come first.

mod health;
pub(crate) mod opening;
mod plain;
mod route;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use engine::Principal;
use hyper::{service::service_fn, upgrade::OnUpgrade};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::{self, upgrade::downcast},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    admission::Ticket,
    connection::Opened,
    cut::Cut,
    identity::Certificate,
    options::{Limits, Times},
    session::Seats,
    shared::Shared,
    stream::Prefixed,
};

/// What an HTTP/2 peer may send on one stream without being read.
const STREAM_WINDOW_BYTES: u32 = 32 * 1024;
/// What it may send on all streams without being read. Many times a stream's, so that one stream that is not read, as
/// while a contest is settled, does not stop all others.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// What one stream's answer may have made and not sent.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams that a peer opened and gave up before they were looked at; one more ends the connection (rapid reset).
const MOST_PENDING_RESETS: usize = 20;
/// Streams that a peer's own mistakes ended; one more ends the connection.
const MOST_ERROR_RESETS: usize = 64;

/// Answers that a connection without a principal gets; the next request ends it. Each may wait for the peer's window.
const MOST_UNPROVEN_ANSWERS: u32 = 16;

/// What the requests of one connection share.
pub(crate) struct Connection {
    pub shared: Arc<Shared>,
    pub peer: SocketAddr,
    pub certificate: Option<Certificate>,
    /// The agents of all its streams.
    pub seats: Seats,
    opened_at: Instant,
    /// Its place among those without a principal, until a request proves one.
    ticket: Mutex<Option<Ticket>>,
    /// What was answered before a request proved a principal.
    unproven_answers: Mutex<UnprovenAnswers>,
    /// Requests and streams that are being served.
    busy: AtomicUsize,
    idle_since: Mutex<Instant>,
    /// A request that was answered with 101, and who sent it.
    upgrade: Mutex<Option<(OnUpgrade, Box<Principal>)>>,
}

#[derive(Default)]
struct UnprovenAnswers {
    count: u32,
    first_at: Option<Instant>,
}

/// Counts one request or stream until dropped.
pub(crate) struct Busy(Arc<Connection>);

/// Serves requests until the connection ends or turns into a WebSocket.
pub(crate) async fn serve_http(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    stream: Prefixed,
    certificate: Option<Certificate>,
    ticket: Ticket,
) -> Opened {
    let now = Instant::now();
    let connection = Arc::new(Connection {
        shared: Arc::clone(shared),
        peer,
        certificate,
        seats: Seats::default(),
        opened_at: now,
        ticket: Mutex::new(Some(ticket)),
        unproven_answers: Mutex::default(),
        busy: AtomicUsize::new(0),
        idle_since: Mutex::new(now),
        upgrade: Mutex::new(None),
    });
    let service = service_fn({
        let connection = Arc::clone(&connection);
        move |request| {
            let connection = Arc::clone(&connection);
            async move { Ok::<_, Infallible>(route::handle(connection, request).await) }
        }
    });
    let builder = builder(&shared.times, &shared.limits);
    let io = TokioIo::new(stream);
    drive(
        &connection,
        builder.serve_connection_with_upgrades(io, service),
    )
    .await;
    let upgrade = connection.upgrade.lock().take();
    match upgrade {
        Some((upgrade, principal)) => take_over(upgrade, principal).await,
        None => Opened::Closed,
    }
}

/// Polls hyper beside the deadlines that it does not have.
async fn drive<S>(
    connection: &Arc<Connection>,
    serving: auto::UpgradeableConnection<'_, TokioIo<Prefixed>, S, TokioExecutor>,
) where
    S: hyper::service::Service<
            hyper::Request<hyper::body::Incoming>,
            Response = hyper::Response<tonic::body::Body>,
            Error = Infallible,
        >,
    S::Future: Send + 'static,
{
    let mut serving = pin!(serving);
    let mut sleep = pin!(tokio::time::sleep_until(connection.deadline()));
    let roster = &connection.shared.roster;
    let mut place = None;
    // A connection that comes during a drain still gets its answer, which is 503.
    let mut draining = roster.is_draining();
    poll_fn(|cx| {
        if place.is_none() {
            place = Some(roster.enter(cx));
        }
        if roster.is_closed() {
            return Poll::Ready(());
        }
        if !draining && roster.is_draining() {
            draining = true;
            serving.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(event = "connection_lost", peer = %connection.peer, error = %error);
            }
            return Poll::Ready(());
        }
        // What a request proved may have brought the deadline nearer.
        let deadline = connection.deadline();
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            let deadline = connection.deadline();
            if deadline <= Instant::now() {
                connection
                    .shared
                    .metrics
                    .cut(connection.overdue())
                    .increment(1);
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await;
}

fn builder(times: &Times, limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Between requests, too: hyper starts this clock when it waits for the next head.
        .header_read_timeout(times.idle)
        .max_buf_size(limits.head_bytes.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MOST_PENDING_RESETS)
        .max_local_error_reset_streams(MOST_ERROR_RESETS)
        // Frames that continue a head are limited with it.
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(times.ping_interval)
        .keep_alive_timeout(times.idle.saturating_sub(times.ping_interval));
    builder
}

/// Gets the stream back from hyper.
async fn take_over(upgrade: OnUpgrade, principal: Box<Principal>) -> Opened {
    let Ok(upgraded) = upgrade.await else {
        return Opened::Closed;
    };
    let parts = downcast::<TokioIo<Prefixed>>(upgraded).ok();
    let Some(parts) = parts else {
        return Opened::Closed;
    };
    let (prefix, stream) = parts.io.into_inner().into_parts();
    let unread = [&parts.read_buf[..], &prefix].concat();
    Opened::WebSocket {
        stream,
        unread,
        principal,
    }
}

impl Connection {
    /// A request has proved a principal: the connection is no longer one of those that may be pushed out.
    pub fn proved(&self) {
        self.ticket.lock().take();
    }

    /// Whether no request has proved a principal yet.
    pub fn is_unproven(&self) -> bool {
        self.ticket.lock().is_some()
    }

    /// Notes that a request that proved nothing was answered.
    pub fn answered_unproven(&self) {
        let mut answers = self.unproven_answers.lock();
        answers.count += 1;
        answers.first_at.get_or_insert_with(Instant::now);
    }

    /// Until when the first request must be here, or the first answer read.
    fn unproven_deadline(&self) -> Instant {
        let times = &self.shared.times;
        let answers = self.unproven_answers.lock();
        let deadline = self.opened_at + times.head + times.body;
        match answers.first_at {
            Some(at) if MOST_UNPROVEN_ANSWERS < answers.count => at,
            Some(at) => deadline.min(at + times.close),
            None => deadline,
        }
    }

    /// Counts a request or stream.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// Keeps an upgrade for when hyper is done with the connection.
    pub fn upgrade(&self, upgrade: OnUpgrade, principal: Principal) {
        *self.upgrade.lock() = Some((upgrade, Box::new(principal)));
    }

    fn deadline(&self) -> Instant {
        let times = &self.shared.times;
        if 0 < self.busy.load(Ordering::Acquire) {
            // Bodies, streams and writes have deadlines of their own.
            Instant::now() + times.idle
        } else if self.is_unproven() {
            self.unproven_deadline()
        } else {
            *self.idle_since.lock() + times.idle
        }
    }

    fn overdue(&self) -> Cut {
        if self.is_unproven() {
            Cut::TooSlow
        } else {
            Cut::Idle
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.idle_since.lock() = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}
