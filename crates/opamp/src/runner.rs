//! A client that stays connected: session, backoff and transport driven together.

use std::time::Duration;

use crate::client::{BackoffOptions, ClientSession, Event};
use crate::transport::{ConnectError, ConnectOptions, TransportError};

/// A handle to a running client; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    _private: (),
}

/// The client's events, in order.
#[derive(Debug)]
pub struct Events {
    _private: (),
}

/// The client's work: spawn [`run`](Runner::run) on a tokio runtime.
#[derive(Debug)]
pub struct Runner {
    _private: (),
}

/// What a client tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The transport stands; over plain HTTP: the first exchange succeeded.
    Connected,
    /// An attempt failed.
    ConnectFailed {
        /// Why.
        error: ConnectError,
        /// When the next attempt follows.
        retry_in: Duration,
    },
    /// The connection is gone.
    Disconnected {
        /// Why; `None` when the client ended it.
        error: Option<TransportError>,
        /// When the next attempt follows.
        retry_in: Duration,
    },
    /// The server said something.
    Server(Event),
}

/// Makes a client of a session and the way to its server.
pub fn client(
    session: ClientSession,
    connect: ConnectOptions,
    backoff: BackoffOptions,
) -> (Client, Events, Runner) {
    let _ = (session, connect, backoff);
    unimplemented!()
}

impl Client {
    /// Looks at the session or changes it, and has sent what is new.
    pub fn session<R>(&self, act: impl FnOnce(&mut ClientSession) -> R) -> R {
        let _ = act;
        unimplemented!()
    }

    /// Leaves the present server in order and connects with other options.
    pub fn reconnect(&self, connect: ConnectOptions) {
        let _ = connect;
        unimplemented!()
    }

    /// Says goodbye to the server and ends the runner.
    pub fn stop(&self) {
        unimplemented!()
    }
}

impl Events {
    /// The next event; `None` when the runner has ended.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        unimplemented!()
    }
}

impl Runner {
    /// Runs the client until it is stopped or its events are dropped.
    pub async fn run(self) {
        unimplemented!()
    }
}
