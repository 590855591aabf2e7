//! The admin plane's listener: HTTP/1.1 and HTTP/2, with and without TLS, ended gracefully.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
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
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tracing::{debug, warn};

use crate::config::AdminTls;

/// Connections at once; people, scripts and scrapers, not agents.
const MAX_CONNECTIONS: usize = 1024;
/// From a connection to its TLS handshake's end, and from there to its first request's head.
const HANDSHAKE: Duration = Duration::from_secs(10);
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
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&self.listener, &permits) => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer, permit)) => {
                    let connection = Connection {
                        router: router.clone(),
                        peer,
                        watcher: graceful.watcher(),
                    };
                    connections.spawn(handle(stream, self.tls.clone(), connection, permit));
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
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    watcher: Watcher,
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
            .header_read_timeout(HANDSHAKE);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_secs(30)));
        let asked = CancellationToken::new();
        let service = TowerToHyperService::new(Asked {
            router: self.router,
            asked: asked.clone(),
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

/// A router that tells of its first request.
#[derive(Clone)]
struct Asked {
    router: Router,
    asked: CancellationToken,
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
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.router.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.asked.cancel();
        self.router.call(request)
    }
}
