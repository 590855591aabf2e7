//! The few lines of HTTP that open a WebSocket.
//!
//! Servers need [`accept_key`] alone, their HTTP library has the rest. [`client_request`] and
//! [`server_accepts`] are for load generators that cannot afford an HTTP client a connection.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// The longest answer to an opening request that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 16 << 10;

/// The value of `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
///
/// ```
/// assert_eq!(opamp::ws::accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

/// A client's opening request; `nonce` is fresh randomness, `headers` are further ones.
pub fn client_request(
    authority: &str,
    path: &str,
    nonce: [u8; 16],
    headers: &[(&str, &str)],
) -> Vec<u8> {
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
        STANDARD.encode(nonce)
    );
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// Reads a server's answer: `None` while it is incomplete, else its length in bytes.
///
/// # Errors
/// The status code when the server did not switch to WebSocket; 0 when the answer is no HTTP, is
/// too long, or accepts another nonce.
pub fn server_accepts(response: &[u8], nonce: [u8; 16]) -> Result<Option<usize>, u16> {
    let Some(end) = response.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if response.len() < MAX_RESPONSE_BYTES {
            Ok(None)
        } else {
            Err(0)
        };
    };
    let head = std::str::from_utf8(&response[..end]).map_err(|_| 0_u16)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(status).ok_or(0_u16)?;
    if status != 101 {
        return Err(status);
    }
    let expected = accept_key(&STANDARD.encode(nonce));
    let accepted = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == expected
        });
    if accepted { Ok(Some(end + 4)) } else { Err(0) }
}

fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 16] = *b"the sample nonce";
    const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn the_request_has_key_and_further_headers() {
        let request = client_request(
            "host:4320",
            "/v1/opamp",
            NONCE,
            &[("authorization", "Bearer x")],
        );
        let text = String::from_utf8(request).unwrap();
        assert!(
            text.starts_with("GET /v1/opamp HTTP/1.1\r\nHost: host:4320\r\n"),
            "{text}"
        );
        assert!(
            text.contains("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\r\nauthorization: Bearer x\r\n\r\n"),
            "{text}"
        );
    }

    #[test]
    fn the_answer_is_read_up_to_its_end() {
        let first_frame = [ACCEPTED.as_bytes(), &[0x82, 0x00]].concat();
        assert_eq!(
            server_accepts(&first_frame, NONCE),
            Ok(Some(ACCEPTED.len()))
        );
        for end in 0..ACCEPTED.len() {
            assert_eq!(server_accepts(&ACCEPTED.as_bytes()[..end], NONCE), Ok(None));
        }
    }

    #[test]
    fn other_answers_are_refusals() {
        assert_eq!(
            server_accepts(b"HTTP/1.1 503 Busy\r\nRetry-After: 9\r\n\r\n", NONCE),
            Err(503)
        );
        assert_eq!(server_accepts(ACCEPTED.as_bytes(), [0; 16]), Err(0));
        assert_eq!(server_accepts(b"SSH-2.0-x\r\n\r\n", NONCE), Err(0));
        assert_eq!(
            server_accepts(&vec![b'x'; MAX_RESPONSE_BYTES], NONCE),
            Err(0)
        );
    }
}
