//! The fuzz targets over random bytes, and over messages with damage.

use opamp::model::{InstanceUid, WireState};
use opamp::ws::Decoder;
use opamp::{Limits, gzip, server};
use opamp_fuzz::seeds::{CONFIG, CONFIGS, answers, compressed, frames, report, reports};
use otelcol::Document;
use proptest::prelude::*;

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
    fn client_receive_holds(data in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), damaged(answers())]) {
        opamp_fuzz::client_receive(&data);
    }

    #[test]
    fn gunzip_holds(data in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        damaged(compressed()),
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

    #[test]
    fn otelcol_merge_holds(data in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[ a-c:\\-\\[\\]{}'\"|>&*!#?%,\n0-9.\0]{0,80}".prop_map(String::into_bytes),
        damaged(CONFIGS.into()),
    ]) {
        opamp_fuzz::otelcol_merge(&data);
    }

    #[test]
    fn server_session_holds(data in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), damaged(reports())]) {
        opamp_fuzz::server_session(&data);
    }
}

/// What fuzzers begin with is not refused at its first byte.
#[test]
fn seeds_are_taken() {
    let limits = Limits::default();
    let uid =
        |message: &[u8]| server::receive(&mut WireState::default(), message, &limits).map(|received| received.uid);
    assert_eq!(uid(&report()).expect("a report"), InstanceUid::new([7; 16]));
    assert!(gzip::decompress(&compressed(), 4096).expect("a body").starts_with(&report()));
    let mut decoder = Decoder::server(&limits);
    let mut frames = frames().split_off(1);
    let mut frames = &mut frames[..];
    let mut events = 0;
    while decoder.next(&mut frames).expect("frames").is_some() {
        events += 1;
    }
    assert_eq!(events, 8, "three messages, three pings, one message of two fragments, the close");
    for text in CONFIGS.split('\0') {
        Document::parse(text.as_bytes()).expect("a configuration");
    }
}

#[test]
fn every_target_holds_over_its_seeds() {
    for (target, seeds) in opamp_fuzz::seeds::all() {
        for seed in seeds {
            match target {
                "ws_decoder" => opamp_fuzz::ws_decoder(&seed),
                "server_receive" => opamp_fuzz::server_receive(&seed),
                "server_session" => opamp_fuzz::server_session(&seed),
                "client_receive" => opamp_fuzz::client_receive(&seed),
                "gunzip" => opamp_fuzz::gunzip(&seed),
                "otelcol_yaml" => opamp_fuzz::otelcol_yaml(&seed),
                "otelcol_merge" => opamp_fuzz::otelcol_merge(&seed),
                other => panic!("no target {other}"),
            }
        }
    }
}
