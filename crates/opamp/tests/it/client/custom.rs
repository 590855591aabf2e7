//! Inventories of components, custom capabilities and custom messages.

use std::time::Instant;

use opamp::client::{CustomMessageRefused, Event, InvalidCustomCapability, Mode};
use opamp::model::{AgentCapabilities, ConfigFile, ConfigMap, CustomCapabilities, CustomMessage};
use opamp::proto::{AgentToServer, ServerToAgent, ServerToAgentFlags};
use opamp::server::{Reply, encode_remote_config, encode_remote_config_delta};
use prost::Message as _;

use super::{SERVER, components, parts};
use crate::support::{REPORTING, UID, addressed, give, give_raw, health, sent, session, settled};

#[test]
fn co_01_co_02_co_03_components_travel_by_hash_and_as_a_map_on_request() {
    let now = Instant::now();
    let mut session = session(AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS, now);
    session.set_available_components(&components());
    let first = sent(&mut session, now).available_components.unwrap();
    assert_eq!((first.hash, first.components.len()), (b"h".to_vec(), 0));
    give(
        &mut session,
        Reply::to(UID, SERVER).report_available_components(),
        now,
    );
    let message = sent(&mut session, now);
    assert_eq!(parts(&message), ["available_components"]);
    let asked = message.available_components.unwrap();
    assert_eq!((asked.hash, asked.components.len()), (b"h".to_vec(), 1));
    give(
        &mut session,
        Reply::to(UID, SERVER)
            .report_available_components()
            .report_full_state(),
        now,
    );
    let both = sent(&mut session, now);
    assert_eq!(parts(&both), ["agent_description", "available_components"]);
    assert_eq!(both.available_components.unwrap().components.len(), 1);
}

#[test]
fn cu_01_custom_capabilities_are_sent_when_the_list_changes() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    session
        .set_custom_capabilities(&CustomCapabilities(vec!["io.x.y".into()]))
        .unwrap();
    assert_eq!(parts(&sent(&mut session, now)), ["custom_capabilities"]);
    session
        .set_custom_capabilities(&CustomCapabilities(vec!["io.x.y".into()]))
        .unwrap();
    assert_eq!(session.poll_send(now), None);
    session
        .set_custom_capabilities(&CustomCapabilities::default())
        .unwrap();
    assert_eq!(
        sent(&mut session, now)
            .custom_capabilities
            .unwrap()
            .capabilities,
        [""; 0]
    );
}

#[test]
fn cu_02_what_is_no_name_of_a_capability_is_not_announced() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let names = ["io.x.y", "lookup"].map(str::to_owned);
    let refused = session.set_custom_capabilities(&CustomCapabilities(names.into()));
    assert_eq!(
        refused,
        Err(InvalidCustomCapability {
            name: "lookup".into()
        })
    );
    assert_eq!(session.poll_send(now), None);
}

#[test]
fn cu_03_custom_messages_need_the_capability_on_both_sides() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let custom = CustomMessage {
        capability: "io.x.y".into(),
        kind: "k".into(),
        data: vec![1],
    };
    assert_eq!(
        session.send_custom_message(custom.clone()),
        Err(CustomMessageRefused::NotAnnounced)
    );
    let mine = CustomCapabilities(vec!["io.x.y".into()]);
    session.set_custom_capabilities(&mine).unwrap();
    sent(&mut session, now);
    assert_eq!(
        session.send_custom_message(custom.clone()),
        Err(CustomMessageRefused::Unsupported)
    );
    let events = give(
        &mut session,
        Reply::to(UID, SERVER).custom_capabilities(&mine),
        now,
    )
    .events;
    assert_eq!(events, [Event::CustomCapabilities(mine.clone())]);

    for _ in 0..16 {
        assert_eq!(session.send_custom_message(custom.clone()), Ok(()));
    }
    assert_eq!(
        session.send_custom_message(custom.clone()),
        Err(CustomMessageRefused::QueueFull { limit: 16 })
    );
    for _ in 0..16 {
        assert_eq!(sent(&mut session, now).custom_message.unwrap().r#type, "k");
    }
    assert_eq!(session.poll_send(now), None);

    let events = give(
        &mut session,
        Reply::to(UID, SERVER).custom_message(&custom),
        now,
    )
    .events;
    assert_eq!(events, [Event::CustomMessage(custom.clone())]);
    let unknown = CustomMessage {
        capability: "io.other".into(),
        ..custom
    };
    assert_eq!(
        give(
            &mut session,
            Reply::to(UID, SERVER).custom_message(&unknown),
            now
        )
        .events,
        []
    );
}

#[test]
fn co_03_the_map_comes_along_with_other_news_and_once() {
    let now = Instant::now();
    let reports = REPORTING | AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS;
    let ask = ServerToAgent {
        flags: ServerToAgentFlags::ReportAvailableComponents as u64,
        ..addressed()
    };
    let mut session = settled(reports, SERVER, now);
    session.set_available_components(&components());
    sent(&mut session, now);
    give_raw(&mut session, &ask, now);
    session.set_health(&health(true, 1, 1));
    let message = sent(&mut session, now);
    assert_eq!(parts(&message), ["health", "available_components"]);
    assert!(!message.available_components.unwrap().components.is_empty());

    // Asked for before its hash was told: in one part, not in two.
    let mut session = settled(reports, SERVER, now);
    give_raw(&mut session, &ask, now);
    session.set_available_components(&components());
    let bytes = session.poll_send(now).unwrap();
    let expected = sent_whole(&AgentToServer::decode(&bytes[..]).unwrap());
    assert_eq!(bytes.len(), expected);
}

/// The size of a message whose parts stand in it once.
fn sent_whole(message: &AgentToServer) -> usize {
    // A number of 0 is written, which the canonical encoding would leave out.
    message.encoded_len() + if message.sequence_num == 0 { 2 } else { 0 }
}

#[test]
fn cu_01_custom_capabilities_are_said_again_with_each_connection() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    session
        .set_custom_capabilities(&CustomCapabilities(vec!["io.x.y".into()]))
        .unwrap();
    sent(&mut session, now);
    session.disconnected();
    session.connected(Mode::Stream, now);
    assert_eq!(parts(&sent(&mut session, now)), ["custom_capabilities"]);
    assert_eq!(session.poll_send(now), None);
}

#[test]
fn the_whole_of_an_offer_is_asked_for_and_passed_on_when_it_comes() {
    let now = Instant::now();
    let mut session = settled(
        REPORTING | AgentCapabilities::ACCEPTS_REMOTE_CONFIG,
        SERVER,
        now,
    );
    let config = ConfigMap::from([("config.yaml".to_owned(), ConfigFile::new("a: 1", ""))]);
    let ours = CustomCapabilities(vec![CustomCapabilities::DELTA.to_owned()]);
    session.set_custom_capabilities(&ours).unwrap();
    sent(&mut session, now);
    let delta =
        Reply::to(UID, SERVER).remote_config(encode_remote_config_delta(&config, b"h", &deltas()));
    let events = give(&mut session, delta.clone(), now).events;
    assert!(
        events.contains(&Event::CustomCapabilities(ours)),
        "{events:?}"
    );
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::RemoteConfig(offer) if offer.hash == b"h"))
    );
    assert!(give(&mut session, delta, now).events.is_empty());
    session.ask_for_whole(b"h").unwrap();
    let asked = sent(&mut session, now).custom_message.unwrap();
    assert_eq!(
        (asked.r#type.as_str(), &asked.data[..]),
        ("whole", &b"h"[..])
    );
    let whole = Reply::to(UID, SERVER).remote_config(encode_remote_config(&config, b"h"));
    assert_eq!(give(&mut session, whole, now).events.len(), 1);
}

fn deltas() -> CustomCapabilities {
    CustomCapabilities(vec![CustomCapabilities::DELTA.to_owned()])
}
