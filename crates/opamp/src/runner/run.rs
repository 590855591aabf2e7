//! Connects, converses and waits, over and over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::conversation::{Conversation, End};
use super::handle::{ClientEvent, Control, Shared};
use crate::client::{Backoff, BackoffOptions, RetryAfter};
use crate::transport::{ConnectError, Connection, TransportError};

/// The client's work: spawn [`run`](Runner::run) on a tokio runtime.
pub struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) control: watch::Receiver<Control>,
    pub(super) events: mpsc::Sender<ClientEvent>,
    pub(super) backoff: Backoff,
    /// The generation of connect options that is in use.
    pub(super) generation: u64,
    /// Over plain HTTP: a request without an answer, to be sent again as it was.
    pub(super) unanswered: Option<Vec<u8>>,
}

/// What interrupts the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// The client shall end.
    Stop,
    /// The client shall go to another server.
    Move,
}

impl Runner {
    pub(super) fn new(
        shared: Arc<Shared>,
        control: watch::Receiver<Control>,
        events: mpsc::Sender<ClientEvent>,
        backoff: BackoffOptions,
    ) -> Self {
        Self {
            shared,
            control,
            events,
            backoff: Backoff::new(backoff),
            generation: 0,
            unanswered: None,
        }
    }

    /// Runs the client until it is stopped or its events are dropped.
    pub async fn run(mut self) {
        loop {
            let wait = match self.connect().await {
                Ok(Ok(connection)) => {
                    match Box::pin(Conversation::new(&mut self, connection).run()).await {
                        End::Interrupted(interrupt) => Err(interrupt),
                        End::Lost { error, retry_after } => {
                            let throttled =
                                error.as_ref().is_none_or(TransportError::is_throttling);
                            let retry_in = self.lost(retry_after, throttled);
                            Ok((retry_in, ClientEvent::Disconnected { error, retry_in }))
                        }
                    }
                }
                Ok(Err(error)) => {
                    let retry_in = self.lost(delay(error.retry_after()), error.is_throttling());
                    Ok((retry_in, ClientEvent::ConnectFailed { error, retry_in }))
                }
                Err(interrupt) => Err(interrupt),
            };
            let interrupt = match wait {
                Ok((retry_in, event)) => self.wait(retry_in, event).await,
                Err(interrupt) => Some(interrupt),
            };
            match interrupt {
                Some(Interrupt::Stop) => return,
                Some(Interrupt::Move) => self.shared.with(|session| session.forget_server()),
                None => {}
            }
        }
    }

    /// Connects with the newest options, unless interrupted.
    async fn connect(&mut self) -> Result<Result<Connection, ConnectError>, Interrupt> {
        let (options, generation) = {
            let control = self.control.borrow_and_update();
            (control.connect.clone(), control.generation)
        };
        if self.generation != generation {
            self.unanswered = None;
        }
        self.generation = generation;
        let uid = self.shared.with(|session| session.uid());
        tokio::select! {
            biased;
            interrupt = self.interrupted() => Err(interrupt),
            connected = Connection::connect(&options, uid) => Ok(connected),
        }
    }

    /// Tells what happened, then waits.
    async fn wait(&mut self, time: Duration, event: ClientEvent) -> Option<Interrupt> {
        let told = self.tell(event).await;
        if told.is_some() {
            return told;
        }
        tokio::select! {
            biased;
            interrupt = self.interrupted() => Some(interrupt),
            () = sleep(time) => None,
        }
    }

    /// Passes an event to the agent, however long it takes to have room for it, unless interrupted.
    pub(super) async fn tell(&mut self, event: ClientEvent) -> Option<Interrupt> {
        let events = self.events.clone();
        tokio::select! {
            biased;
            sent = events.send(event) => sent.is_err().then_some(Interrupt::Stop),
            interrupt = self.interrupted() => Some(interrupt),
        }
    }

    /// Waits until the agent wants something of the runner itself. Cancel-safe.
    pub(super) async fn interrupted(&mut self) -> Interrupt {
        let generation = self.generation;
        let wanted = self
            .control
            .wait_for(|control| control.stopped || control.generation != generation);
        tokio::select! {
            biased;
            () = self.events.closed() => Interrupt::Stop,
            wanted = wanted => match wanted {
                Ok(control) if !control.stopped => Interrupt::Move,
                // Stopped, or nobody is left who could stop it.
                _ => Interrupt::Stop,
            },
        }
    }

    /// How long to wait now; only an unexpected loss may be followed by an attempt at once (RT-01).
    fn lost(&mut self, retry_after: Option<Duration>, throttled: bool) -> Duration {
        let (now, random) = (Instant::now().into_std(), rand::random());
        if throttled {
            self.backoff.throttled(now, retry_after, random)
        } else {
            self.backoff.lost(now, retry_after, random)
        }
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// A wait from now of what a server asked for.
pub(super) fn delay(retry_after: Option<RetryAfter>) -> Option<Duration> {
    retry_after.map(|after| after.delay(wall_clock()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a date in Retry-After means the wall clock; nothing of it is stored"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
