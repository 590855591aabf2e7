//! The fuzz targets over random bytes, and over messages with damage.

use opamp::model::{AgentDescription, Attribute};
use opamp::proto::{AgentToServer, ServerToAgent, ServerToAgentFlags};
use opamp::ws::put_masked_message;
use proptest::prelude::*;
use prost::Message as _;

/// A message with one byte changed and the end cut off, if there is damage at all.
fn damaged(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    (0..=bytes.len(), any::<u8>(), 0..=bytes.len()).prop_map(move |(at, byte, end)| {
        let mut bytes = bytes.clone();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(end.max(1));
        bytes
    })
}

fn report() -> Vec<u8> {
    let description =
        AgentDescription { identifying: vec![Attribute::new("service.name", "edge")], non_identifying: vec![] };
    let message = AgentToServer {
        instance_uid: vec![7; 16],
        sequence_num: 8,
        capabilities: 0xffff,
        agent_description: Some((&description).into()),
        health: Some(Default::default()),
        effective_config: Some(Default::default()),
        ..AgentToServer::default()
    };
    message.encode_to_vec()
}

fn answer() -> Vec<u8> {
    let message = ServerToAgent {
        instance_uid: vec![7; 16],
        capabilities: 0x7f,
        flags: ServerToAgentFlags::ReportFullState as u64,
        remote_config: Some(Default::default()),
        ..ServerToAgent::default()
    };
    let message = message.encode_to_vec();
    [&[message.len() as u8], &message[..]].concat().repeat(8)
}

fn frames() -> Vec<u8> {
    let mut frames = vec![3];
    for _ in 0..3 {
        put_masked_message(&mut frames, &report(), [1, 2, 3, 4]);
    }
    frames
}

/// A configuration with something of everything.
const CONFIG: &str = "a: &a {x: 1, y: [b, 'c', \"d\"]}\nb:\n  <<: *a\n  token: |\n    s\n  e: >-\n    f\n    g\nc::d: !!str 1\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn ws_decoder_holds(data in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), damaged(frames())]) {
        opamp_fuzz::ws_decoder(&data);
    }

    #[test]
    fn server_receive_holds(data in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), damaged(report())]) {
        opamp_fuzz::server_receive(&data);
    }

    #[test]
    fn client_receive_holds(data in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), damaged(answer())]) {
        opamp_fuzz::client_receive(&data);
    }

    #[test]
    fn gunzip_holds(data in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        damaged(opamp::gzip::compress(&[7; 1000])),
    ]) {
        opamp_fuzz::gunzip(&data);
    }

    #[test]
    fn otelcol_yaml_holds(data in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[ a-c:\\-\\[\\]{}'\"|>&*!#?%,\n0-9.]{0,60}".prop_map(String::into_bytes),
        damaged(CONFIG.into()),
    ]) {
        opamp_fuzz::otelcol_yaml(&data);
    }
}
