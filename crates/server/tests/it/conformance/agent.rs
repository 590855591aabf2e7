//! Our own client, as a program that manages an agent uses it.

use std::time::Duration;

use fleetsim::Transport;
use opamp::client::{BackoffOptions, ClientSession, Event, SessionOptions};
use opamp::model::{AgentCapabilities, AgentDescription, Attribute, InstanceUid};
use opamp::runner::{Client, ClientEvent, Events, client};
use testkit::{DEADLINE, TestServer};

use super::raw::connect_options;

/// A running client; it polls and redials quickly.
pub struct Agent {
    pub client: Client,
    events: Events,
}

impl Agent {
    /// A session with a description.
    pub fn session(uid: u8, capabilities: AgentCapabilities) -> ClientSession {
        let mut session = ClientSession::new(SessionOptions {
            heartbeat_interval: Duration::from_millis(20),
            ..SessionOptions::new(InstanceUid::new([uid; 16]), capabilities)
        });
        session.set_description(&AgentDescription {
            identifying: vec![Attribute::new("service.name", "edge")],
            non_identifying: vec![Attribute::new("os.type", "linux")],
        });
        session
    }

    pub fn start(server: &TestServer, transport: Transport, session: ClientSession) -> Self {
        let backoff = BackoffOptions {
            first: Duration::from_millis(10),
            max: Duration::from_millis(50),
            ..BackoffOptions::default()
        };
        let (client, events, runner) = client(session, connect_options(server, transport), backoff);
        tokio::spawn(runner.run());
        Self { client, events }
    }

    /// The first event that `pick` takes.
    pub async fn told<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
        let told = async {
            loop {
                let event = self.events.next().await.expect("the runner runs");
                if let ClientEvent::Server(event) = event
                    && let Some(picked) = pick(event)
                {
                    return picked;
                }
            }
        };
        tokio::time::timeout(DEADLINE, told)
            .await
            .expect("an event in time")
    }
}
