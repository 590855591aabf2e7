//! The reader in place against messages that prost encoded.

use opamp::proto::{
    AgentConfigFile, AgentConfigMap, AgentIdentification, AgentRemoteConfig, RetryInfo,
    ServerErrorResponse, ServerErrorResponseType, ServerToAgent, ServerToAgentCommand,
    server_error_response::Details,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::*;

fn read_back(message: &ServerToAgent) -> Answer {
    read(&message.encode_to_vec(), &Contents::default()).unwrap()
}

fn offer(name: &str, body: &str, hash: Vec<u8>) -> ServerToAgent {
    let file = AgentConfigFile {
        body: body.into(),
        content_type: "text/yaml".into(),
    };
    let map = AgentConfigMap {
        config_map: [(name.to_owned(), file)].into(),
    };
    let remote_config = AgentRemoteConfig {
        config: Some(map),
        config_hash: hash,
    };
    ServerToAgent {
        remote_config: Some(remote_config),
        ..ServerToAgent::default()
    }
}

#[test]
fn an_answer_with_only_a_uid_asks_for_nothing() {
    let message = ServerToAgent {
        instance_uid: vec![1; 16],
        ..ServerToAgent::default()
    };
    assert_eq!(read_back(&message), Answer::default());
    assert_eq!(read(&[], &Contents::default()), Ok(Answer::default()));
}

#[test]
fn flags_capabilities_and_command_are_read() {
    let message = ServerToAgent {
        flags: 3,
        capabilities: 0x27,
        command: Some(ServerToAgentCommand::default()),
        ..ServerToAgent::default()
    };
    let answer = read_back(&message);
    assert_eq!(
        (answer.flags, answer.capabilities, answer.restart),
        (3, 0x27, true)
    );
}

#[test]
fn cf_05_the_hash_of_an_offer_is_checked_against_its_body() {
    let body = "receivers: {}\n";
    let hash = Sha256::digest(body).to_vec();
    let offered = read_back(&offer("config.yaml", body, hash.clone()))
        .offer
        .unwrap();
    assert!(offered.hash_matches && *offered.hash == *hash);

    let wrong = read_back(&offer("config.yaml", body, vec![7; 32]))
        .offer
        .unwrap();
    assert!(!wrong.hash_matches);
}

#[test]
fn agents_with_the_same_offer_share_it() {
    let contents = Contents::default();
    let message = offer("config.yaml", "a: 1\n", vec![1]).encode_to_vec();
    let one = read(&message, &contents)
        .unwrap()
        .offer
        .unwrap()
        .content
        .unwrap();
    let two = read(&message, &contents)
        .unwrap()
        .offer
        .unwrap()
        .content
        .unwrap();
    assert!(Arc::ptr_eq(&one, &two));
    let map = AgentConfigMap::decode(one.encoded()).unwrap();
    assert_eq!(map.config_map["config.yaml"].body, "a: 1\n".as_bytes());
}

#[test]
fn cf_08_an_offer_may_be_the_hash_alone() {
    let mut message = offer("config.yaml", "", vec![1]);
    message.remote_config.as_mut().unwrap().config = None;
    assert_eq!(read_back(&message).offer.unwrap().content, None);
}

#[test]
fn rt_06_unavailable_says_when_to_come_back() {
    let mut error = ServerErrorResponse {
        r#type: ServerErrorResponseType::Unavailable.into(),
        error_message: "busy".into(),
        details: Some(Details::RetryInfo(RetryInfo {
            retry_after_nanoseconds: 1_500_000_000,
        })),
    };
    let message = |error: &ServerErrorResponse| ServerToAgent {
        error_response: Some(error.clone()),
        ..ServerToAgent::default()
    };
    let told = RetryAfter::Told(Duration::from_millis(1500));
    let refusal = read_back(&message(&error)).error.unwrap();
    assert_eq!(
        refusal,
        Refusal {
            message: "busy".into(),
            unavailable: Some(told)
        }
    );

    error.details = None;
    let refusal = read_back(&message(&error)).error.unwrap();
    assert_eq!(refusal.unavailable, Some(RetryAfter::Unsaid));

    error.r#type = ServerErrorResponseType::BadRequest.into();
    assert_eq!(read_back(&message(&error)).error.unwrap().unavailable, None);
}

#[test]
fn id_04_a_new_uid_has_16_bytes_or_is_malformed() {
    let with = |uid: Vec<u8>| ServerToAgent {
        agent_identification: Some(AgentIdentification {
            new_instance_uid: uid,
        }),
        ..ServerToAgent::default()
    };
    assert_eq!(read_back(&with(vec![9; 16])).new_uid, Some([9; 16]));
    let short = with(vec![9; 15]).encode_to_vec();
    assert_eq!(read(&short, &Contents::default()), Err(Malformed));
}

#[test]
fn in_01_unknown_fields_of_every_wire_type_are_skipped() {
    let mut bytes = Vec::new();
    crate::wire::encode::uint(&mut bytes, 200, 5);
    crate::wire::encode::fixed64(&mut bytes, 201, 5);
    crate::wire::encode::bytes(&mut bytes, 202, b"x");
    crate::wire::encode::varint(&mut bytes, 203 << 3 | 5);
    bytes.extend_from_slice(&[0; 4]);
    crate::wire::encode::uint(&mut bytes, 6, 1);
    assert_eq!(read(&bytes, &Contents::default()).unwrap().flags, 1);
}

#[test]
fn garbage_is_malformed_and_never_a_panic() {
    let message = offer("config.yaml", "receivers: {}\n", vec![1; 32]).encode_to_vec();
    for cut in 1..message.len() {
        let _either = read(&message[..cut], &Contents::default()).is_ok();
    }
    for bad in [
        &[0x0a, 0x7f][..],
        &[0xff; 12],
        &[0x0b],
        &[0x00, 0x00],
        &[0x30],
    ] {
        assert_eq!(read(bad, &Contents::default()), Err(Malformed), "{bad:?}");
    }
}
