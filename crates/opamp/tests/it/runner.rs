//! The runner: it stays connected, and says goodbye when it goes.

use std::time::Duration;

use futures_util::StreamExt as _;
use opamp::client::{BackoffOptions, ClientSession, Event, RemoteConfigOffer, SessionOptions};
use opamp::model::{ApplyState, RemoteConfigStatus, ServerCapabilities, WireState};
use opamp::runner::{Client, ClientEvent, Events, client};
use opamp::server::{ErrorKind, Reply, encode_remote_config};
use opamp::transport::{ConnectError, ConnectOptions, TransportError};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::peers::{WsPeer, accept_ws, answer_once, http_peer, listen, options, within};
use crate::support::{REPORTING, SECOND, UID, config, description, health};

const SERVER: ServerCapabilities = ServerCapabilities::ALL;
const QUICK: BackoffOptions = BackoffOptions {
    first: Duration::from_millis(1),
    max: Duration::from_millis(5),
    reset_after: Duration::from_secs(60),
    max_retry_after: Duration::from_secs(3600),
};

struct Agent {
    client: Client,
    events: Events,
    running: JoinHandle<()>,
}

impl Agent {
    fn start(connect: ConnectOptions) -> Self {
        Self::start_with(connect, QUICK)
    }

    fn start_with(connect: ConnectOptions, backoff: BackoffOptions) -> Self {
        let mut session = ClientSession::new(SessionOptions::new(UID, REPORTING));
        session.set_description(&description("edge"));
        let (client, events, runner) = client(session, connect, backoff);
        Self {
            client,
            events,
            running: tokio::spawn(runner.run()),
        }
    }

    async fn event(&mut self) -> ClientEvent {
        within(self.events.next()).await.expect("the runner runs")
    }

    async fn connected(&mut self) {
        let event = self.event().await;
        assert!(matches!(event, ClientEvent::Connected), "{event:?}");
    }

    /// The server's next word that is not about its capabilities.
    async fn told(&mut self) -> Event {
        loop {
            match self.event().await {
                ClientEvent::Server(Event::ServerCapabilities(_)) => {}
                ClientEvent::Server(event) => return event,
                other => panic!("{other:?} instead of a word of the server"),
            }
        }
    }

    async fn disconnected(&mut self) -> (Option<TransportError>, Duration) {
        loop {
            match self.event().await {
                ClientEvent::Disconnected { error, retry_in } => return (error, retry_in),
                ClientEvent::Server(_) => {}
                other => panic!("{other:?} instead of a loss"),
            }
        }
    }

    async fn ended(mut self) {
        while within(self.events.next()).await.is_some() {}
        within(self.running).await.unwrap();
    }
}

async fn connected() -> (Agent, WsPeer, TcpListener) {
    let listener = listen().await;
    let mut agent = Agent::start(options("ws", &listener));
    let peer = within(accept_ws(&listener)).await;
    agent.connected().await;
    (agent, peer, listener)
}

#[tokio::test]
async fn st_01_st_03_reports_go_out_and_offers_come_in() {
    let (mut agent, mut peer, _listener) = connected().await;
    let mut wire = WireState::default();
    let first = peer.receive(&mut wire).await;
    assert_eq!(first.changes.description, Some(description("edge")));

    let encoded = encode_remote_config(&config("a: 1"), b"hash");
    peer.send(
        Reply::to(UID, SERVER)
            .remote_config(encoded)
            .encode()
            .to_vec(),
    )
    .await;
    let offer = RemoteConfigOffer {
        config: Some(config("a: 1")),
        hash: b"hash".to_vec(),
    };
    assert_eq!(agent.told().await, Event::RemoteConfig(offer));

    let status = RemoteConfigStatus {
        last_hash: b"hash".to_vec(),
        state: ApplyState::Applied,
        error: String::new(),
    };
    agent
        .client
        .session(|session| session.set_remote_config_status(&status));
    let second = peer.receive(&mut wire).await;
    assert_eq!(second.changes.remote_config_status, Some(status));
    assert!(!second.full_state_needed);
}

#[tokio::test]
async fn rt_01_st_02_a_lost_connection_is_made_anew_at_once_and_goes_on() {
    let (mut agent, mut peer, listener) = connected().await;
    let mut wire = WireState::default();
    peer.receive(&mut wire).await;
    drop(peer);
    let (error, retry_in) = agent.disconnected().await;
    assert!(
        matches!(
            error,
            Some(TransportError::Lost(_) | TransportError::Closed { .. })
        ),
        "{error:?}"
    );
    assert_eq!(retry_in, Duration::ZERO);
    let mut peer = within(accept_ws(&listener)).await;
    agent.connected().await;
    let again = peer.receive(&mut wire).await;
    assert!(again.changes.description.is_none() && !again.full_state_needed);
}

#[tokio::test]
async fn rt_02_failed_attempts_go_on_until_one_succeeds() {
    let listener = listen().await;
    let mut agent = Agent::start(options("ws", &listener));
    for _ in 0..5 {
        within(answer_once(
            &listener,
            "HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n",
        ))
        .await;
        let event = agent.event().await;
        let ClientEvent::ConnectFailed {
            error: ConnectError::Refused { status: 500, .. },
            retry_in,
        } = event
        else {
            panic!("{event:?}")
        };
        assert!(retry_in <= QUICK.max);
    }
    let _peer = within(accept_ws(&listener)).await;
    agent.connected().await;
}

#[tokio::test]
async fn rt_09_retry_after_is_obeyed() {
    let listener = listen().await;
    let mut agent = Agent::start(options("ws", &listener));
    within(answer_once(
        &listener,
        "HTTP/1.1 503 Busy\r\nretry-after: 77\r\n\r\n",
    ))
    .await;
    let event = agent.event().await;
    assert!(
        matches!(event, ClientEvent::ConnectFailed { retry_in, .. } if retry_in == 77 * SECOND),
        "{event:?}"
    );
    agent.client.stop();
    agent.ended().await;
}

#[tokio::test]
async fn rt_07_dc_01_dc_07_an_overloaded_server_is_left_in_order_for_as_long_as_it_says() {
    let (mut agent, mut peer, _listener) = connected().await;
    peer.message().await;
    let busy = Reply::error(
        Some(UID.into()),
        ErrorKind::Unavailable,
        "busy",
        Some(55 * SECOND),
    );
    peer.send(busy.to_vec()).await;
    assert!(
        matches!(agent.told().await, Event::Error(error) if error.kind == ErrorKind::Unavailable)
    );
    let closing = async {
        assert!(peer.message().await.agent_disconnect.is_some());
        assert!(
            peer.closed().await.is_some(),
            "the socket is closed in order"
        );
        assert!(peer.socket.next().await.is_none());
    };
    let ((error, retry_in), ()) = tokio::join!(agent.disconnected(), closing);
    assert!(error.is_none());
    assert_eq!(retry_in, 55 * SECOND);
}

#[tokio::test]
async fn rt_07_an_overloaded_server_that_names_no_time_is_not_redialed_at_once() {
    let listener = listen().await;
    let slow = BackoffOptions {
        first: Duration::from_secs(1_000_000_000),
        max: Duration::from_secs(1_000_000_000),
        ..QUICK
    };
    let mut agent = Agent::start_with(options("ws", &listener), slow);
    let mut peer = within(accept_ws(&listener)).await;
    agent.connected().await;
    peer.message().await;
    let busy = Reply::error(Some(UID.into()), ErrorKind::Unavailable, "busy", None);
    peer.send(busy.to_vec()).await;
    let closing = async { while peer.socket.next().await.is_some() {} };
    let ((_, retry_in), ()) = tokio::join!(agent.disconnected(), closing);
    assert_ne!(retry_in, Duration::ZERO);
}

#[tokio::test]
async fn rt_09_retry_after_zero_does_not_make_a_tight_loop() {
    let listener = listen().await;
    let slow = BackoffOptions {
        first: Duration::from_secs(1_000_000_000),
        max: Duration::from_secs(1_000_000_000),
        ..QUICK
    };
    let mut agent = Agent::start_with(options("ws", &listener), slow);
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 0\r\n\r\n";
    within(answer_once(&listener, busy)).await;
    let event = agent.event().await;
    let ClientEvent::ConnectFailed { retry_in, .. } = event else {
        panic!("{event:?}")
    };
    assert_ne!(retry_in, Duration::ZERO);
}

#[tokio::test]
async fn a_message_that_is_none_ends_the_connection() {
    let (mut agent, mut peer, listener) = connected().await;
    peer.send(vec![0x0b]).await;
    let (error, _) = agent.disconnected().await;
    assert!(matches!(error, Some(TransportError::BadMessage(_))));
    let _peer = within(accept_ws(&listener)).await;
    agent.connected().await;
}

#[tokio::test]
async fn dc_01_dc_02_stopping_says_goodbye_and_closes() {
    let (agent, mut peer, _listener) = connected().await;
    assert!(peer.message().await.agent_disconnect.is_none());
    agent.client.stop();
    assert!(peer.message().await.agent_disconnect.is_some());
    assert_eq!(peer.closed().await, Some((1000, String::new())));
    assert!(within(peer.socket.next()).await.is_none());
    agent.ended().await;
}

#[tokio::test]
async fn dropping_all_handles_or_the_events_ends_the_runner() {
    let (agent, mut peer, _listener) = connected().await;
    let Agent {
        client,
        events,
        running,
    } = agent;
    drop(client);
    peer.message().await;
    assert!(peer.message().await.agent_disconnect.is_some());
    drop(peer);
    within(running).await.unwrap();
    drop(events);

    let (agent, peer, _listener) = connected().await;
    drop(agent.events);
    drop(peer);
    within(agent.running).await.unwrap();
}

#[tokio::test]
async fn dc_07_moving_leaves_the_old_server_in_order_and_tells_the_new_one_everything() {
    let (mut agent, mut peer, _listener) = connected().await;
    peer.message().await;
    let elsewhere = listen().await;
    agent.client.reconnect(options("ws", &elsewhere));
    assert!(peer.message().await.agent_disconnect.is_some());
    assert!(peer.closed().await.is_some());
    // The answer to the close frame is on its way; reading on sends it.
    assert!(within(peer.socket.next()).await.is_none());
    drop(peer);
    let mut peer = within(accept_ws(&elsewhere)).await;
    agent.connected().await;
    let message = peer.message().await;
    assert!(message.agent_description.is_some());
    assert_eq!(message.sequence_num, 2);
}

#[tokio::test]
async fn moving_interrupts_a_long_wait() {
    let listener = listen().await;
    let mut agent = Agent::start(options("ws", &listener));
    within(answer_once(
        &listener,
        "HTTP/1.1 503 Busy\r\nretry-after: 3000\r\n\r\n",
    ))
    .await;
    agent.event().await;
    let elsewhere = listen().await;
    agent.client.reconnect(options("ws", &elsewhere));
    let _peer = within(accept_ws(&elsewhere)).await;
    agent.connected().await;
}

#[tokio::test]
async fn a_slow_agent_holds_the_server_back_and_can_still_stop() {
    let (agent, mut peer, _listener) = connected().await;
    for number in 0..200_u8 {
        let encoded = encode_remote_config(&config("a: 1"), &[number]);
        peer.send(
            Reply::to(UID, SERVER)
                .remote_config(encoded)
                .encode()
                .to_vec(),
        )
        .await;
    }
    agent.client.stop();
    drop(peer);
    within(agent.running).await.unwrap();
}

#[tokio::test]
async fn ht_07_polls_go_on_over_plain_http_and_replies_are_told() {
    let mut peer = http_peer().await;
    let mut agent = Agent::start(peer.options.clone());
    agent
        .client
        .session(|session| session.set_heartbeat_interval(Duration::from_millis(10)));
    let first = peer.asked().await;
    assert!(first.message().agent_description.is_some());
    first.reply(Reply::to(UID, SERVER).encode().to_vec());
    agent.connected().await;
    for number in 1..4 {
        let poll = peer.asked().await;
        assert_eq!(poll.message().sequence_num, number);
        poll.reply(Reply::to(UID, SERVER).encode().to_vec());
    }
}

#[tokio::test]
async fn ht_09_what_is_new_follows_the_reply_at_once() {
    let mut peer = http_peer().await;
    let mut agent = Agent::start(peer.options.clone());
    let first = peer.asked().await;
    agent
        .client
        .session(|session| session.set_health(&health(true, 1, 1)));
    first.reply(Reply::to(UID, SERVER).encode().to_vec());
    agent.connected().await;
    assert!(peer.asked().await.message().health.is_some());
}

#[tokio::test]
async fn rt_03_an_unanswered_request_is_sent_again_as_it_was() {
    let mut peer = http_peer().await;
    let mut agent = Agent::start(peer.options.clone());
    let first = peer.asked().await;
    let bytes = first.body.clone();
    first.status(503, &[]);
    let (error, _) = agent.disconnected().await;
    assert!(matches!(
        error,
        Some(TransportError::Refused { status: 503, .. })
    ));
    let again = peer.asked().await;
    assert_eq!(again.body, bytes);
    again.reply(Reply::to(UID, SERVER).encode().to_vec());
    agent.connected().await;
}

#[tokio::test]
async fn ht_12_a_request_that_is_too_large_is_not_sent_again() {
    let mut peer = http_peer().await;
    let mut agent = Agent::start(peer.options.clone());
    agent
        .client
        .session(|session| session.set_heartbeat_interval(Duration::from_millis(50)));
    let first = peer.asked().await;
    assert_eq!(first.message().sequence_num, 0);
    first.status(413, &[]);
    agent.disconnected().await;
    let next = peer.asked().await.message();
    assert_eq!((next.sequence_num, next.agent_description), (1, None));
}

#[tokio::test]
async fn rt_08_over_plain_http_retry_after_is_obeyed_too() {
    let mut peer = http_peer().await;
    let mut agent = Agent::start(peer.options.clone());
    peer.asked().await.status(429, &[("retry-after", "33")]);
    assert_eq!(agent.disconnected().await.1, 33 * SECOND);
}

#[tokio::test]
async fn dc_04_stopping_says_goodbye_in_a_last_request() {
    let mut peer = http_peer().await;
    let mut agent = Agent::start(peer.options.clone());
    peer.asked()
        .await
        .reply(Reply::to(UID, SERVER).encode().to_vec());
    agent.connected().await;
    agent.client.stop();
    let last = peer.asked().await;
    assert!(last.message().agent_disconnect.is_some());
    last.reply(vec![]);
    agent.ended().await;
}

#[tokio::test]
async fn a_goodbye_waits_for_the_answer_that_is_under_way() {
    let mut peer = http_peer().await;
    let agent = Agent::start(peer.options.clone());
    let first = peer.asked().await;
    agent.client.stop();
    first.reply(Reply::to(UID, SERVER).encode().to_vec());
    let last = peer.asked().await;
    assert!(last.message().agent_disconnect.is_some());
    last.reply(vec![]);
    agent.ended().await;
}

#[tokio::test]
async fn a_new_identity_is_told_and_used() {
    let (mut agent, mut peer, _listener) = connected().await;
    peer.message().await;
    let new = opamp::model::InstanceUid::new([8; 16]);
    peer.send(Reply::to(UID, SERVER).new_uid(new).encode().to_vec())
        .await;
    assert_eq!(agent.told().await, Event::UidChanged { old: UID, new });
    let message = peer.message().await;
    assert_eq!(message.instance_uid, new.as_bytes());
    assert!(!message.encode_to_vec().is_empty());
    assert_eq!(agent.client.session(|session| session.uid()), new);
}
