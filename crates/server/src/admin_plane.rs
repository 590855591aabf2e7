//! The admin plane's listener: HTTP/1.1 and HTTP/2, with and without TLS, ended gracefully.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use runtime::CancellationToken;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tracing::{debug, warn};

use crate::config::AdminTls;
use crate::first_head::Headed;

/// Connections at once; people, scripts and scrapers, not agents.
const MAX_CONNECTIONS: usize = 1024;
/// From a connection to its TLS handshake's end, and from there to its first request's head.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What the head of a request may be; the longest selectors in a query fit.
const HEAD_BYTES: u32 = 12 * 1024;
/// Requests that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 64;
/// What an HTTP/2 peer may send unread, on one stream and on all of a connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Streams that a peer opened and gave up before they were looked at, and streams that its own mistakes ended; one more
/// ends the connection.
const MAX_PENDING_RESETS: usize = 20;
const MAX_ERROR_RESETS: usize = 64;
/// Pause after a failed accept, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long requests under way may take to end once the plane stops.
const FINISH: Duration = Duration::from_secs(2);

/// A bound admin plane.
pub struct AdminPlane {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl AdminPlane {
    /// Takes the address.
    ///
    /// # Errors
    /// What the system said, a port in use above all.
    pub async fn bind(address: SocketAddr, tls: Option<&AdminTls>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            listener,
            tls: tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.0))),
        })
    }

    /// Where it listens, with the port that a port 0 became.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `router` until `shutdown`, then lets requests under way end for a moment.
    ///
    /// # Errors
    /// None so far; a failed accept is logged and tried again.
    pub async fn serve(self, router: Router, shutdown: CancellationToken) -> io::Result<()> {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let strangers = Strangers::default();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&self.listener, &permits, &strangers) => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer, permit)) => {
                    let stranger = strangers.enter();
                    let number = stranger.number;
                    let connection = Connection {
                        router: router.clone(),
                        peer,
                        watcher: graceful.watcher(),
                        stranger: Arc::new(stranger),
                        shutdown: shutdown.clone(),
                    };
                    let serving = handle(stream, self.tls.clone(), connection, permit);
                    strangers.attach(number, connections.spawn(serving));
                }
                Err(error) => {
                    warn!(event = "admin_accept_failed", error = %error, "cannot take a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        // Event streams never end by themselves: they are dropped with the set.
        if timeout(FINISH, graceful.shutdown()).await.is_err() {
            debug!(
                event = "admin_connections_dropped",
                count = connections.len(),
                "requests were still under way"
            );
        }
        Ok(())
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    strangers: &Strangers,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // Cancel-safe: a connection that was accepted and has no permit yet is closed, which happens at the plane's end alone.
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let permit = match Arc::clone(permits).try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => {
            strangers.end_oldest();
            let free = Arc::clone(permits).acquire_owned();
            free.await.map_err(io::Error::other)?
        }
    };
    Ok((stream, peer, permit))
}

/// Connections on which nobody has proved to be an operator, in the order of their arrival. Where the plane is full, the
/// oldest makes room, so that peers without a credential keep nobody out.
#[derive(Clone, Default)]
struct Strangers(Arc<Mutex<Line>>);

#[derive(Default)]
struct Line {
    next: u64,
    /// A task is missing only between a connection's arrival and its start.
    tasks: BTreeMap<u64, Option<AbortHandle>>,
}

/// One connection's place among the strangers, until it is dropped or left.
struct Stranger {
    number: u64,
    strangers: Strangers,
}

impl Strangers {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self) -> Stranger {
        let number = self.line(|line| {
            line.next += 1;
            line.tasks.insert(line.next, None);
            line.next
        });
        Stranger {
            number,
            strangers: self.clone(),
        }
    }

    fn attach(&self, number: u64, task: AbortHandle) {
        self.line(|line| {
            if let Some(place) = line.tasks.get_mut(&number) {
                *place = Some(task);
            }
        });
    }

    fn end_oldest(&self) {
        if let Some((_, Some(task))) = self.line(|line| line.tasks.pop_first()) {
            task.abort();
        }
    }
}

impl Stranger {
    /// It is an operator's connection.
    fn leave(&self) {
        self.strangers.line(|line| line.tasks.remove(&self.number));
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.leave();
    }
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    watcher: Watcher,
    stranger: Arc<Stranger>,
    shutdown: CancellationToken,
}

async fn handle(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: Connection,
    _permit: OwnedSemaphorePermit,
) {
    // Boxed, so that a connection pays for what it speaks and not for all that it might.
    let Some(tls) = tls else {
        return Box::pin(connection.serve(stream)).await;
    };
    match Box::pin(timeout(HANDSHAKE, tls.accept(stream))).await {
        Ok(Ok(stream)) => Box::pin(connection.serve(stream)).await,
        Ok(Err(error)) => {
            debug!(event = "admin_handshake_failed", peer = %connection.peer, error = %error, "no TLS")
        }
        Err(_) => {
            debug!(event = "admin_handshake_failed", peer = %connection.peer, error = "too slow", "no TLS")
        }
    }
}

impl Connection {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HANDSHAKE)
            .max_buf_size(HEAD_BYTES as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(HEAD_BYTES)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_ERROR_RESETS);
        let asked = CancellationToken::new();
        // A peer that never comes to the end of its first head costs little more than what it sent.
        let first = timeout(HANDSHAKE, Headed::read(stream, HEAD_BYTES as usize));
        let stream = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return,
            first = first => match first {
                Ok(Ok(stream)) => stream,
                _ => {
                    debug!(event = "admin_connection_failed", peer = %self.peer, error = "no request", "a connection broke off");
                    return;
                }
            },
        };
        let service = TowerToHyperService::new(Asked {
            router: self.router,
            asked: asked.clone(),
            stranger: self.stranger,
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = pin!(self.watcher.watch(connection.into_owned()));
        // No timer of the builder runs before the protocol is known, nor between an HTTP/2 preface and a request.
        let ended = tokio::select! {
            biased;
            ended = &mut connection => Some(ended),
            () = asked.cancelled() => None,
            () = sleep(HANDSHAKE) => {
                debug!(event = "admin_connection_failed", peer = %self.peer, error = "no request", "a connection broke off");
                return;
            }
        };
        let ended = match ended {
            Some(ended) => ended,
            None => connection.await,
        };
        if let Err(error) = ended {
            debug!(event = "admin_connection_failed", peer = %self.peer, error = %error, "a connection broke off");
        }
    }
}

/// A router that tells of its first request, and of the first that an operator made.
#[derive(Clone)]
struct Asked {
    router: Router,
    asked: CancellationToken,
    stranger: Arc<Stranger>,
}

impl<B> Service<Request<B>> for Asked
where
    Router: Service<
            Request<B>,
            Response = Response,
            Error = Infallible,
            Future = RouteFuture<Infallible>,
        >,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Noticed;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.router.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.asked.cancel();
        Noticed {
            answering: self.router.call(request),
            stranger: Arc::clone(&self.stranger),
        }
    }
}

/// An answer that shows whether an operator asked.
struct Noticed {
    answering: RouteFuture<Infallible>,
    stranger: Arc<Stranger>,
}

impl Future for Noticed {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = ready!(Pin::new(&mut self.answering).poll(context));
        if let Ok(response) = &answered
            && response.extensions().get::<api::ByOperator>().is_some()
        {
            self.stranger.leave();
        }
        Poll::Ready(answered)
    }
}
