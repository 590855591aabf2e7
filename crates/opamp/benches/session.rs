//! What a message costs the server, without its transport.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use opamp::Limits;
use opamp::model::{AgentCapabilities, Health, InstanceUid, ServerCapabilities, WireState};
use opamp::proto::AgentToServer;
use opamp::server::{Reply, peek, receive};
use opamp::ws::{Decoder, put_masked_message, put_message};
use prost::Message as _;

const UID: InstanceUid = InstanceUid::new([7; 16]);

/// A status report of ten components, whose times move with its number.
fn report(number: u64, healthy: bool) -> Vec<u8> {
    let component = |index: u64| Health {
        healthy: healthy || index != 3,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        status: "StatusOK".into(),
        status_time_unix_nano: 1_700_000_000_000_000_000 + number,
        ..Health::default()
    };
    let components: BTreeMap<_, _> = (0..10)
        .map(|index| (format!("pipeline:traces/{index}"), component(index)))
        .collect();
    let health = Health {
        components,
        ..component(0)
    };
    let message = AgentToServer {
        instance_uid: UID.as_bytes().to_vec(),
        sequence_num: number,
        capabilities: AgentCapabilities::ALL.bits(),
        health: Some((&health).into()),
        ..AgentToServer::default()
    };
    message.encode_to_vec()
}

fn session(c: &mut Criterion) {
    let reports: Vec<_> = (0..1000).map(|number| report(number, true)).collect();
    let flips: Vec<_> = (0..1000)
        .map(|number| report(number, number % 2 == 0))
        .collect();
    c.bench_function("peek", |b| b.iter(|| peek(black_box(&reports[0]))));
    for (name, messages) in [
        ("receive: times changed", &reports),
        ("receive: health flipped", &flips),
    ] {
        let mut wire = WireState::default();
        let mut messages = messages.iter().cycle();
        c.bench_function(name, |b| {
            b.iter(|| {
                receive(
                    &mut wire,
                    messages.next().expect("endless"),
                    &Limits::SERVER,
                )
            });
        });
    }
    c.bench_function("reply: acknowledgement", |b| {
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            put_message(&mut out, &Reply::to(UID, ServerCapabilities::ALL).encode());
            out.len()
        });
    });
    let mut frame = Vec::new();
    put_masked_message(&mut frame, &reports[0], [1, 2, 3, 4]);
    let mut decoder = Decoder::server(&Limits::SERVER);
    c.bench_function("frame: a status report", |b| {
        b.iter_batched_ref(
            || frame.clone(),
            |frame| decoder.next(&mut &mut frame[..]).expect("valid").is_some(),
            criterion::BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, session);
criterion_main!(benches);
