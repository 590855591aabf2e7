//! What a request's head asks for: a WebSocket, one plain exchange, or something else. The rules are shared by the
//! upgrade that is answered without hyper and by requests that come through it.

use http::Method;

use crate::refusal::Refusal;

/// The path of WebSocket and plain HTTP.
pub(crate) const OPAMP_PATH: &str = "/v1/opamp";

/// More headers than any client sends; a head with more goes to hyper, which has its own limit.
const MAX_HEADERS: usize = 64;

/// How HTTP/2 with prior knowledge begins.
pub(crate) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum First<'a> {
    /// Not enough to tell.
    Incomplete,
    /// A whole head that asks for a WebSocket on the agents' path.
    Upgrade { asked: Asked<'a>, length: usize },
    /// Anything else: hyper's work.
    Other,
}

/// The header fields of a request that decide what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub content_type: Option<&'a [u8]>,
    pub authorization: Option<&'a [u8]>,
    connection_upgrade: bool,
    upgrade_websocket: bool,
    version: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
}

impl<'a> Asked<'a> {
    /// Reads the fields out of all headers.
    pub fn of(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut asked = Self::default();
        for (name, value) in headers {
            asked.note(name, value);
        }
        asked
    }

    fn note(&mut self, name: &str, value: &'a [u8]) {
        // All names that matter differ in length, so that most headers cost one comparison.
        match name.len() {
            7 if name.eq_ignore_ascii_case("upgrade") => {
                self.upgrade_websocket |= lists(value, "websocket")
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                self.connection_upgrade |= lists(value, "upgrade")
            }
            12 if name.eq_ignore_ascii_case("content-type") => self.content_type = Some(value),
            13 if name.eq_ignore_ascii_case("authorization") => self.authorization = Some(value),
            17 if name.eq_ignore_ascii_case("sec-websocket-key") => self.key = Some(value),
            21 if name.eq_ignore_ascii_case("sec-websocket-version") => self.version = Some(value),
            _ => {}
        }
    }

    /// Whether this is a WebSocket handshake, a valid one or not.
    pub fn is_handshake(&self) -> bool {
        self.connection_upgrade && self.upgrade_websocket && !self.is_protobuf()
    }

    /// Whether the body is protobuf (TR-04). Parameters and case do not matter, unlike in the reference implementation.
    pub fn is_protobuf(&self) -> bool {
        let Some(value) = self.content_type else {
            return false;
        };
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/x-protobuf")
    }

    /// The key of a valid handshake.
    pub fn key(&self) -> Result<&'a str, Refusal> {
        if self.version != Some(b"13") {
            return Err(Refusal::UpgradeRequired);
        }
        let key = self
            .key
            .and_then(|key| str::from_utf8(key).ok())
            .ok_or(Refusal::BadHandshake)?;
        if is_16_bytes_of_base64(key) {
            Ok(key)
        } else {
            Err(Refusal::BadHandshake)
        }
    }

    /// The bearer token, if the request has one.
    pub fn bearer(&self) -> Option<&'a str> {
        bearer(self.authorization?)
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(authorization: &[u8]) -> Option<&str> {
    let (scheme, token) = str::from_utf8(authorization).ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Looks at the first bytes of a connection.
pub(crate) fn first(bytes: &[u8]) -> First<'_> {
    let preface = bytes.len().min(HTTP2_PREFACE.len());
    if bytes[..preface] == HTTP2_PREFACE[..preface] {
        return if preface == HTTP2_PREFACE.len() {
            First::Other
        } else {
            First::Incomplete
        };
    }
    let mut headers = [const { std::mem::MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return First::Incomplete,
        Err(_) => return First::Other,
    };
    let path = request
        .path
        .unwrap_or_default()
        .split('?')
        .next()
        .unwrap_or_default();
    let method_fits = request.method == Some(Method::GET.as_str());
    if !method_fits || request.version != Some(1) || path != OPAMP_PATH {
        return First::Other;
    }
    let asked = Asked::of(
        request
            .headers
            .iter()
            .map(|header| (header.name, header.value)),
    );
    if asked.is_handshake() {
        First::Upgrade { asked, length }
    } else {
        First::Other
    }
}

/// Whether a comma-separated header value has this word.
fn lists(value: &[u8], word: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

fn is_16_bytes_of_base64(key: &str) -> bool {
    let digits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'+' || *byte == b'/';
    key.len() == 24 && key.ends_with("==") && key.as_bytes()[..22].iter().all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str, headers: &[&str]) -> Vec<u8> {
        format!("{line}\r\nHost: x\r\n{}\r\n\r\n", headers.join("\r\n")).into_bytes()
    }

    const HANDSHAKE: &[&str] = &[
        "Connection: keep-alive, Upgrade",
        "Upgrade: WebSocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];

    #[test]
    fn a_handshake_is_seen_with_its_key_and_token() {
        let headers = [HANDSHAKE, &["authorization: bearer abc "]].concat();
        let mut bytes = request("GET /v1/opamp?a=b HTTP/1.1", &headers);
        let head = bytes.len();
        bytes.extend_from_slice(b"a frame");
        let First::Upgrade { asked, length } = first(&bytes) else {
            panic!("no upgrade")
        };
        assert_eq!(length, head);
        assert_eq!(asked.key(), Ok("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(asked.bearer(), Some("abc"));
    }

    #[test]
    fn every_prefix_of_a_head_is_incomplete() {
        let bytes = request("GET /v1/opamp HTTP/1.1", HANDSHAKE);
        for length in 0..bytes.len() {
            assert_eq!(first(&bytes[..length]), First::Incomplete, "{length}");
        }
        for length in 0..HTTP2_PREFACE.len() {
            assert_eq!(
                first(&HTTP2_PREFACE[..length]),
                First::Incomplete,
                "{length}"
            );
        }
        assert_eq!(first(HTTP2_PREFACE), First::Other);
    }

    #[test]
    fn everything_else_is_left_to_hyper() {
        for line in [
            "POST /v1/opamp HTTP/1.1",
            "GET /health HTTP/1.1",
            "GET /v1/opamp HTTP/1.0",
            "GET /v1/opamp2 HTTP/1.1",
        ] {
            assert_eq!(first(&request(line, HANDSHAKE)), First::Other, "{line}");
        }
        assert_eq!(
            first(&request("GET /v1/opamp HTTP/1.1", &["Accept: */*"])),
            First::Other
        );
        assert_eq!(first(b"\x16\x03\x01 not http at all"), First::Other);
    }

    #[test]
    fn a_wrong_version_or_key_is_refused() {
        let check = |headers: &[&str], expected: Refusal| {
            let bytes = request("GET /v1/opamp HTTP/1.1", headers);
            let First::Upgrade { asked, .. } = first(&bytes) else {
                panic!("no upgrade")
            };
            assert_eq!(asked.key(), Err(expected));
        };
        check(
            &[
                HANDSHAKE[0],
                HANDSHAKE[1],
                HANDSHAKE[3],
                "Sec-WebSocket-Version: 8",
            ],
            Refusal::UpgradeRequired,
        );
        check(
            &[HANDSHAKE[0], HANDSHAKE[1], HANDSHAKE[2]],
            Refusal::BadHandshake,
        );
        check(
            &[
                HANDSHAKE[0],
                HANDSHAKE[1],
                HANDSHAKE[2],
                "Sec-WebSocket-Key: short==",
            ],
            Refusal::BadHandshake,
        );
    }

    #[test]
    fn tr_04_the_content_type_decides_and_may_have_parameters() {
        for content_type in [
            "application/x-protobuf",
            "Application/X-Protobuf ; charset=utf-8",
        ] {
            let asked = Asked::of([("Content-Type", content_type.as_bytes())].into_iter());
            assert!(asked.is_protobuf(), "{content_type}");
        }
        for content_type in ["application/json", "application/x-protobuf2", ""] {
            let asked = Asked::of([("content-type", content_type.as_bytes())].into_iter());
            assert!(!asked.is_protobuf(), "{content_type}");
        }
        let with_handshake = [HANDSHAKE, &["Content-Type: application/x-protobuf"]].concat();
        assert_eq!(
            first(&request("GET /v1/opamp HTTP/1.1", &with_handshake)),
            First::Other
        );
    }

    #[test]
    fn only_bearer_tokens_are_tokens() {
        assert_eq!(bearer(b"Bearer  t "), Some("t"));
        assert_eq!(bearer(b"Basic dXNlcg=="), None);
        assert_eq!(bearer(b"Bearer"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_and_a_decision_stands_whatever_follows(
            mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            cut in 0_usize..400,
            index in 0_usize..400,
            value: u8,
        ) {
            first(&bytes);
            let mut head = request("GET /v1/opamp HTTP/1.1", HANDSHAKE);
            let index = index % head.len();
            head[index] = value;
            let whole = first(&head);
            if let First::Upgrade { asked, .. } = whole {
                asked.key().ok();
                let before = (whole != First::Incomplete).then_some(whole);
                let longer = [&head[..], &bytes].concat();
                assert_eq!(Some(first(&longer)), before);
            }
            head.truncate(cut);
            bytes.splice(0..0, head);
            first(&bytes);
        }
    }
}
