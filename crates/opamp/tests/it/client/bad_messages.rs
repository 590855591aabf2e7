//! Refusals, messages that do not fit, and bytes that are none.

use std::time::Instant;

use opamp::client::{ClientSession, Event, Mode, Reconnect, ServerError, SessionOptions};
use opamp::model::AgentCapabilities;
use opamp::proto::{AgentToServer, ServerToAgent, ServerToAgentFlags};
use opamp::server::{ErrorKind, Reply};
use opamp::{Limits, Malformed};
use proptest::prelude::*;
use prost::Message as _;

use super::{SERVER, parts};
use crate::support::{
    REPORTING, SECOND, UID, addressed, config, description, give_raw, remote_config, sent, settled,
};

#[test]
fn st_10_rt_05_a_refusal_excludes_all_else_and_is_not_answered() {
    let now = Instant::now();
    for kind in [ErrorKind::BadRequest, ErrorKind::Unknown] {
        let mut session = settled(REPORTING, SERVER, now);
        let refusal = Reply::error(Some(UID.into()), kind, "no", None).to_vec();
        let mut message = ServerToAgent::decode(&refusal[..]).unwrap();
        message.remote_config = Some(remote_config("a: 1", b"h"));
        message.flags = ServerToAgentFlags::ReportFullState as u64;
        let received = give_raw(&mut session, &message, now);
        assert_eq!(
            received.events,
            [Event::Error(ServerError {
                kind,
                message: "no".into()
            })]
        );
        assert_eq!((received.reconnect, session.poll_send(now)), (None, None));
    }
}

#[test]
fn rt_07_unavailable_means_to_come_back_later() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let busy =
        |after| Reply::error(Some(UID.into()), ErrorKind::Unavailable, "busy", after).to_vec();
    let received = session.receive(&busy(Some(7 * SECOND)), now).unwrap();
    assert_eq!(
        received.reconnect,
        Some(Reconnect {
            after: Some(7 * SECOND)
        })
    );
    let received = session.receive(&busy(None), now).unwrap();
    assert_eq!(received.reconnect, Some(Reconnect { after: None }));
}

#[test]
fn ws_10_ht_15_a_part_that_does_not_fit_is_left_out_and_told() {
    let now = Instant::now();
    let limits = Limits {
        message_bytes: 1000,
        ..Limits::CLIENT
    };
    let mut session = ClientSession::new(SessionOptions {
        limits,
        ..SessionOptions::new(UID, REPORTING)
    });
    session.set_description(&description("edge"));
    session.set_effective_config(&config(&"x".repeat(2000)));
    session.connected(Mode::Stream, now);
    let bytes = session.poll_send(now).unwrap();
    assert!(bytes.len() < 1000);
    assert_eq!(
        parts(&AgentToServer::decode(&bytes[..]).unwrap()),
        ["agent_description"]
    );
    let skipped = session.take_skipped();
    assert_eq!(
        (skipped[0].part, skipped[0].limit_bytes),
        ("effective_config", 1000)
    );
    assert_eq!(
        (session.poll_send(now), session.take_skipped()),
        (None, vec![]),
        "it is not tried again"
    );
    session.set_effective_config(&config("small"));
    assert_eq!(parts(&sent(&mut session, now)), ["effective_config"]);
}

#[test]
fn ws_10_ht_15_a_message_fills_the_limit_and_never_exceeds_it() {
    let now = Instant::now();
    let limits = Limits {
        message_bytes: 1000,
        ..Limits::CLIENT
    };
    let mut fits = Vec::new();
    for bytes in 800..1000 {
        let mut session = ClientSession::new(SessionOptions {
            limits,
            ..SessionOptions::new(UID, REPORTING)
        });
        session.set_effective_config(&config(&"x".repeat(bytes)));
        session.connected(Mode::Stream, now);
        let message = session.poll_send(now).unwrap();
        // With the header's byte.
        assert!(message.len() < 1000, "{}", message.len());
        if session.take_skipped().is_empty() {
            fits.push(message.len());
        }
    }
    let largest = fits.into_iter().max().expect("some fit");
    assert!(980 < largest, "{largest}");
}

#[test]
fn ws_07_a_message_as_large_as_the_limit_is_read() {
    let now = Instant::now();
    let bytes = ServerToAgent {
        remote_config: Some(remote_config("a: 1", b"h1")),
        ..addressed()
    }
    .encode_to_vec();
    for (message_bytes, fits) in [(bytes.len(), true), (bytes.len() - 1, false)] {
        let mut session = ClientSession::new(SessionOptions {
            limits: Limits {
                message_bytes,
                ..Limits::CLIENT
            },
            ..SessionOptions::new(UID, REPORTING)
        });
        session.connected(Mode::Stream, now);
        let received = session.receive(&bytes, now);
        assert_eq!(
            received.is_ok_and(|received| received.events.len() == 1),
            fits
        );
    }
}

#[test]
fn garbage_is_malformed() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    assert!(matches!(
        session.receive(&[0x0b], now),
        Err(Malformed::Encoding)
    ));
    assert!(matches!(
        session.receive(&[0x08, 0x01], now),
        Err(Malformed::Decode(_))
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_received_without_panic(messages: Vec<Vec<u8>>) {
        let now = Instant::now();
        let mut session = settled(AgentCapabilities::ALL, SERVER, now);
        for bytes in messages {
            let _result = session.receive(&bytes, now);
            while session.poll_send(now).is_some() {}
        }
    }
}
