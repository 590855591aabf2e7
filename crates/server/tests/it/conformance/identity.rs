//! Identities: which are taken, which are given.

use fleetsim::Transport;
use opamp::proto::{AgentToServer, AgentToServerFlags, ServerErrorResponseType, ServerToAgent};
use prost::Message as _;
use testkit::wait_until;

use super::{REPORTS_STATUS, Raw, over_each};

/// The identity that a reply gives.
fn given(reply: &ServerToAgent) -> Option<&[u8]> {
    let identification = reply.agent_identification.as_ref()?;
    Some(&identification.new_instance_uid)
}

/// 16 bytes, a UUID of version 7.
fn assert_uuid_v7(uid: &[u8]) {
    assert_eq!(uid.len(), 16);
    assert_eq!((uid[6] >> 4, uid[8] >> 6), (7, 0b10), "{uid:?}");
}

#[tokio::test]
async fn id_01_a_uid_of_another_length_than_16_bytes_is_refused() {
    over_each(async |server, transport| {
        if transport == Transport::Http {
            // Our client does not read the body of a refusal; bad_messages.rs does.
            return;
        }
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        for length in [0, 15, 17, 26] {
            let message = AgentToServer {
                instance_uid: vec![1; length],
                ..raw.described()
            };
            let error = raw.say_bytes(message.encode_to_vec()).await.error_response;
            assert_eq!(
                error.expect("an error").r#type(),
                ServerErrorResponseType::BadRequest
            );
        }
        assert_eq!(server.api().agents("").await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn id_03_id_04_who_asks_for_a_uid_is_given_one_of_16_bytes() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let asking = AgentToServer {
            flags: AgentToServerFlags::RequestInstanceUid as u64,
            ..raw.described()
        };
        let reply = raw.say(asking).await;
        let new = given(&reply).expect("a uid");
        assert_uuid_v7(new);
        assert_eq!(reply.instance_uid, [1; 16], "it goes to who asked");
        let under_new = AgentToServer {
            instance_uid: new.to_vec(),
            ..raw.described()
        };
        let reply = raw.say(under_new).await;
        assert_eq!(
            (reply.error_response.is_none(), given(&reply)),
            (true, None)
        );
        assert_eq!(reply.instance_uid, new);
    })
    .await;
}

#[tokio::test]
async fn id_06_id_04_the_second_of_two_live_agents_with_one_uid_is_given_another() {
    for transport in [Transport::WebSocket, Transport::Grpc] {
        let server = testkit::TestServer::start().await;
        let mut first = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let report = first.described();
        assert_eq!(given(&first.say(report).await), None);
        // The first one shows that it lives: it reads, and so answers pings, and says what it is asked for.
        let living = tokio::spawn(async move {
            loop {
                let asked = first.receive().await;
                assert_eq!(given(&asked), None, "the first keeps its uid");
                let report = first.described();
                first.say(report).await;
            }
        });
        let mut second = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let report = second.described();
        let reply = second.say(report).await;
        let new = given(&reply).expect("a uid").to_vec();
        assert_uuid_v7(&new);
        let under_new = AgentToServer {
            instance_uid: new,
            ..second.described()
        };
        assert_eq!(second.say(under_new).await.error_response, None);
        wait_until("both to be listed", async || {
            let agents = server.api().agents("").await;
            agents.len() == 2 && agents.iter().all(|agent| agent.connected)
        })
        .await;
        living.abort();
    }
}
