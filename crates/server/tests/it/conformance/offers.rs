//! What is offered to whom.

use opamp::proto::{AgentToServer, RemoteConfigStatus, RemoteConfigStatuses};
use testkit::fleet::sha256_hex;

use super::{ACCEPTS_CONFIG, REPORTS_CONFIG, REPORTS_STATUS, Raw, over_each};
use crate::{FIRST, SECOND};

/// How often a test looks before it believes that nothing is offered.
const LOOKS: usize = 10;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn cp_05_cf_01_cn_01_pk_01_who_claims_nothing_is_offered_nothing() {
    over_each(async |server, transport| {
        let mut claims = Raw::connect(&server, transport, 1, REPORTS_STATUS | ACCEPTS_CONFIG).await;
        let mut does_not = Raw::connect(&server, transport, 2, REPORTS_STATUS).await;
        for raw in [&mut claims, &mut does_not] {
            let first = raw.described();
            raw.say(first).await;
        }
        server.api().release("base", "", FIRST).await;
        // Once the one has its offer, the other would have had its own.
        claims.until_offered().await;
        for _ in 0..LOOKS {
            let reply = does_not.beat().await;
            assert_eq!(reply.remote_config, None);
            assert_eq!(reply.connection_settings, None);
            assert_eq!(reply.packages_available, None);
            assert_eq!(reply.command, None);
        }
    })
    .await;
}

#[tokio::test]
async fn cp_04_the_server_goes_by_the_newest_claims() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS | ACCEPTS_CONFIG).await;
        let first = raw.described();
        raw.say(first).await;
        server.api().release("base", "", FIRST).await;
        raw.until_offered().await;
        raw.claim(REPORTS_STATUS);
        raw.beat().await;
        server.api().release("base", "", SECOND).await;
        for _ in 0..LOOKS {
            assert_eq!(raw.beat().await.remote_config, None);
        }
        raw.claim(REPORTS_STATUS | ACCEPTS_CONFIG);
        let offer = match raw.beat().await.remote_config {
            Some(offer) => offer,
            None => raw.until_offered().await,
        };
        assert_eq!(hex(&offer.config_hash), sha256_hex(SECOND));
    })
    .await;
}

#[tokio::test]
async fn cf_05_cf_07_cf_08_offers_have_the_hash_of_their_content_and_end_when_it_comes_back() {
    over_each(async |server, transport| {
        let capabilities = REPORTS_STATUS | ACCEPTS_CONFIG | REPORTS_CONFIG;
        let mut raw = Raw::connect(&server, transport, 1, capabilities).await;
        let first = raw.described();
        raw.say(first).await;
        for body in [FIRST, SECOND] {
            server.api().release("base", "", body).await;
            let offer = raw.until_offered().await;
            assert_eq!(hex(&offer.config_hash), sha256_hex(body));
            let files = offer.config.expect("the files").config_map;
            assert_eq!(files.len(), 1, "CF-09: one file");
            assert_eq!(files["config.yaml"].body, body.as_bytes());
            let applied = |message: AgentToServer, hash: &[u8]| AgentToServer {
                remote_config_status: Some(RemoteConfigStatus {
                    last_remote_config_hash: hash.to_vec(),
                    status: RemoteConfigStatuses::Applied.into(),
                    error_message: String::new(),
                }),
                ..message
            };
            // Another hash than the server's: the answer carries the config again.
            let other = raw.bare();
            let reply = raw.say(applied(other, b"of something else")).await;
            assert_eq!(
                reply.remote_config.expect("an offer").config_hash,
                offer.config_hash
            );
            // The server's own: it is not sent again.
            let same = raw.bare();
            let reply = raw.say(applied(same, &offer.config_hash)).await;
            assert_eq!(reply.remote_config, None);
            for _ in 0..LOOKS {
                assert_eq!(raw.beat().await.remote_config, None);
            }
        }
    })
    .await;
}
