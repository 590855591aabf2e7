//! What the server makes of reports: numbers, what is left out, what is repeated, and what it refuses.

use fleetsim::Transport;
use opamp::proto::{
    AgentConfigFile, AgentConfigMap, AgentToServer, AvailableComponents, ComponentDetails,
    ComponentHealth, CustomCapabilities, EffectiveConfig, ServerErrorResponseType, ServerToAgent,
};
use prost::Message as _;
use testkit::{TestServer, wait_until};

use super::raw::{exchange, report};
use super::{
    REPORTS_COMPONENTS, REPORTS_EFFECTIVE_CONFIG, REPORTS_HEALTH, REPORTS_STATUS, Raw,
    asks_for_components, asks_for_full_state, only_agent, over_each,
};

fn effective(name: &str, body: &[u8], content_type: &str) -> EffectiveConfig {
    let file = AgentConfigFile {
        body: body.to_vec(),
        content_type: content_type.to_owned(),
    };
    EffectiveConfig {
        config_map: Some(AgentConfigMap {
            config_map: [(name.to_owned(), file)].into(),
        }),
    }
}

#[tokio::test]
async fn sq_07_what_a_message_leaves_out_stays_as_it_was() {
    over_each(async |server, transport| {
        let capabilities = REPORTS_STATUS | REPORTS_HEALTH | REPORTS_EFFECTIVE_CONFIG;
        let mut raw = Raw::connect(&server, transport, 1, capabilities).await;
        let first = AgentToServer {
            health: Some(ComponentHealth {
                healthy: true,
                status: "fine".to_owned(),
                ..Default::default()
            }),
            effective_config: Some(effective("a.yaml", b"a: 1", "text/yaml")),
            ..raw.described()
        };
        raw.say(first).await;
        let id = only_agent(&server).await.id;
        let shown = async || {
            let agent = server.api().agent(&id).await;
            (agent.health, agent.config.effective, agent.description)
        };
        wait_until("the first report to be shown", async || {
            let (health, effective, description) = shown().await;
            health.is_some() && effective.is_some() && description.is_some()
        })
        .await;
        let before = shown().await;
        for _ in 0..3 {
            let reply = raw.beat().await;
            assert!(!asks_for_full_state(&reply), "{reply:?}");
        }
        // One part that changes shows that what came before it has been taken.
        let changed = AgentToServer {
            effective_config: Some(effective("a.yaml", b"a: 2", "text/yaml")),
            ..raw.bare()
        };
        raw.say(changed).await;
        wait_until("the change", async || shown().await.1 != before.1).await;
        let (health, _, description) = shown().await;
        assert_eq!((health, description), (before.0, before.2));
    })
    .await;
}

#[tokio::test]
async fn sq_02_sq_03_a_gap_and_an_agent_that_nobody_knows_are_asked_for_full_state() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let stranger = raw.bare();
        assert!(asks_for_full_state(&raw.say(stranger).await), "never seen");
        let described = raw.described();
        assert!(!asks_for_full_state(&raw.say(described).await));
        assert!(!asks_for_full_state(&raw.beat().await));
        drop(raw.bare());
        assert!(
            asks_for_full_state(&raw.beat().await),
            "a number is missing"
        );
    })
    .await;
}

#[tokio::test]
async fn sq_01_numbers_may_begin_and_wrap_anywhere() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let numbered = |number| AgentToServer {
            sequence_num: number,
            ..report(1, REPORTS_STATUS)
        };
        raw.say(numbered(u64::MAX - 1)).await;
        for number in [u64::MAX, 0, 1] {
            let reply = raw.say(numbered(number)).await;
            let ok = (reply.error_response.is_none(), asks_for_full_state(&reply));
            assert_eq!(ok, (true, false), "{number}");
        }
    })
    .await;
}

#[tokio::test]
async fn st_06_each_copy_of_a_message_is_answered() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let first = raw.described();
        for _ in 0..3 {
            let reply = raw.say(first.clone()).await;
            assert_eq!(reply.instance_uid, [1; 16]);
            assert!(reply.error_response.is_none() && !asks_for_full_state(&reply));
        }
        assert!(!asks_for_full_state(&raw.beat().await));
        only_agent(&server).await;
    })
    .await;
}

#[tokio::test]
async fn st_09_st_10_an_error_response_comes_exactly_if_the_report_was_not_taken_and_alone() {
    over_each(async |server, transport| {
        // Over plain HTTP the status says it, too, so this is not our own client.
        let mut raw = match transport {
            Transport::Http => return refused_over_http(&server).await,
            _ => Raw::connect(&server, transport, 1, REPORTS_STATUS).await,
        };
        let first = raw.described();
        assert_eq!(raw.say(first).await.error_response, None);
        let bad = AgentToServer {
            available_components: None,
            custom_message: None,
            ..raw.bare()
        };
        let garbage = [&bad.encode_to_vec()[..], &[0x1a, 0x7f]].concat();
        let reply = raw.say_bytes(garbage).await;
        assert_alone(&reply);
        assert_eq!(raw.beat().await.error_response, None);
    })
    .await;
}

fn assert_alone(reply: &ServerToAgent) {
    let error = reply.error_response.clone().expect("an error");
    assert_eq!(error.r#type(), ServerErrorResponseType::BadRequest);
    assert!(!error.error_message.is_empty());
    let alone = ServerToAgent {
        instance_uid: reply.instance_uid.clone(),
        error_response: Some(error),
        ..ServerToAgent::default()
    };
    assert_eq!(*reply, alone);
}

async fn refused_over_http(server: &TestServer) {
    let (status, reply) = exchange(server, &report(1, REPORTS_STATUS)).await;
    assert_eq!((status, reply.error_response), (200, None));
    let short = AgentToServer {
        instance_uid: vec![1; 3],
        ..report(1, REPORTS_STATUS)
    };
    let (status, reply) = exchange(server, &short).await;
    assert_eq!(status, 200, "clients read the body of no other");
    assert_alone(&reply);
}

#[tokio::test]
async fn in_01_cp_03_unknown_fields_and_bits_of_an_agent_are_passed_over_and_none_come_back() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS | 1 << 40).await;
        let mut first = raw.described();
        first.flags = 1 << 50;
        let mut bytes = first.encode_to_vec();
        // Fields 1000 to 1003: a number, 8 bytes, text, 4 bytes.
        bytes.extend([0xc0, 0x3e, 0x05]);
        bytes.extend([0xc9, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8]);
        bytes.extend([0xd2, 0x3e, 2, b'h', b'i']);
        bytes.extend([0xdd, 0x3e, 1, 2, 3, 4]);
        let reply = raw.say_bytes(bytes).await;
        assert_eq!((reply.error_response, reply.flags), (None, 0));
        let known = opamp::model::ServerCapabilities::from_bits_truncate(reply.capabilities);
        assert_eq!(known.bits(), reply.capabilities);
        let id = only_agent(&server).await.id;
        let capabilities = server.api().agent(&id).await.capabilities;
        assert_eq!(capabilities, ["reports_status"]);
    })
    .await;
}

#[tokio::test]
async fn co_03_the_inventory_is_asked_for_while_its_hash_is_unknown_and_then_kept() {
    over_each(async |server, transport| {
        let capabilities = REPORTS_STATUS | REPORTS_COMPONENTS;
        let mut raw = Raw::connect(&server, transport, 1, capabilities).await;
        let inventory = |map: bool| AvailableComponents {
            hash: b"all of them".to_vec(),
            components: map
                .then(|| ("otlp".to_owned(), ComponentDetails::default()))
                .into_iter()
                .collect(),
        };
        let first = AgentToServer {
            available_components: Some(inventory(false)),
            ..raw.described()
        };
        assert!(asks_for_components(&raw.say(first).await));
        let answer = AgentToServer {
            available_components: Some(inventory(true)),
            ..raw.bare()
        };
        assert!(!asks_for_components(&raw.say(answer).await));
        let hash_again = AgentToServer {
            available_components: Some(inventory(false)),
            ..raw.bare()
        };
        assert!(!asks_for_components(&raw.say(hash_again).await));
        let id = only_agent(&server).await.id;
        wait_until("the inventory to be shown", async || {
            let components = server.api().agent(&id).await.components;
            components
                .and_then(|all| all.components)
                .is_some_and(|all| all.contains_key("otlp"))
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn cu_02_cu_01_names_that_are_none_are_passed_over_and_a_new_list_replaces_the_old_one() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let announcing = |names: &[&str]| CustomCapabilities {
            capabilities: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let first = raw.described();
        raw.say(first).await;
        let id = only_agent(&server).await.id;
        assert!(server.api().agent(&id).await.custom_capabilities.is_empty());
        for (said, shown) in [
            (
                &["io.x.y", "lookup", "io..y", "io.x.z/v2"][..],
                &["io.x.y", "io.x.z/v2"][..],
            ),
            (&["io.x.w"], &["io.x.w"]),
        ] {
            let message = AgentToServer {
                custom_capabilities: Some(announcing(said)),
                ..raw.bare()
            };
            assert_eq!(raw.say(message).await.error_response, None);
            wait_until("the list", async || {
                server.api().agent(&id).await.custom_capabilities == shown
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn cf_02_no_effective_config_is_expected_of_an_agent_that_does_not_report_any() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let first = raw.described();
        raw.say(first).await;
        for _ in 0..3 {
            let reply = raw.beat().await;
            assert!(!asks_for_full_state(&reply), "{reply:?}");
        }
        let id = only_agent(&server).await.id;
        assert!(server.api().agent(&id).await.config.effective.is_none());
    })
    .await;
}

#[tokio::test]
async fn cf_09_cf_10_a_reported_file_has_any_name_bytes_and_content_type() {
    over_each(async |server, transport| {
        let capabilities = REPORTS_STATUS | REPORTS_EFFECTIVE_CONFIG;
        let mut raw = Raw::connect(&server, transport, 1, capabilities).await;
        let body = [0xff, 0x00, 0xfe];
        for name in ["", "odd.bin"] {
            let message = AgentToServer {
                effective_config: Some(effective(name, &body, "application/x-nobody-knows")),
                ..raw.described()
            };
            assert_eq!(raw.say(message).await.error_response, None);
            let id = only_agent(&server).await.id;
            wait_until("the file to be shown", async || {
                let effective = server.api().agent(&id).await.config.effective;
                let file = effective.as_ref().and_then(|config| config.files.get(name));
                file.is_some_and(|file| {
                    file.size_bytes == body.len() as u64
                        && file.content_type == "application/x-nobody-knows"
                        && file.body.is_none()
                })
            })
            .await;
        }
    })
    .await;
}
