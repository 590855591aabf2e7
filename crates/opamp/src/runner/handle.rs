//! What an agent holds of its client.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::Runner;
use crate::client::{BackoffOptions, ClientSession, Event};
use crate::transport::{ConnectError, ConnectOptions, TransportError};

/// How many events may wait for the agent; while they do, nothing more is read from the server.
const EVENTS: usize = 64;

/// A handle to a running client; cheap to clone. The client stops when the last one is dropped.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    control: Arc<watch::Sender<Control>>,
}

/// The client's events, in order.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<ClientEvent>,
}

/// What a client tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The transport stands; over plain HTTP: an exchange succeeded, the first or after a failure.
    Connected,
    /// An attempt failed.
    ConnectFailed {
        /// Why.
        error: ConnectError,
        /// When the next attempt follows.
        retry_in: Duration,
    },
    /// The connection is gone; over plain HTTP: an exchange failed.
    Disconnected {
        /// Why; `None` when the server asked the client to come back later.
        error: Option<TransportError>,
        /// When the next attempt follows.
        retry_in: Duration,
    },
    /// The server said something.
    Server(Event),
}

/// What handle and runner share.
pub(super) struct Shared {
    session: Mutex<ClientSession>,
    /// Told when the session may have something to say.
    pub(super) news: Notify,
}

/// What the handle asks of the runner.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) connect: ConnectOptions,
    /// Grows with each change of `connect`.
    pub(super) generation: u64,
    pub(super) stopped: bool,
}

/// Makes a client of a session and the way to its server.
pub fn client(
    session: ClientSession,
    connect: ConnectOptions,
    backoff: BackoffOptions,
) -> (Client, Events, Runner) {
    let shared = Arc::new(Shared {
        session: Mutex::new(session),
        news: Notify::new(),
    });
    let (control, watching) = watch::channel(Control {
        connect,
        generation: 0,
        stopped: false,
    });
    let (sender, receiver) = mpsc::channel(EVENTS);
    let runner = Runner::new(Arc::clone(&shared), watching, sender, backoff);
    (
        Client {
            shared,
            control: Arc::new(control),
        },
        Events { receiver },
        runner,
    )
}

impl Client {
    /// Looks at the session or changes it, and has sent what is new.
    pub fn session<R>(&self, act: impl FnOnce(&mut ClientSession) -> R) -> R {
        let result = self.shared.with(act);
        self.shared.news.notify_one();
        result
    }

    /// Leaves the present server in order and connects with other options, and tells the server
    /// there everything.
    pub fn reconnect(&self, connect: ConnectOptions) {
        self.control.send_modify(|control| {
            control.connect = connect;
            control.generation += 1;
        });
    }

    /// Says goodbye to the server and ends the runner.
    pub fn stop(&self) {
        self.control.send_modify(|control| control.stopped = true);
    }
}

impl Events {
    /// The next event; `None` when the runner has ended.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        self.receiver.recv().await
    }
}

impl Shared {
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut ClientSession) -> R) -> R {
        // A panic of the agent's own closure leaves the session usable: each call is complete.
        act(&mut self.session.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("uid", &self.shared.with(|session| session.uid()))
            .finish_non_exhaustive()
    }
}
