//! What a received message changes, and what the server has to ask for.

use opamp::model::{
    AgentCapabilities, ApplyState, ConfigMap, Digest, InvalidInstanceUid, WireState,
};
use opamp::proto::{self, AgentToServer};
use opamp::server::{Received, peek, receive as receive_bytes, skip};
use opamp::{Limits, Malformed};
use proptest::prelude::*;
use prost::Message as _;

use crate::support::{REPORTING, UID, config, described, health, known, message, receive};

fn changed(received: &Received) -> bool {
    !received.changes.is_only_liveness()
}

/// A message that reports everything an agent has.
fn full(sequence_num: u64) -> AgentToServer {
    AgentToServer {
        capabilities: (REPORTING | AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS).bits(),
        health: Some((&health(true, 10, 5)).into()),
        effective_config: Some(proto::EffectiveConfig {
            config_map: Some((&config("a: 1")).into()),
        }),
        remote_config_status: Some(proto::RemoteConfigStatus {
            last_remote_config_hash: vec![1],
            status: proto::RemoteConfigStatuses::Applied.into(),
            error_message: String::new(),
        }),
        package_statuses: Some(proto::PackageStatuses {
            server_provided_all_packages_hash: vec![2],
            ..proto::PackageStatuses::default()
        }),
        custom_capabilities: Some(proto::CustomCapabilities {
            capabilities: vec!["io.x.y".into()],
        }),
        connection_settings_status: Some(proto::ConnectionSettingsStatus {
            last_connection_settings_hash: vec![3],
            ..proto::ConnectionSettingsStatus::default()
        }),
        available_components: Some(proto::AvailableComponents {
            hash: vec![4],
            ..Default::default()
        }),
        ..described(sequence_num)
    }
}

#[test]
fn a_full_report_is_all_changes_and_its_repetition_none() {
    let mut wire = WireState::default();
    let first = receive(&mut wire, &full(1)).unwrap();
    let changes = &first.changes;
    assert_eq!(first.uid, UID);
    assert!(
        !first.full_state_needed
            && first.carried_status
            && first.components_wanted
            && !first.repeated
    );
    assert_eq!(changes.capabilities.unwrap().bits(), full(1).capabilities);
    assert_eq!(
        changes
            .description
            .as_ref()
            .unwrap()
            .get("service.name")
            .unwrap()
            .as_str(),
        Some("edge")
    );
    let mut tree = changes.health.as_ref().unwrap().tree.clone().unwrap();
    tree.join_times(&changes.health.as_ref().unwrap().times);
    assert_eq!(tree, health(true, 10, 5));
    assert_eq!(changes.effective_config.as_ref().unwrap(), &config("a: 1"));
    assert_eq!(
        changes.remote_config_status.as_ref().unwrap().state,
        ApplyState::Applied
    );
    assert!(changes.package_statuses.is_some() && changes.connection_settings_status.is_some());
    assert_eq!(changes.custom_capabilities.as_ref().unwrap().0, ["io.x.y"]);
    assert_eq!(
        changes.available_components.as_ref().unwrap().components,
        None
    );

    let second = receive(&mut wire, &full(2)).unwrap();
    assert!(!changed(&second) && second.carried_status && !second.full_state_needed);
}

#[test]
fn sq_07_an_omitted_part_is_unchanged() {
    let mut wire = WireState::default();
    receive(&mut wire, &full(1)).unwrap();
    let before = wire;
    let received = receive(
        &mut wire,
        &AgentToServer {
            capabilities: full(2).capabilities,
            ..message(2)
        },
    )
    .unwrap();
    assert!(!changed(&received) && received.changes.health.is_none());
    assert_eq!(
        wire,
        WireState {
            sequence_num: Some(2),
            ..before
        }
    );
}

#[test]
fn sq_02_a_gap_asks_for_full_state_until_it_comes() {
    let mut wire = known();
    assert!(!receive(&mut wire, &message(2)).unwrap().full_state_needed);
    assert!(receive(&mut wire, &message(4)).unwrap().full_state_needed);
    assert!(!receive(&mut wire, &described(5)).unwrap().full_state_needed);
    assert!(!wire.stale);
    assert!(
        receive(&mut wire, &described(9)).unwrap().full_state_needed,
        "even if it describes the agent"
    );
    assert!(
        receive(&mut wire, &message(0)).unwrap().full_state_needed,
        "backwards is a gap as well"
    );
    assert!(
        receive(&mut wire, &message(7)).unwrap().full_state_needed,
        "each gap is answered"
    );
}

#[test]
fn sq_02_what_was_asked_for_is_asked_for_again_more_and_more_rarely() {
    let mut wire = known();
    let asked: Vec<u64> = (10..100)
        .filter(|number| {
            receive(&mut wire, &message(*number))
                .unwrap()
                .full_state_needed
        })
        .collect();
    assert_eq!(asked, [10, 14, 30, 94]);
}

#[test]
fn sq_02_rt_05_a_refused_message_is_no_gap_and_its_agent_is_asked_rarely() {
    let limits = Limits {
        description_bytes: 1,
        ..Limits::SERVER
    };
    let mut wire = known();
    let mut asked = Vec::new();
    for number in 2..100 {
        // An agent that answers each ask with what is refused.
        let answers = asked.last().is_some_and(|last| last + 1 == number);
        let bytes = if number == 2 || answers {
            described(number).encode_to_vec()
        } else {
            message(number).encode_to_vec()
        };
        match receive_bytes(&mut wire, &bytes, &limits) {
            Ok(received) if received.full_state_needed => asked.push(number),
            Ok(_) => {}
            Err(_) => skip(&mut wire, &bytes),
        }
    }
    assert_eq!(asked, [3, 7, 23, 87]);
    let received = receive(&mut wire, &described(100)).unwrap();
    assert!(!received.full_state_needed && !wire.stale);
    let before = wire;
    skip(&mut wire, &[0xff; 3]);
    assert_eq!(wire, before, "what has no number changes nothing");
}

#[test]
fn sq_03_an_agent_that_was_never_seen_is_asked_for_full_state() {
    let asked = |message| {
        receive(&mut WireState::default(), &message)
            .unwrap()
            .full_state_needed
    };
    for first in [0, 1] {
        assert!(asked(message(first)));
        assert!(!asked(described(first)), "a new agent says everything");
        assert!(!asked(full(first)));
        let promises = AgentToServer {
            capabilities: REPORTING.bits(),
            ..described(first)
        };
        assert!(asked(promises), "what it promises to report is missing");
    }
    assert!(
        asked(full(57)),
        "this may be just what changed since it spoke to another server"
    );
}

#[test]
fn what_was_asked_for_on_a_lost_connection_is_asked_for_again() {
    let mut wire = known();
    assert!(receive(&mut wire, &message(5)).unwrap().full_state_needed);
    assert!(!receive(&mut wire, &message(6)).unwrap().full_state_needed);
    wire.reconnected();
    assert!(
        receive(&mut wire, &described(7)).unwrap().full_state_needed,
        "it may not have seen that it was asked"
    );
    assert!(!receive(&mut wire, &described(8)).unwrap().full_state_needed);
    wire.reconnected();
    assert!(!receive(&mut wire, &message(9)).unwrap().full_state_needed);
}

#[test]
fn sq_08_wire_state_outlives_connections_and_processes() {
    let wire = known();
    let mut stored = WireState::from_bytes(&wire.to_bytes()).unwrap();
    let received = receive(&mut stored, &described(2)).unwrap();
    assert!(!received.full_state_needed && !changed(&received));
}

#[test]
fn digests_are_stable_across_processes() {
    let mut wire = WireState::default();
    receive(&mut wire, &full(1)).unwrap();
    let expected: [(&str, Digest); 9] = [
        ("adcac3bf5c313080a83848379948856e", wire.description),
        ("e27ef0e2537b722c22b94a6e48b79f16", wire.health),
        ("4e9adfc1ab4269d1db9ed108beb1944e", wire.effective_config),
        (
            "4ae6d8c88a077ce775692f0f792a17a8",
            wire.remote_config_status,
        ),
        ("baf8c38159aa58834ede2317536d575c", wire.package_statuses),
        ("fb195f6b4c661914aae9340427c23673", wire.custom_capabilities),
        (
            "e92f49cea41db0b41791c82f3211e79b",
            wire.connection_settings_status,
        ),
        ("e52d9c508c502347344d8c07ad91cbd6", wire.components_hash),
        ("00000000000000000000000000000000", wire.components_known),
    ];
    let found = expected.map(|(_, digest)| format!("{digest:?}"));
    assert_eq!(found, expected.map(|(text, _)| text.to_owned()));
}

#[test]
fn st_06_amb_09_an_exact_repeat_is_tolerated_and_told() {
    let mut wire = known();
    let received = receive(&mut wire, &described(1)).unwrap();
    assert!(received.repeated && !received.full_state_needed && !changed(&received));
    assert!(!receive(&mut wire, &message(2)).unwrap().repeated);
}

#[test]
fn sq_01_numbers_may_wrap_around() {
    let mut wire = WireState {
        sequence_num: Some(u64::MAX),
        ..known()
    };
    assert!(!receive(&mut wire, &message(0)).unwrap().full_state_needed);
}

#[test]
fn cp_04_changed_capabilities_are_a_change_and_none_are_unchanged() {
    let mut wire = known();
    let with = |number, bits| AgentToServer {
        capabilities: bits,
        ..message(number)
    };
    let received = receive(&mut wire, &with(2, 0x803)).unwrap();
    let expected = AgentCapabilities::from_bits_truncate(0x803);
    assert_eq!(received.changes.capabilities, Some(expected));
    let poll = receive(&mut wire, &with(3, 0)).unwrap();
    assert_eq!(
        (poll.changes.capabilities, wire.capabilities),
        (None, expected)
    );
}

#[test]
fn in_01_unknown_bits_and_fields_are_ignored() {
    let mut wire = known();
    let mut bytes = AgentToServer {
        capabilities: (1 << 40) | 1,
        ..message(2)
    }
    .encode_to_vec();
    bytes.extend([0xf8, 0x07, 0x05]); // Field 127, a varint.
    bytes.extend([0xfa, 0x07, 0x02, 0x41, 0x42]); // Field 127, bytes.
    bytes.extend([0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8]); // Field 127, 64 bits.
    bytes.extend([0xfd, 0x07, 1, 2, 3, 4]); // Field 127, 32 bits.
    let received = receive_bytes(&mut wire, &bytes, &Limits::SERVER).unwrap();
    assert!(!changed(&received), "{:?}", received.changes);
}

#[test]
fn health_that_differs_in_times_alone_is_only_liveness() {
    let mut wire = WireState::default();
    receive(&mut wire, &full(1)).unwrap();
    let later = AgentToServer {
        health: Some((&health(true, 10, 99)).into()),
        ..message(2)
    };
    let received = receive(
        &mut wire,
        &AgentToServer {
            capabilities: 0,
            ..later
        },
    )
    .unwrap();
    assert!(received.changes.is_only_liveness());
    let report = received.changes.health.unwrap();
    assert_eq!(report.tree, None);
    assert_eq!(report.times, health(true, 10, 99).split_times());
}

#[test]
fn a_flip_of_one_component_is_a_change_of_health() {
    let mut wire = WireState::default();
    receive(&mut wire, &full(1)).unwrap();
    let mut flipped = health(true, 10, 5);
    flipped
        .components
        .get_mut("pipeline:traces/3")
        .unwrap()
        .healthy = false;
    let message = AgentToServer {
        health: Some((&flipped).into()),
        ..message(2)
    };
    let mut tree = receive(&mut wire, &message)
        .unwrap()
        .changes
        .health
        .unwrap()
        .tree
        .unwrap();
    flipped.split_times();
    assert_eq!(tree, flipped);
    assert!(tree.split_times().as_slice().iter().all(|time| *time == 0));
}

/// Encodes health as Go does: the entries of a map in any order.
fn shuffled(health: &proto::ComponentHealth, order: &[usize]) -> Vec<u8> {
    let alone = proto::ComponentHealth {
        component_health_map: Default::default(),
        ..health.clone()
    };
    let mut bytes = alone.encode_to_vec();
    let mut entries: Vec<_> = health
        .component_health_map
        .iter()
        .map(|(key, part)| {
            let one = proto::ComponentHealth {
                component_health_map: [(key.clone(), part.clone())].into(),
                ..proto::ComponentHealth::default()
            };
            one.encode_to_vec()
        })
        .collect();
    entries.sort_by_key(|entry| order[entry.len() % order.len()] ^ usize::from(entry[8]));
    bytes.extend(entries.concat());
    bytes
}

proptest! {
    #[test]
    fn maps_in_another_order_are_the_same_health(order in prop::collection::vec(0_usize..1000, 1..20)) {
        let mut tree = health(true, 10, 5);
        tree.components.insert("nested".into(), health(false, 3, 7));
        let bytes = shuffled(&(&tree).into(), &order);
        let mut wire = WireState::default();
        receive(&mut wire, &AgentToServer { health: Some((&tree).into()), ..described(1) }).unwrap();
        let mut message = message(2).encode_to_vec();
        prost::encoding::bytes::encode(5, &bytes, &mut message);
        let received = receive_bytes(&mut wire, &message, &Limits::SERVER).unwrap();
        let report = received.changes.health.unwrap();
        prop_assert_eq!(report.tree, None);
        prop_assert_eq!(report.times, tree.split_times());
    }

    #[test]
    fn any_bytes_are_received_without_panic_and_refusals_change_nothing(bytes: Vec<u8>) {
        let mut wire = known();
        let before = wire;
        if receive_bytes(&mut wire, &bytes, &Limits::SERVER).is_err() {
            prop_assert_eq!(wire, before);
        }
        let _peeked = peek(&bytes);
    }

    #[test]
    fn a_damaged_report_is_received_without_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = full(2).encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let mut wire = known();
        let before = wire;
        if receive_bytes(&mut wire, &bytes, &Limits::SERVER).is_err() {
            prop_assert_eq!(wire, before);
        }
    }
}

#[test]
fn a_part_that_stands_twice_is_merged() {
    let mut wire = known();
    let one = AgentToServer {
        remote_config_status: Some(proto::RemoteConfigStatus {
            last_remote_config_hash: vec![9],
            ..proto::RemoteConfigStatus::default()
        }),
        ..message(2)
    };
    let mut bytes = one.encode_to_vec();
    prost::encoding::bytes::encode(7, &vec![0x10, 0x03], &mut bytes); // status = FAILED
    let status = receive_bytes(&mut wire, &bytes, &Limits::SERVER)
        .unwrap()
        .changes
        .remote_config_status
        .unwrap();
    assert_eq!(
        (status.last_hash, status.state),
        (vec![9], ApplyState::Failed)
    );
}

#[test]
fn co_03_the_component_map_is_wanted_until_it_is_known() {
    let components = |number, hash: &[u8], map: &[&str]| AgentToServer {
        capabilities: AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS.bits(),
        available_components: Some(proto::AvailableComponents {
            hash: hash.to_vec(),
            components: map
                .iter()
                .map(|id| ((*id).to_owned(), proto::ComponentDetails::default()))
                .collect(),
        }),
        ..message(number)
    };
    let mut wire = known();
    assert!(
        receive(&mut wire, &components(2, b"h1", &[]))
            .unwrap()
            .components_wanted
    );
    assert!(
        !receive(&mut wire, &components(3, b"h1", &[]))
            .unwrap()
            .components_wanted,
        "asked already"
    );
    let answer = receive(&mut wire, &components(4, b"h1", &["otlp"])).unwrap();
    assert!(!answer.components_wanted);
    assert!(
        answer
            .changes
            .available_components
            .unwrap()
            .components
            .unwrap()
            .contains_key("otlp")
    );
    let again = receive(&mut wire, &components(5, b"h1", &["otlp"])).unwrap();
    assert_eq!(again.changes.available_components, None);
    assert!(
        receive(&mut wire, &components(6, b"h2", &[]))
            .unwrap()
            .components_wanted,
        "a new hash"
    );

    let mut known_elsewhere = wire;
    known_elsewhere.note_components_known();
    for number in 7..40 {
        assert!(
            !receive(&mut known_elsewhere, &components(number, b"h2", &[]))
                .unwrap()
                .components_wanted
        );
    }
    let asked: Vec<u64> = (7..40)
        .filter(|n| {
            receive(&mut wire, &message_with_components(*n))
                .unwrap()
                .components_wanted
        })
        .collect();
    assert_eq!(asked, [10, 26], "an answer may have been lost");
}

fn message_with_components(number: u64) -> AgentToServer {
    AgentToServer {
        capabilities: AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS.bits(),
        ..message(number)
    }
}

#[test]
fn co_01_without_the_capability_no_components_are_wanted() {
    let mut wire = known();
    let message = AgentToServer {
        available_components: Some(proto::AvailableComponents {
            hash: vec![1],
            ..Default::default()
        }),
        ..message(2)
    };
    assert!(!receive(&mut wire, &message).unwrap().components_wanted);
}

#[test]
fn what_an_agent_asks_for_is_passed_on_each_time() {
    let mut wire = known();
    let asking = |number| AgentToServer {
        flags: proto::AgentToServerFlags::RequestInstanceUid as u64,
        agent_disconnect: Some(proto::AgentDisconnect {}),
        custom_message: Some(proto::CustomMessage {
            capability: "io.x.y".into(),
            r#type: "ping".into(),
            data: vec![1],
        }),
        connection_settings_request: Some(proto::ConnectionSettingsRequest {
            opamp: Some(proto::OpAmpConnectionSettingsRequest {
                certificate_request: Some(proto::CertificateRequest {
                    csr: b"pem".to_vec(),
                }),
            }),
        }),
        ..message(number)
    };
    for number in 2..4 {
        let received = receive(&mut wire, &asking(number)).unwrap();
        let changes = received.changes;
        assert!(changes.disconnecting && changes.requests_uid);
        assert_eq!(changes.custom_message.unwrap().kind, "ping");
        assert_eq!(changes.certificate_request.unwrap(), b"pem");
    }
    let peeked = peek(&asking(4).encode_to_vec()).unwrap();
    assert!(peeked.requests_uid && peeked.disconnecting);
    assert_eq!((peeked.uid, peeked.sequence_num), (Ok(UID.into()), 4));
}

#[test]
fn an_empty_request_for_settings_asks_for_nothing() {
    let message = AgentToServer {
        connection_settings_request: Some(proto::ConnectionSettingsRequest::default()),
        ..message(2)
    };
    assert_eq!(
        receive(&mut known(), &message)
            .unwrap()
            .changes
            .certificate_request,
        None
    );
}

#[test]
fn id_01_an_identity_of_another_length_is_malformed_but_can_be_peeked() {
    let bytes = AgentToServer {
        instance_uid: b"01ARZ3NDEKTSV4RRFFQ69G5FAU".to_vec(),
        ..message(2)
    }
    .encode_to_vec();
    assert_eq!(
        peek(&bytes).unwrap().uid,
        Err(InvalidInstanceUid::Length { bytes: 26 })
    );
    let mut wire = known();
    let refused = receive_bytes(&mut wire, &bytes, &Limits::SERVER);
    assert!(matches!(refused, Err(Malformed::InstanceUid(_))));
    assert_eq!(wire, known());
}

#[test]
fn ws_05_an_empty_message_is_read_and_lacks_an_identity() {
    assert_eq!(
        peek(&[]).unwrap().uid,
        Err(InvalidInstanceUid::Length { bytes: 0 })
    );
}

#[test]
fn cf_09_several_files_in_any_order_are_the_same_config() {
    let map: ConfigMap = [("b", "2"), ("a", "1"), ("", "0")]
        .into_iter()
        .map(|(name, body)| (name.to_owned(), config(body).remove("config.yaml").unwrap()))
        .collect();
    let mut wire = known();
    let report = AgentToServer {
        effective_config: Some(proto::EffectiveConfig {
            config_map: Some((&map).into()),
        }),
        ..message(2)
    };
    assert_eq!(
        receive(&mut wire, &report)
            .unwrap()
            .changes
            .effective_config,
        Some(map.clone())
    );
    let mut backwards = Vec::new();
    for (name, file) in map.iter().rev() {
        let one: ConfigMap = [(name.clone(), file.clone())].into();
        backwards.extend(proto::AgentConfigMap::from(&one).encode_to_vec());
    }
    let mut effective = Vec::new();
    prost::encoding::bytes::encode(1, &backwards, &mut effective);
    let mut bytes = message(3).encode_to_vec();
    prost::encoding::bytes::encode(6, &effective, &mut bytes);
    assert_eq!(
        receive_bytes(&mut wire, &bytes, &Limits::SERVER)
            .unwrap()
            .changes
            .effective_config,
        None
    );
}

/// Fields 2 and 5 are times in health alone: here they are a version and a hash.
#[test]
fn a_package_s_offered_hash_is_part_of_its_status() {
    let report = |sequence_num, offered: u8| {
        let package = proto::PackageStatus {
            name: "p".to_owned(),
            agent_has_version: "1".to_owned(),
            server_offered_hash: vec![offered],
            ..Default::default()
        };
        AgentToServer {
            package_statuses: Some(proto::PackageStatuses {
                packages: [("p".to_owned(), package)].into(),
                ..Default::default()
            }),
            ..message(sequence_num)
        }
    };
    let mut wire = known();
    for (sequence_num, offered, is_news) in [(2, 1, true), (3, 1, false), (4, 2, true)] {
        let received = receive(&mut wire, &report(sequence_num, offered)).unwrap();
        assert_eq!(received.changes.package_statuses.is_some(), is_news);
    }
}

#[test]
fn an_entry_of_a_map_with_two_values_is_malformed() {
    let received = |bodies: &[&str]| {
        let mut entry = Vec::new();
        for body in bodies {
            let file = proto::AgentConfigFile {
                body: body.as_bytes().to_vec(),
                ..Default::default()
            };
            prost::encoding::message::encode(2, &file, &mut entry);
        }
        let mut effective = Vec::new();
        let mut map = Vec::new();
        prost::encoding::bytes::encode(1, &entry, &mut map);
        prost::encoding::bytes::encode(1, &map, &mut effective);
        let mut bytes = message(2).encode_to_vec();
        prost::encoding::bytes::encode(6, &effective, &mut bytes);
        receive_bytes(&mut known(), &bytes, &Limits::SERVER)
    };
    assert!(received(&["1"]).unwrap().changes.effective_config.is_some());
    assert!(matches!(received(&["1", "2"]), Err(Malformed::Encoding)));
}

#[test]
fn an_empty_part_is_there_all_the_same() {
    let mut wire = known();
    let report = AgentToServer {
        effective_config: Some(proto::EffectiveConfig::default()),
        ..message(2)
    };
    assert_eq!(
        receive(&mut wire, &report)
            .unwrap()
            .changes
            .effective_config,
        Some(ConfigMap::new())
    );
    let again = AgentToServer {
        sequence_num: 3,
        ..report
    };
    assert_eq!(
        receive(&mut wire, &again).unwrap().changes.effective_config,
        None
    );
}

#[test]
fn cu_02_what_is_no_name_of_a_capability_is_ignored() {
    let capabilities = ["io.x.y", "lookup", "io..y", "io.x.z/v2"].map(str::to_owned);
    let report = AgentToServer {
        custom_capabilities: Some(proto::CustomCapabilities {
            capabilities: capabilities.into(),
        }),
        ..full(1)
    };
    let received = receive(&mut WireState::default(), &report).unwrap();
    let names = received.changes.custom_capabilities.unwrap().0;
    assert_eq!(names, ["io.x.y", "io.x.z/v2"]);
}

#[test]
fn cu_01_that_an_agent_takes_deltas_counts_until_it_is_asked_for_everything() {
    let announcing = |names: &[&str], number| proto::AgentToServer {
        custom_capabilities: Some(proto::CustomCapabilities {
            capabilities: names.iter().map(|name| (*name).to_owned()).collect(),
        }),
        ..proto::AgentToServer {
            instance_uid: vec![7; 16],
            sequence_num: number,
            ..proto::AgentToServer::default()
        }
    };
    let silent = |number| proto::AgentToServer {
        custom_capabilities: None,
        ..announcing(&[], number)
    };
    let mut wire = WireState::default();
    let mut takes = |message: proto::AgentToServer| {
        let bytes = message.encode_to_vec();
        let received = opamp::server::receive(&mut wire, &bytes, &Limits::SERVER).unwrap();
        received.takes_deltas
    };
    let ours = ["io.x.y", "io.opamp-rs.delta/1"];
    assert_eq!(takes(announcing(&ours, 1)), Some(true));
    assert_eq!(takes(silent(2)), None);
    assert_eq!(takes(announcing(&ours, 3)), Some(true), "said again");
    assert_eq!(takes(silent(9)), Some(false), "a gap");
    assert_eq!(takes(announcing(&ours, 10)), Some(true));
    assert_eq!(takes(announcing(&["io.x.y"], 11)), Some(false));
}
