//! Inventories of components, custom capabilities and custom messages.

use opamp::client::{CustomMessageRefused, Event};
use opamp::model::{
    AgentCapabilities, AvailableComponents, ComponentDetails, CustomCapabilities, CustomMessage,
};
use opamp::proto::{self, ServerToAgent, ServerToAgentFlags};

use super::peer::Way;
use super::{Pair, over_each, quiet};
use crate::support::REPORTING;

const OURS: &str = "org.example.ours";

fn inventory() -> AvailableComponents {
    AvailableComponents {
        hash: b"all of them".to_vec(),
        components: Some([("otlp".to_owned(), ComponentDetails::default())].into()),
    }
}

#[tokio::test]
async fn co_01_co_02_co_03_the_inventory_is_a_hash_until_the_server_asks_for_it() {
    over_each(async |way| {
        let reports = REPORTING | AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS;
        let mut session = quiet(reports);
        session.set_available_components(&inventory());
        let mut pair = Pair::start(way, session).await;
        let hash_alone = pair.next().await.available_components.unwrap();
        assert_eq!(hash_alone.hash, b"all of them");
        assert!(hash_alone.components.is_empty());
        let ask = ServerToAgent {
            flags: ServerToAgentFlags::ReportAvailableComponents as u64,
            ..ServerToAgent::default()
        };
        pair.peer.send(&ask).await;
        let answer = pair.next().await;
        let whole = answer.available_components.clone().unwrap();
        assert_eq!(whole.hash, b"all of them", "the hash each time");
        assert!(whole.components.contains_key("otlp"));
        pair.answer(ServerToAgent::default()).await;
        pair.said_nothing_since(&answer).await;

        let mut session = quiet(REPORTING);
        session.set_available_components(&inventory());
        let mut pair = Pair::start(way, session).await;
        let first = pair.next().await;
        assert_eq!(first.available_components, None);
        pair.answer(ask).await;
        pair.said_nothing_since(&first).await;
    })
    .await;
}

#[tokio::test]
async fn cu_01_cu_02_the_list_of_custom_capabilities_is_sent_when_it_changes() {
    over_each(async |way| {
        let mut pair = Pair::start(way, quiet(REPORTING)).await;
        let first = pair.next().await;
        assert_eq!(first.custom_capabilities, None);
        let announce = |pair: &Pair, names: &[&str]| {
            let list = CustomCapabilities(names.iter().map(|name| (*name).to_owned()).collect());
            pair.client
                .session(|session| session.set_custom_capabilities(&list))
        };
        for names in [&[OURS, "org.example.more/v2"][..], &[OURS]] {
            announce(&pair, names).unwrap();
            let message = pair.next().await;
            assert_eq!(
                message.custom_capabilities.clone().unwrap().capabilities,
                names
            );
            pair.answer(ServerToAgent::default()).await;
            announce(&pair, names).unwrap();
            let last = pair.said_nothing_since(&message).await;
            pair.answer(ServerToAgent::default()).await;
            assert!(announce(&pair, &["no name of a capability"]).is_err());
            pair.said_nothing_since(&last).await;
        }
    })
    .await;
}

#[tokio::test]
async fn cu_03_custom_messages_go_both_ways_where_both_sides_have_the_capability() {
    over_each(async |way| {
        let mut session = quiet(REPORTING);
        session
            .set_custom_capabilities(&CustomCapabilities(vec![OURS.to_owned()]))
            .unwrap();
        let mut pair = Pair::start(way, session).await;
        pair.next().await;
        let message = |capability: &str| CustomMessage {
            capability: capability.to_owned(),
            kind: "ping".to_owned(),
            data: vec![1, 2],
        };
        let told = |capability: &str| ServerToAgent {
            custom_message: Some(proto::CustomMessage::from(&message(capability))),
            ..ServerToAgent::default()
        };
        let say = |pair: &Pair, capability: &str| {
            let message = message(capability);
            pair.client
                .session(|session| session.send_custom_message(message))
        };
        // Not ours: passed over. Ours: told, behind the mark in its message.
        for capability in ["org.example.theirs", OURS] {
            assert_eq!(pair.answer(told(capability)).await, []);
            pair.nudge().await;
        }
        let events = pair.answer(ServerToAgent::default()).await;
        assert_eq!(events, [Event::CustomMessage(message(OURS))]);
        let last = pair.nudge().await;
        pair.answer(ServerToAgent::default()).await;
        // The server has not announced the capability: nothing is sent.
        assert_eq!(say(&pair, OURS), Err(CustomMessageRefused::Unsupported));
        pair.said_nothing_since(&last).await;
        let announced = ServerToAgent {
            custom_capabilities: Some(proto::CustomCapabilities {
                capabilities: vec![OURS.to_owned()],
            }),
            ..ServerToAgent::default()
        };
        pair.peer.send(&announced).await;
        pair.told_until(&[OURS.to_owned()]).await;
        assert_eq!(say(&pair, OURS), Ok(()));
        let sent = pair.next().await.custom_message.unwrap();
        assert_eq!((&sent.capability[..], &sent.r#type[..]), (OURS, "ping"));
        assert_eq!(sent.data, [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn st_08_custom_messages_that_wait_are_bounded() {
    // The request is held, so that nothing leaves.
    let mut session = quiet(REPORTING);
    session
        .set_custom_capabilities(&CustomCapabilities(vec![OURS.to_owned()]))
        .unwrap();
    let mut pair = Pair::start(Way::Http, session).await;
    pair.next().await;
    let announced = ServerToAgent {
        custom_capabilities: Some(proto::CustomCapabilities {
            capabilities: vec![OURS.to_owned()],
        }),
        ..ServerToAgent::default()
    };
    pair.peer.send(&announced).await;
    pair.told_until(&[OURS.to_owned()]).await;
    pair.nudge().await;
    let say = |number: u8| {
        pair.client.session(|session| {
            session.send_custom_message(CustomMessage {
                capability: OURS.to_owned(),
                kind: String::new(),
                data: vec![number],
            })
        })
    };
    for number in 0..16 {
        assert_eq!(say(number), Ok(()));
    }
    assert_eq!(say(16), Err(CustomMessageRefused::QueueFull { limit: 16 }));
    for number in 0..16 {
        let message = pair.next().await.custom_message.unwrap();
        assert_eq!(message.data, [number], "one in each message, in order");
    }
}
