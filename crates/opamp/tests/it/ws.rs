//! The WebSocket codec: against RFC 6455, and against tungstenite as the peer.

use std::io::{Cursor, Read, Write};

use opamp::Limits;
use opamp::server::Encoded;
use opamp::ws::{
    Decoder, Event, Violation, put_close, put_masked_message, put_message, put_ping, put_pong,
    strip_header,
};
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

const KEY: [u8; 4] = [0xa1, 0x02, 0xff, 0x44];

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Binary(Vec<u8>),
    Text(String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Got {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(close) => {
                Self::Close(close.map(|close| (close.code, close.reason.to_owned())))
            }
        }
    }
}

/// Reads everything in chunks of these sizes.
fn decode(mut decoder: Decoder, bytes: &[u8], sizes: &[usize]) -> (Vec<Got>, Option<Violation>) {
    let mut got = Vec::new();
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut sizes = sizes.iter().copied();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (mut chunk, later) = rest.split_at_mut(size);
        rest = later;
        loop {
            match decoder.next(&mut chunk) {
                Ok(Some(event)) => got.push(event.into()),
                Ok(None) => break,
                Err(violation) => return (got, Some(violation)),
            }
        }
        assert!(chunk.is_empty(), "a chunk is used up");
    }
    (got, None)
}

fn decode_whole(bytes: &[u8]) -> (Vec<Got>, Option<Violation>) {
    decode(Decoder::server(&Limits::SERVER), bytes, &[])
}

/// A socket in memory.
#[derive(Default)]
struct Memory {
    unread: Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.unread.read(buffer)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What tungstenite writes for these frames.
fn peer_writes(role: Role, messages: &[Message]) -> Vec<u8> {
    let mut peer = WebSocket::from_raw_socket(Memory::default(), role, None);
    for message in messages {
        peer.send(message.clone()).unwrap();
    }
    std::mem::take(&mut peer.get_mut().written)
}

/// What tungstenite reads from these bytes, and why it stopped, unless for want of more.
fn peer_reads(
    role: Role,
    bytes: &[u8],
    config: Option<WebSocketConfig>,
) -> (Vec<Got>, Option<Error>) {
    let memory = Memory {
        unread: Cursor::new(bytes.to_vec()),
        written: Vec::new(),
    };
    let mut peer = WebSocket::from_raw_socket(memory, role, config);
    let mut got = Vec::new();
    loop {
        match peer.read() {
            Ok(Message::Binary(bytes)) => got.push(Got::Binary(bytes.to_vec())),
            Ok(Message::Text(text)) => got.push(Got::Text(text.to_string())),
            Ok(Message::Ping(bytes)) => got.push(Got::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => got.push(Got::Pong(bytes.to_vec())),
            // How tungstenite hands out a close code that must not be sent.
            Ok(Message::Close(Some(frame))) if frame.reason.as_str() == "Protocol violation" => {
                return (got, Some(Error::AttackAttempt));
            }
            Ok(Message::Close(frame)) => {
                got.push(Got::Close(
                    frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
                ));
                return (got, None);
            }
            Ok(Message::Frame(_)) => unreachable!("frames are only written"),
            Err(Error::Io(_) | Error::ConnectionClosed) => return (got, None),
            Err(Error::Protocol(error))
                if error.to_string().contains("without closing handshake") =>
            {
                return (got, None);
            }
            Err(error) => return (got, Some(error)),
        }
    }
}

fn data(opcode: Data, fin: bool, payload: &[u8]) -> Message {
    Message::Frame(Frame::message(payload.to_vec(), OpCode::Data(opcode), fin))
}

/// Sizes on both sides of where the length field grows.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let pattern = |(length, first): (usize, u8)| {
        (0..length)
            .map(|index| first.wrapping_add(index as u8))
            .collect()
    };
    prop_oneof![4 => 0_usize..300, 1 => 65_530_usize..65_540]
        .prop_flat_map(|length| (Just(length), any::<u8>()))
        .prop_map(pattern)
}

/// A message as tungstenite sends it, perhaps in fragments, and what is to be received.
fn exchange() -> impl Strategy<Value = (Vec<Message>, Vec<Got>)> {
    let small = || prop::collection::vec(any::<u8>(), 0..126);
    prop_oneof![
        payload().prop_map(|bytes| (
            vec![Message::binary(bytes.clone())],
            vec![Got::Binary(bytes)]
        )),
        ".{0,40}".prop_map(|text| (vec![Message::text(text.clone())], vec![Got::Text(text)])),
        small().prop_map(|bytes| (
            vec![Message::Ping(bytes.clone().into())],
            vec![Got::Ping(bytes)]
        )),
        small().prop_map(|bytes| (
            vec![Message::Pong(bytes.clone().into())],
            vec![Got::Pong(bytes)]
        )),
        (prop::collection::vec(small(), 2..6), small()).prop_map(|(fragments, ping)| {
            let last = fragments.len() - 1;
            let opcode = |index| {
                if index == 0 {
                    Data::Binary
                } else {
                    Data::Continue
                }
            };
            let mut frames: Vec<_> = fragments
                .iter()
                .enumerate()
                .map(|(index, fragment)| data(opcode(index), index == last, fragment))
                .collect();
            frames.insert(1, Message::Ping(ping.clone().into()));
            (
                frames,
                vec![Got::Ping(ping), Got::Binary(fragments.concat())],
            )
        }),
    ]
}

proptest! {
    #[test]
    fn ws_01_what_tungstenite_sends_is_received_however_it_is_cut(
        exchanges in prop::collection::vec(exchange(), 0..6),
        sizes in prop::collection::vec(prop_oneof![1_usize..20, 1_usize..70_000], 0..200),
    ) {
        let messages: Vec<_> = exchanges.iter().flat_map(|(messages, _)| messages.clone()).collect();
        let expected: Vec<_> = exchanges.into_iter().flat_map(|(_, got)| got).collect();
        let from_client = peer_writes(Role::Client, &messages);
        let received = decode(Decoder::server(&Limits::SERVER), &from_client, &sizes);
        prop_assert_eq!(&received, &(expected.clone(), None));
        let from_server = peer_writes(Role::Server, &messages);
        let received = decode(Decoder::client(&Limits::SERVER), &from_server, &sizes);
        prop_assert_eq!(received, (expected, None));
    }

    #[test]
    fn ws_02_tungstenite_receives_what_is_sent(
        message in payload(),
        control in prop::collection::vec(any::<u8>(), 0..126),
        key: [u8; 4],
    ) {
        let framed = [&[0], &message[..]].concat();
        let expected = vec![
            Got::Ping(control.clone()),
            Got::Binary(framed),
            Got::Pong(control.clone()),
            Got::Close(Some((1001, "bye".into()))),
        ];
        let mut from_client = Vec::new();
        put_ping(&mut from_client, &control, Some(key));
        put_masked_message(&mut from_client, &message, key);
        put_pong(&mut from_client, &control, Some(key));
        put_close(&mut from_client, 1001, "bye", Some(key));
        let (got, error) = peer_reads(Role::Server, &from_client, None);
        prop_assert!(error.is_none(), "{error:?}");
        prop_assert_eq!(&got, &expected);

        let mut from_server = Vec::new();
        put_ping(&mut from_server, &control, None);
        put_message(&mut from_server, &Encoded::from(message));
        put_pong(&mut from_server, &control, None);
        put_close(&mut from_server, 1001, "bye", None);
        let (got, error) = peer_reads(Role::Client, &from_server, None);
        prop_assert!(error.is_none(), "{error:?}");
        prop_assert_eq!(&got, &expected);
    }

    #[test]
    fn what_breaks_the_protocol_breaks_it_for_tungstenite_too(
        frames in prop::collection::vec(
            (any::<bool>(), 0_u8..16, prop_oneof![9 => Just(0_u8), 1 => 0_u8..8], prop::bool::weighted(0.95),
             prop_oneof![prop::collection::vec(any::<u8>(), 0..5), prop::collection::vec(b'a'..b'c', 120..130)]),
            0..8,
        ),
        sizes in prop::collection::vec(1_usize..20, 0..40),
    ) {
        let mut bytes = Vec::new();
        for (fin, opcode, reserved, masked, mut payload) in frames {
            bytes.push((u8::from(fin) << 7) | (reserved << 4) | opcode);
            let masked_bit = u8::from(masked) << 7;
            match u8::try_from(payload.len()) {
                Ok(length) if length < 126 => bytes.push(masked_bit | length),
                _ => {
                    bytes.push(masked_bit | 126);
                    bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
                }
            }
            if masked {
                bytes.extend(KEY);
                payload.iter_mut().zip(KEY.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            }
            bytes.extend(payload);
        }
        let (ours, violation) = decode(Decoder::server(&Limits::SERVER), &bytes, &sizes);
        let (theirs, error) = peer_reads(Role::Server, &bytes, None);
        if matches!(error, Some(Error::Utf8(_))) {
            // Tungstenite does not wait for the end of a text to see that it is none.
            prop_assert!(ours.starts_with(&theirs));
            return Ok(());
        }
        prop_assert_eq!(&ours, &theirs, "violation {:?}, error {:?}", violation, error);
        prop_assert_eq!(violation.is_some(), error.is_some(), "violation {:?}, error {:?}", violation, error);
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_alike_however_they_are_cut(
        bytes: Vec<u8>,
        sizes in prop::collection::vec(1_usize..20, 0..40),
    ) {
        let limits = Limits { message_bytes: 1000, ..Limits::SERVER };
        let whole = decode(Decoder::server(&limits), &bytes, &[]);
        prop_assert_eq!(decode(Decoder::server(&limits), &bytes, &sizes), whole);
    }
}

#[test]
fn violations_have_their_close_codes() {
    let check = |bytes: &[u8], code: u16, what: &str| {
        let (got, violation) = decode_whole(bytes);
        assert_eq!(
            (got.len(), violation.map(|violation| violation.close_code())),
            (0, Some(code)),
            "{what}"
        );
    };
    check(&[0x82, 0x01, 0x00], 1002, "unmasked");
    check(&[0xc2, 0x80, 0, 0, 0, 0], 1002, "reserved bit");
    check(&[0x83, 0x80, 0, 0, 0, 0], 1002, "unknown opcode");
    check(&[0x8b, 0x80, 0, 0, 0, 0], 1002, "unknown control opcode");
    check(&[0x80, 0x80, 0, 0, 0, 0], 1002, "continuation of nothing");
    check(&[0x09, 0x80, 0, 0, 0, 0], 1002, "fragmented ping");
    check(
        &[0x89, 0xfe, 0x00, 0x7e, 0, 0, 0, 0],
        1002,
        "ping of 126 bytes",
    );
    check(
        &[0x88, 0x81, 0, 0, 0, 0, 0x03],
        1002,
        "close code cut short",
    );
    check(
        &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed],
        1002,
        "close code 1005",
    );
    check(
        &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        1002,
        "length with its highest bit set",
    );
    check(
        &[0x81, 0x81, 0, 0, 0, 0, 0xff],
        1007,
        "text that is not UTF-8",
    );
    check(
        &[0x88, 0x83, 0, 0, 0, 0, 0x03, 0xe8, 0xff],
        1007,
        "reason that is not UTF-8",
    );
    check(
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0x40, 0, 1, 0, 0, 0, 0],
        1009,
        "4 MiB and a byte",
    );
    let two_messages = [0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0];
    check(&two_messages, 1002, "a message within a message");
}

#[test]
fn ws_08_oversize_is_refused_by_its_announced_length_and_over_all_fragments() {
    let limits = Limits {
        message_bytes: 10,
        ..Limits::SERVER
    };
    let fragment = |first: u8, length: usize| {
        let head = [first, 0x80 | u8::try_from(length).unwrap(), 0, 0, 0, 0];
        [&head[..], &vec![b'x'; length]].concat()
    };
    let too_large = Some(Violation::TooLarge { limit_bytes: 10 });
    let fits = [fragment(0x02, 6), fragment(0x80, 4)].concat();
    assert_eq!(
        decode(Decoder::server(&limits), &fits, &[]),
        (vec![Got::Binary(vec![b'x'; 10])], None)
    );
    let over = [fragment(0x02, 6), fragment(0x80, 5)].concat();
    assert_eq!(
        decode(Decoder::server(&limits), &over, &[]),
        (vec![], too_large)
    );
    let announced = &fragment(0x82, 11)[..6];
    assert_eq!(
        decode(Decoder::server(&limits), announced, &[]),
        (vec![], too_large)
    );
    // The limit counts the header byte as well, and control frames not at all.
    let ping = fragment(0x89, 100);
    assert_eq!(
        decode(Decoder::server(&limits), &ping, &[]),
        (vec![Got::Ping(vec![b'x'; 100])], None)
    );
}

#[test]
fn an_idle_decoder_holds_no_memory_whatever_came_before() {
    let mut wire = Vec::new();
    put_masked_message(&mut wire, &vec![1; 1 << 20], KEY);
    let mut decoder = Decoder::server(&Limits::SERVER);
    assert!(
        size_of::<Decoder>() <= 160,
        "{} bytes",
        size_of::<Decoder>()
    );
    let mut received = 0;
    for chunk in wire.chunks_mut(4096) {
        let mut chunk = chunk;
        while let Some(event) = decoder.next(&mut chunk).unwrap() {
            assert!(matches!(event, Event::Binary(bytes) if bytes.len() == (1 << 20) + 1));
            received += 1;
        }
    }
    assert_eq!((received, decoder.heap_bytes()), (1, 0));

    let mut small = Vec::new();
    put_masked_message(&mut small, b"in one piece", KEY);
    let mut chunk = &mut small[..];
    assert!(decoder.next(&mut chunk).unwrap().is_some());
    assert_eq!(
        decoder.heap_bytes(),
        0,
        "what a chunk completes is not copied"
    );
}

#[test]
fn an_announced_length_reserves_nothing() {
    let mut head = [0x82, 0xff, 0, 0, 0, 0, 0, 0x40, 0, 0, 1, 2, 3, 4, 5];
    let mut decoder = Decoder::server(&Limits::SERVER);
    assert_eq!(decoder.next(&mut &mut head[..]), Ok(None));
    assert!(
        decoder.heap_bytes() < 64,
        "{} bytes for one received",
        decoder.heap_bytes()
    );
}

#[test]
fn nothing_is_read_after_a_close_frame_or_a_violation() {
    let mut wire = Vec::new();
    put_close(&mut wire, 1000, "", Some(KEY));
    put_masked_message(&mut wire, b"late", KEY);
    assert_eq!(
        decode_whole(&wire),
        (vec![Got::Close(Some((1000, String::new())))], None)
    );

    let mut broken = [0x82, 0x00];
    let mut decoder = Decoder::server(&Limits::SERVER);
    assert!(decoder.next(&mut &mut broken[..]).is_err());
    let mut late = Vec::new();
    put_masked_message(&mut late, b"late", KEY);
    assert_eq!(decoder.next(&mut &mut late[..]), Ok(None));
}

#[test]
fn a_close_without_a_code_is_a_close() {
    let bytes = peer_writes(Role::Client, &[Message::Close(None)]);
    assert_eq!(decode_whole(&bytes), (vec![Got::Close(None)], None));
    let frame = CloseFrame {
        code: CloseCode::Away,
        reason: "rebooting".into(),
    };
    let bytes = peer_writes(Role::Client, &[Message::Close(Some(frame))]);
    assert_eq!(
        decode_whole(&bytes),
        (vec![Got::Close(Some((1001, "rebooting".into())))], None)
    );
}

#[test]
fn ws_02_the_frame_of_a_shared_slice_is_written_without_it() {
    use opamp::model::{InstanceUid, ServerCapabilities};
    use opamp::server::{Reply, encode_remote_config};

    let shared = encode_remote_config(&crate::support::config(&"x".repeat(70_000)), b"hash");
    let reply = Reply::to(InstanceUid::new([1; 16]), ServerCapabilities::ALL)
        .remote_config(shared)
        .encode();
    let mut wire = Vec::new();
    put_message(&mut wire, &reply);
    assert!(wire.len() < 64);
    wire.extend_from_slice(reply.shared());
    let (got, violation) = decode(Decoder::client(&Limits::CLIENT), &wire, &[1000, 1, 5000]);
    let [Got::Binary(message)] = &got[..] else {
        panic!("{violation:?}")
    };
    assert_eq!(strip_header(message).unwrap(), reply.to_vec());
}
