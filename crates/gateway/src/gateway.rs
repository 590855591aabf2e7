//! The gateway's life: bind, accept, drain.

use std::{
    future::Future, io, net::SocketAddr, os::fd::AsRawFd, pin::pin, sync::Arc, time::Duration,
};

use engine::Engine;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    admission::Reason,
    connection::{Accepted, serve},
    listener::{listen, raise_descriptor_limit},
    options::GatewayOptions,
    shared::Shared,
    tls::Tls,
};

/// How long to wait before accepting again when the system had no descriptor or memory for it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long dropped connections may take to be gone.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// How often a draining gateway ends the connections that had their time to prove something.
const WEED_INTERVAL: Duration = Duration::from_millis(250);

/// The agent plane, listening.
pub struct Gateway {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
}

/// The agent plane cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("listening for agents on {address}")]
pub struct BindError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// The cause, for example that the port is taken.
    #[source]
    pub source: io::Error,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were open when the drain began.
    pub connections: usize,
    /// Those that had not ended when its time was over, and were dropped.
    pub dropped: usize,
    /// How long it took.
    pub took: Duration,
}

impl Gateway {
    /// Listens, and raises the process's limit on open files. A metrics recorder must be installed before; logging too.
    ///
    /// Nothing is accepted before [`Gateway::serve`].
    ///
    /// # Errors
    /// The address cannot be listened on.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(options: GatewayOptions, engine: Engine) -> Result<Self, BindError> {
        let address = options.address;
        let listener = listen(address).map_err(|source| BindError { address, source })?;
        let limit = options
            .admission
            .descriptor_limit
            .unwrap_or_else(raise_descriptor_limit);
        let shared = Arc::new(Shared::new(&options, engine, limit));
        let acceptor = options
            .tls
            .map(|Tls { config, .. }| TlsAcceptor::from(config));
        Ok(Self {
            listener,
            acceptor,
            shared,
        })
    }

    /// The address it listens on, with the port it was given.
    ///
    /// # Panics
    /// Never on a bound socket.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener
            .local_addr()
            .expect("a listening socket has an address")
    }

    /// Serves agents until `shutdown` resolves, then drains: every session is told when to come back and closed, requests
    /// get 503, and what has not ended after [`crate::Times::drain`] is dropped.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Drained {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                // Cancel-safe: nothing is lost when accepting is given up.
                accepted = self.listener.accept() => self.accepted(accepted).await,
            }
        }
        self.drain().await
    }

    /// Ends all sessions. Newcomers are still answered (with 503), because a refused connection would make them redial at once.
    async fn drain(self) -> Drained {
        let began = Instant::now();
        let roster = Arc::clone(&self.shared.roster);
        let connections = roster.open_connections();
        tracing::info!(event = "drain_started", connections, "agent plane drains");
        roster.drain();
        let deadline = began + self.shared.times.drain;
        let mut ended = pin!(timeout_at(deadline, roster.empty()));
        // Nobody waits for connections that proved nothing. One that came just now is still to hear when to come back.
        let mut weeding = tokio::time::interval(WEED_INTERVAL);
        loop {
            tokio::select! {
                biased;
                _ = &mut ended => break,
                _ = weeding.tick() => self.shared.gate.abort_overdue(),
                accepted = self.listener.accept() => self.accepted(accepted).await,
            }
        }
        let drained = Drained {
            connections,
            dropped: roster.open_connections(),
            took: began.elapsed(),
        };
        self.shared.gate.abort_unproven();
        roster.close();
        // The tasks end with their next poll; agents are then detached, which the last commit is to contain.
        if timeout_at(Instant::now() + CLOSE_TIME, roster.empty())
            .await
            .is_err()
        {
            tracing::error!(
                event = "drain_stuck",
                connections = roster.open_connections(),
                "connections do not end"
            );
        }
        tracing::info!(
            event = "drain_finished",
            dropped = drained.dropped,
            "agent plane drained"
        );
        drained
    }

    async fn accepted(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((tcp, peer)) => self.start(tcp, peer),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                self.shared.gate.refuse(Reason::Descriptors);
                tracing::debug!(event = "accept_failed", error = %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn start(&self, tcp: TcpStream, peer: SocketAddr) {
        let shared = &self.shared;
        let descriptor =
            u64::try_from(tcp.as_raw_fd()).expect("an open descriptor is not negative");
        let mut shed = None;
        if !shared.gate.has_descriptors(descriptor) && !shared.gate.make_room() {
            shared.gate.refuse(Reason::Descriptors);
            if self.acceptor.is_some() || !shared.gate.may_answer(descriptor) {
                // A handshake costs more than everything else together; a peer that is only to be told "later" is not worth it.
                return;
            }
            shed = Some(Reason::Descriptors);
        }
        let ticket = shared.gate.enter();
        let number = ticket.number();
        let accepted = Accepted {
            shared: Arc::clone(shared),
            tcp,
            peer,
            acceptor: self.acceptor.clone(),
            ticket,
            open: shared.roster.open(),
            shed,
        };
        number.attach_task(tokio::spawn(serve(accepted)).abort_handle());
    }
}

/// Whether accepting failed because of the connection that was to be accepted, and the next one may do.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
