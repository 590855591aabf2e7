//! Bounds on what a peer sends: size, depth and number of parts, before anything is decoded.

use std::time::Instant;

use opamp::model::{AgentCapabilities, Health, Value, WireState};
use opamp::proto::{self, AgentToServer, ServerToAgent};
use opamp::{Limits, Malformed, server};
use proptest::prelude::*;
use prost::Message as _;

use crate::support::{addressed, config, described, message, receive, session};

fn receive_within(limits: &Limits, message: &AgentToServer) -> Result<server::Received, Malformed> {
    server::receive(&mut WireState::default(), &message.encode_to_vec(), limits)
}

/// Health whose components nest this deep below the root.
fn deep_health(levels: u32) -> AgentToServer {
    let mut health = Health::default();
    for _ in 0..levels {
        health = Health {
            components: [("c".to_owned(), health)].into(),
            ..Health::default()
        };
    }
    AgentToServer {
        health: Some((&health).into()),
        ..message(1)
    }
}

fn deep_components(levels: u32) -> AgentToServer {
    let mut details = proto::ComponentDetails::default();
    for _ in 1..levels {
        details = proto::ComponentDetails {
            sub_component_map: [("c".to_owned(), details)].into(),
            ..Default::default()
        };
    }
    let components = [("c".to_owned(), details)].into();
    let available = proto::AvailableComponents {
        components,
        hash: vec![1],
    };
    AgentToServer {
        available_components: Some(available),
        ..message(1)
    }
}

/// A description with one attribute whose lists nest this deep.
fn deep_value(levels: u32) -> AgentToServer {
    let mut value = Value::Null;
    for _ in 0..levels {
        value = Value::Array(vec![value]);
    }
    let pair = proto::KeyValue {
        key: "k".into(),
        value: Some((&value).into()),
    };
    let description = proto::AgentDescription {
        identifying_attributes: vec![pair],
        ..Default::default()
    };
    AgentToServer {
        agent_description: Some(description),
        ..message(1)
    }
}

#[test]
fn nesting_is_decoded_up_to_the_limit_and_not_beyond() {
    let limits = Limits::SERVER;
    // The root and each component are a level.
    assert!(receive_within(&limits, &deep_health(limits.depth - 1)).is_ok());
    assert!(matches!(
        receive_within(&limits, &deep_health(limits.depth)),
        Err(Malformed::TooDeep { .. })
    ));
    // The inventory and each component that is not empty are a level.
    assert!(receive_within(&limits, &deep_components(limits.depth)).is_ok());
    assert!(matches!(
        receive_within(&limits, &deep_components(limits.depth + 1)),
        Err(Malformed::TooDeep { .. })
    ));
    // The description, its attribute and its value are a level each, a list and its value two.
    assert!(receive_within(&limits, &deep_value((limits.depth - 3) / 2)).is_ok());
    assert!(matches!(
        receive_within(&limits, &deep_value(limits.depth / 2)),
        Err(Malformed::TooDeep { .. })
    ));
}

#[test]
fn very_deep_nesting_does_not_exhaust_the_stack() {
    for levels in [1_000, 50_000] {
        // Built by hand: the encoder itself recurses.
        let mut health = Vec::new();
        for _ in 0..levels {
            let mut entry = vec![0x12];
            prost::encoding::encode_varint(health.len() as u64, &mut entry);
            entry.extend(&health);
            let mut outer = vec![0x32];
            prost::encoding::encode_varint(entry.len() as u64, &mut outer);
            outer.extend(entry);
            health = outer;
            if (4 << 20) < health.len() {
                break;
            }
        }
        let mut bytes = message(1).encode_to_vec();
        prost::encoding::bytes::encode(5, &health, &mut bytes);
        let limits = Limits {
            message_bytes: usize::MAX,
            ..Limits::SERVER
        };
        let refused = server::receive(&mut WireState::default(), &bytes, &limits);
        assert!(matches!(refused, Err(Malformed::TooDeep { .. })));
    }
}

#[test]
fn many_small_parts_are_refused_before_they_are_decoded() {
    // Two bytes an attribute on the wire, some sixty in memory.
    let mut description = Vec::new();
    for _ in 0..Limits::SERVER.nodes {
        description.extend([0x0a, 0x00]);
    }
    let with = |description: &Vec<u8>| {
        let mut bytes = message(1).encode_to_vec();
        prost::encoding::bytes::encode(3, description, &mut bytes);
        let limits = Limits {
            description_bytes: usize::MAX,
            ..Limits::SERVER
        };
        server::receive(&mut WireState::default(), &bytes, &limits)
    };
    assert!(with(&description).is_ok());
    description.extend([0x0a, 0x00]);
    assert!(matches!(with(&description), Err(Malformed::TooMany { .. })));
}

#[test]
fn health_of_too_many_components_is_refused() {
    let limits = Limits {
        nodes: 5,
        ..Limits::SERVER
    };
    let with = |parts| {
        let health = crate::support::health(true, parts, 0);
        receive_within(
            &limits,
            &AgentToServer {
                health: Some((&health).into()),
                ..message(1)
            },
        )
    };
    assert!(with(5).is_ok());
    assert!(matches!(with(6), Err(Malformed::TooMany { limit: 5 })));
}

#[test]
fn ws_06_a_message_over_the_limit_is_malformed() {
    let bytes = described(1).encode_to_vec();
    let limits = |message_bytes| Limits {
        message_bytes,
        ..Limits::SERVER
    };
    assert!(receive_within(&limits(bytes.len()), &described(1)).is_ok());
    let refused = receive_within(&limits(bytes.len() - 1), &described(1));
    assert!(matches!(
        refused,
        Err(Malformed::TooLarge {
            part: "message",
            ..
        })
    ));
}

#[test]
fn description_and_effective_config_have_limits_of_their_own() {
    let large = "x".repeat(2000);
    let effective = proto::EffectiveConfig {
        config_map: Some((&config(&large)).into()),
    };
    let report = AgentToServer {
        effective_config: Some(effective),
        ..described(1)
    };
    let small = Limits {
        effective_config_bytes: 1999,
        ..Limits::SERVER
    };
    let error = receive_within(&small, &report).unwrap_err();
    assert_eq!(
        error.to_string(),
        "effective configuration has 2036 bytes, the limit is 1999"
    );
    let small = Limits {
        description_bytes: 10,
        ..Limits::SERVER
    };
    let error = receive_within(&small, &report).unwrap_err();
    assert_eq!(
        error.to_string(),
        "description has 44 bytes, the limit is 10"
    );
    let exact = Limits {
        effective_config_bytes: 2036,
        description_bytes: 44,
        ..Limits::SERVER
    };
    assert!(receive_within(&exact, &report).is_ok());
    assert!(receive_within(&Limits::SERVER, &report).is_ok());
}

#[test]
fn wrong_types_are_malformed() {
    let with = |extra: &[u8]| {
        let mut bytes = message(1).encode_to_vec();
        bytes.extend(extra);
        server::receive(&mut WireState::default(), &bytes, &Limits::SERVER)
    };
    assert!(
        matches!(with(&[0x28, 0x01]), Err(Malformed::Type { field: 5 })),
        "health as a number"
    );
    assert!(
        matches!(
            with(&[0x2a, 0x02, 0x10, 0x01]),
            Err(Malformed::Type { field: 2 })
        ),
        "a time as a varint"
    );
    assert!(
        matches!(
            with(&[0x2a, 0x03, 0x1a, 0x01, 0xff]),
            Err(Malformed::Decode(_))
        ),
        "an error that is not UTF-8"
    );
    assert!(
        matches!(with(&[0x2b, 0x2c]), Err(Malformed::Encoding)),
        "a group"
    );
    assert!(
        matches!(with(&[0x2a, 0x7f]), Err(Malformed::Encoding)),
        "cut short"
    );
    assert!(
        matches!(with(&[0x02, 0x00]), Err(Malformed::Encoding)),
        "field 0"
    );
}

#[test]
fn ws_07_ht_13_the_client_has_the_same_bounds() {
    let now = Instant::now();
    let mut session = session(AgentCapabilities::ALL, now);
    let packages = proto::PackagesAvailable {
        packages: (0..40_000)
            .map(|n| (n.to_string(), proto::PackageAvailable::default()))
            .collect(),
        ..Default::default()
    };
    let many = ServerToAgent {
        packages_available: Some(packages),
        ..addressed()
    };
    assert!(matches!(
        session.receive(&many.encode_to_vec(), now),
        Err(Malformed::TooMany { .. })
    ));
    let oversize = vec![0; Limits::CLIENT.message_bytes + 1];
    assert!(matches!(
        session.receive(&oversize, now),
        Err(Malformed::TooLarge { .. })
    ));
}

proptest! {
    #[test]
    fn whatever_passes_the_bounds_decodes_within_them(bytes: Vec<u8>, depth in 1_u32..6, nodes in 0_u32..20) {
        let mut message = described(1).encode_to_vec();
        prost::encoding::bytes::encode(5, &bytes, &mut message);
        let limits = Limits { depth, nodes, ..Limits::SERVER };
        let mut wire = WireState::default();
        if let Ok(received) = server::receive(&mut wire, &message, &limits)
            && let Some(tree) = received.changes.health.and_then(|health| health.tree)
        {
            prop_assert!(tree.count() <= nodes as usize + 1);
        }
        prop_assert!(receive(&mut WireState::default(), &described(1)).is_ok());
    }
}
