//! One connection's life: send what is new, read what comes, until one side has enough.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::handle::ClientEvent;
use super::run::{Interrupt, Runner, delay};
use crate::client::{Event, Mode};
use crate::transport::{Connection, TransportError};

/// Time for a message to leave, and for the last answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time for a message to leave while nobody is in a hurry.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that is in use.
pub(super) struct Conversation<'r> {
    runner: &'r mut Runner,
    connection: Connection,
    /// Whether the agent knows that the server answers.
    told: bool,
}

/// How a conversation ended.
pub(super) enum End {
    /// By the agent; the server was told.
    Interrupted(Interrupt),
    /// By the server or the network.
    Lost {
        error: Option<TransportError>,
        retry_after: Option<Duration>,
    },
}

/// What to do next.
enum Step {
    Send,
    Receive(Result<Vec<u8>, TransportError>),
}

impl<'r> Conversation<'r> {
    pub(super) fn new(runner: &'r mut Runner, connection: Connection) -> Self {
        Self {
            runner,
            connection,
            told: false,
        }
    }

    pub(super) async fn run(mut self) -> End {
        let end = match self.converse().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        match &end {
            End::Interrupted(_) => self.goodbye().await,
            // A request over plain HTTP that failed leaves the session as it is: the next
            // exchange goes on from there. A connection that is lost does not.
            End::Lost { .. } if self.is_polling() => {}
            // The server sent the agent away: the connection stands, and is left in order (DC-07).
            End::Lost { error: None, .. } => self.goodbye().await,
            End::Lost { .. } => self.runner.shared.with(|session| session.disconnected()),
        }
        end
    }

    async fn converse(&mut self) -> Result<std::convert::Infallible, End> {
        self.begin().await?;
        loop {
            self.send_all().await?;
            if let Step::Receive(received) = self.next_step().await? {
                self.receive(received).await?;
            }
        }
    }

    async fn begin(&mut self) -> Result<(), End> {
        let (mode, now) = (self.connection.mode(), Instant::now().into_std());
        self.runner.shared.with(|session| {
            if mode == Mode::Stream || session.next_wake().is_none() {
                session.connected(mode, now);
            }
        });
        // A request has to be answered before anything is known of the server.
        if self.is_polling() {
            Ok(())
        } else {
            self.tell_connected().await
        }
    }

    /// Sends everything that is due, as far as the transport takes it.
    async fn send_all(&mut self) -> Result<(), End> {
        while self.connection.can_send() {
            let Some(message) = self.next_message() else {
                return Ok(());
            };
            if self.is_polling() {
                self.runner.unanswered = Some(message.clone());
            }
            let sent = timeout(SEND_TIMEOUT, self.connection.send(message)).await;
            match sent.unwrap_or(Err(TransportError::Timeout)) {
                Ok(()) => {}
                Err(error @ TransportError::TooLarge { .. }) => {
                    self.runner.unanswered = None;
                    tracing::warn!(error = %error, "a message was dropped");
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    fn next_message(&mut self) -> Option<Vec<u8>> {
        let again = self.runner.unanswered.take();
        again.or_else(|| {
            let now = Instant::now().into_std();
            let (message, skipped) = self
                .runner
                .shared
                .with(|session| (session.poll_send(now), session.take_skipped()));
            for part in skipped {
                tracing::warn!(
                    part = part.part,
                    bytes = part.bytes,
                    limit_bytes = part.limit_bytes,
                    "a part of the status is too large and was not sent"
                );
            }
            message
        })
    }

    /// Waits for whatever comes first. Everything here is cancel-safe.
    async fn next_step(&mut self) -> Result<Step, End> {
        let can_send = self.connection.can_send();
        let wake = self
            .runner
            .shared
            .with(|session| session.next_wake())
            .filter(|_| can_send);
        let wake = async {
            match wake {
                Some(wake) => sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        let shared = std::sync::Arc::clone(&self.runner.shared);
        tokio::select! {
            biased;
            interrupt = self.runner.interrupted() => Err(End::Interrupted(interrupt)),
            received = self.connection.receive() => Ok(Step::Receive(received)),
            () = shared.news.notified() => Ok(Step::Send),
            () = wake => Ok(Step::Send),
        }
    }

    async fn receive(&mut self, received: Result<Vec<u8>, TransportError>) -> Result<(), End> {
        let message = received.map_err(|error| self.failed(error))?;
        self.runner.unanswered = None;
        let now = Instant::now().into_std();
        let received = self
            .runner
            .shared
            .with(|session| session.receive(&message, now));
        let received =
            received.map_err(|error| self.failed(TransportError::BadMessage(error.into())))?;
        self.tell_connected().await?;
        for event in received.events {
            self.tell(event).await?;
        }
        match received.reconnect {
            Some(reconnect) => Err(End::Lost {
                error: None,
                retry_after: reconnect.after,
            }),
            None => Ok(()),
        }
    }

    async fn tell(&mut self, event: Event) -> Result<(), End> {
        self.runner
            .tell(ClientEvent::Server(event))
            .await
            .map_or(Ok(()), |by| Err(End::Interrupted(by)))
    }

    async fn tell_connected(&mut self) -> Result<(), End> {
        if std::mem::replace(&mut self.told, true) {
            return Ok(());
        }
        self.runner.backoff.connected(Instant::now().into_std());
        self.runner
            .tell(ClientEvent::Connected)
            .await
            .map_or(Ok(()), |by| Err(End::Interrupted(by)))
    }

    fn failed(&mut self, error: TransportError) -> End {
        if !error.may_resend() {
            self.runner.unanswered = None;
        }
        let retry_after = delay(error.retry_after());
        End::Lost {
            error: Some(error),
            retry_after,
        }
    }

    /// Says that the agent leaves, and closes in order.
    async fn goodbye(mut self) {
        if !self.connection.can_send()
            && timeout(PATIENCE, self.connection.receive()).await.is_err()
        {
            tracing::debug!("the last answer did not come");
        }
        let message = self.runner.shared.with(|session| session.goodbye());
        match timeout(PATIENCE, self.connection.send(message)).await {
            Ok(Ok(())) => self.connection.close().await,
            Ok(Err(error)) => tracing::debug!(error = %error, "the server was not told goodbye"),
            Err(_) => tracing::debug!("the server takes no goodbye"),
        }
    }

    fn is_polling(&self) -> bool {
        self.connection.mode() == Mode::Polling
    }
}
