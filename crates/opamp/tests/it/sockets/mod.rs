//! The client's rules over real sockets: our runner against a peer that the test scripts, over each transport.
//!
//! What counts is what the peer saw on the wire. That something is *not* said is shown by what is said next: a message that
//! should not be there would have come first, or would have taken a number.

mod capabilities;
mod custom;
mod framing;
mod heartbeats;
mod identity;
mod offers;
mod peer;
mod refusals;
mod reporting;

use std::time::{Duration, Instant};

use opamp::client::{BackoffOptions, ClientSession, Event, SessionOptions};
use opamp::model::AgentCapabilities;
use opamp::proto::{self, AgentToServer, ServerToAgent};
use opamp::runner::{Client, ClientEvent, Events, client};

use self::peer::{Peer, Way};
use crate::peers::within;
use crate::support::{UID, description, health};

const HOUR: Duration = Duration::from_secs(3600);

/// Redials at once.
const QUICK: BackoffOptions = BackoffOptions {
    first: Duration::from_millis(1),
    max: Duration::from_millis(5),
    reset_after: Duration::from_secs(60),
    max_retry_after: HOUR,
};

/// A described session that says nothing by itself.
fn quiet(capabilities: AgentCapabilities) -> ClientSession {
    let mut session = ClientSession::new(SessionOptions {
        heartbeat_interval: HOUR,
        ..SessionOptions::new(UID, capabilities)
    });
    session.set_description(&description("edge"));
    session
}

/// A running client and the peer it talks to.
struct Pair {
    client: Client,
    events: Events,
    peer: Peer,
    nudges: u64,
}

/// Runs a test over each transport in turn.
async fn over_each(test: impl AsyncFn(Way)) {
    for way in Way::ALL {
        eprintln!("over {way:?}");
        test(way).await;
    }
}

impl Pair {
    async fn start(way: Way, session: ClientSession) -> Self {
        let peer = Peer::listen(way).await;
        let (client, events, runner) = client(session, peer.options(), QUICK);
        tokio::spawn(runner.run());
        Self {
            client,
            events,
            peer,
            nudges: 0,
        }
    }

    /// A pair whose first message was received and answered.
    async fn settled(way: Way, session: ClientSession) -> Self {
        let mut pair = Self::start(way, session).await;
        pair.peer.next().await;
        pair.answer(ServerToAgent::default()).await;
        pair
    }

    /// The agent's next message.
    async fn next(&mut self) -> AgentToServer {
        self.peer.next().await
    }

    /// Answers the message received last, and waits until the client has made of it what it will: gives its events.
    async fn answer(&mut self, reply: ServerToAgent) -> Vec<Event> {
        let mark = proto::CustomCapabilities {
            capabilities: vec![format!("org.opamp-test.mark{}", self.peer.sent())],
        };
        let marked = ServerToAgent {
            custom_capabilities: Some(mark.clone()),
            ..reply
        };
        self.peer.send(&marked).await;
        let events = self.told_until(&mark.capabilities).await;
        self.until_nothing_is_due().await;
        events
    }

    /// The events up to the one that tells of the list `mark`.
    async fn told_until(&mut self, mark: &[String]) -> Vec<Event> {
        let mut told = Vec::new();
        loop {
            match within(self.events.next()).await.expect("the runner runs") {
                ClientEvent::Server(Event::CustomCapabilities(list)) if list.0 == mark => {
                    return told;
                }
                ClientEvent::Server(event) => told.push(event),
                _ => {}
            }
        }
    }

    async fn until_nothing_is_due(&self) {
        within(async {
            let is_due = || {
                let wake = self.client.session(|session| session.next_wake());
                wake.is_some_and(|wake| wake <= Instant::now())
            };
            while is_due() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// Waits until the client knows that its connection is gone.
    async fn lost(&mut self) {
        loop {
            let event = within(self.events.next()).await.expect("the runner runs");
            if matches!(event, ClientEvent::Disconnected { .. }) {
                return;
            }
        }
    }

    /// Changes the agent's health.
    fn report_health(&self, time: u64) {
        let health = health(true, 1, time);
        self.client.session(|session| session.set_health(&health));
    }

    /// Changes the agent's health and gives the next message, whatever it is.
    async fn nudge(&mut self) -> AgentToServer {
        self.nudges += 1;
        self.report_health(self.nudges);
        self.next().await
    }

    /// Shows that the agent said nothing since the message `last`: what it says next has the next number and tells of
    /// its health alone.
    async fn said_nothing_since(&mut self, last: &AgentToServer) -> AgentToServer {
        let next = self.nudge().await;
        assert_eq!(next.sequence_num, last.sequence_num + 1);
        let alone = AgentToServer {
            health: None,
            ..next.clone()
        };
        assert!(next.health.is_some() && is_bare(&alone), "{next:?}");
        next
    }
}

/// Whether a message has nothing but what every message has.
fn is_bare(message: &AgentToServer) -> bool {
    let bare = AgentToServer {
        instance_uid: message.instance_uid.clone(),
        sequence_num: message.sequence_num,
        capabilities: message.capabilities,
        ..AgentToServer::default()
    };
    *message == bare
}
