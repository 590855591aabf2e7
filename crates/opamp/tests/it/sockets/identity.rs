//! Identities: asked for, given, and those of others.

use opamp::client::Event;
use opamp::model::InstanceUid;
use opamp::proto::{AgentIdentification, AgentToServerFlags, ServerToAgent};

use super::peer::to;
use super::{Pair, over_each, quiet};
use crate::support::{REPORTING, UID, remote_config};

const WANTS_UID: u64 = AgentToServerFlags::RequestInstanceUid as u64;
const NEW: InstanceUid = InstanceUid::new([8; 16]);

fn giving(uid: &[u8]) -> ServerToAgent {
    ServerToAgent {
        agent_identification: Some(AgentIdentification {
            new_instance_uid: uid.to_vec(),
        }),
        ..ServerToAgent::default()
    }
}

#[tokio::test]
async fn id_03_id_05_an_identity_is_asked_for_until_it_is_given_and_used_from_then_on() {
    over_each(async |way| {
        let mut session = quiet(REPORTING);
        session.request_uid();
        let mut pair = Pair::start(way, session).await;
        for message in [pair.next().await, pair.nudge().await] {
            assert_eq!(message.flags, WANTS_UID);
            assert_eq!(message.instance_uid, UID.as_bytes(), "for the time being");
        }
        let told = pair.answer(giving(NEW.as_bytes())).await;
        assert_eq!(told, [Event::UidChanged { old: UID, new: NEW }]);
        let message = pair.next().await;
        assert_eq!(
            (&message.instance_uid[..], message.flags),
            (&NEW.as_bytes()[..], 0)
        );
        assert!(
            message.agent_description.is_some(),
            "a new agent reports in full"
        );
        pair.peer.break_off();
        pair.lost().await;
        let message = pair.nudge().await;
        assert_eq!(message.instance_uid, NEW.as_bytes(), "also after a loss");
    })
    .await;
}

#[tokio::test]
async fn id_04_an_identity_of_another_length_than_16_bytes_is_none() {
    over_each(async |way| {
        for wrong in [&[][..], &[8; 15], &[8; 17]] {
            let mut pair = Pair::start(way, quiet(REPORTING)).await;
            let first = pair.next().await;
            assert_eq!(pair.answer(giving(wrong)).await, []);
            let next = pair.said_nothing_since(&first).await;
            assert_eq!(next.instance_uid, UID.as_bytes());
        }
    })
    .await;
}

#[tokio::test]
async fn tr_05_what_is_meant_for_another_agent_of_the_connection_is_passed_over() {
    over_each(async |way| {
        let mut pair = Pair::start(way, quiet(REPORTING)).await;
        let first = pair.next().await;
        let mut other = to(NEW);
        other.remote_config = Some(remote_config("a: 1", b"h1"));
        other.flags = u64::MAX;
        pair.peer.send(&other).await;
        pair.said_nothing_since(&first).await;
        assert_eq!(pair.answer(ServerToAgent::default()).await, []);
    })
    .await;
}
