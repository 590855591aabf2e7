//! An HTTP answer that opens no session: made once, written by hand before hyper or returned through it.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use crate::admission::retry_after_seconds;

/// Why a request gets no session, as its peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No such path on this port.
    NotFound,
    /// The credential is missing or not accepted. It says no more, so that nothing can be learned from it.
    Unauthorized,
    /// Overloaded or going down.
    Unavailable { retry_after: Duration },
    /// A WebSocket handshake or a plain request was to come, and this is neither.
    UpgradeRequired,
    /// A WebSocket handshake that is not as RFC 6455 has it.
    BadHandshake,
    /// Another method.
    MethodNotAllowed { allowed: &'static str },
    /// A POST whose body is not protobuf.
    UnsupportedMediaType,
    /// A body in an encoding other than gzip.
    UnsupportedEncoding,
    /// A body that is not the gzip it says it is, or that broke off.
    BadBody,
    /// A body over the limit, before or after decompression.
    TooLarge,
    /// A head over the limit.
    HeadTooLarge,
    /// A head or body that did not come in time.
    TimedOut,
}

impl Refusal {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::BadHandshake | Self::BadBody => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NotFound => "not found\n",
            Self::Unauthorized => "a valid agent credential is needed\n",
            Self::Unavailable { .. } => "come back later\n",
            Self::UpgradeRequired => {
                "expected a WebSocket handshake (version 13) or a POST of application/x-protobuf\n"
            }
            Self::BadHandshake => "not a WebSocket handshake\n",
            Self::MethodNotAllowed { .. } => "method not allowed\n",
            Self::UnsupportedMediaType => "expected Content-Type application/x-protobuf\n",
            Self::UnsupportedEncoding => "expected Content-Encoding gzip or none\n",
            Self::BadBody => "the body cannot be read\n",
            Self::TooLarge => "the message is over the limit\n",
            Self::HeadTooLarge => "the request's head is over the limit\n",
            Self::TimedOut => "the request did not come in time\n",
        }
    }

    fn headers(self) -> Vec<(header::HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized => {
                vec![(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))]
            }
            Self::Unavailable { retry_after } => {
                vec![(
                    header::RETRY_AFTER,
                    HeaderValue::from(retry_after_seconds(retry_after)),
                )]
            }
            Self::UpgradeRequired => vec![
                (header::UPGRADE, HeaderValue::from_static("websocket")),
                (
                    header::SEC_WEBSOCKET_VERSION,
                    HeaderValue::from_static("13"),
                ),
            ],
            Self::MethodNotAllowed { allowed } => {
                vec![(header::ALLOW, HeaderValue::from_static(allowed))]
            }
            Self::UnsupportedEncoding => {
                vec![(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]
            }
            _ => Vec::new(),
        }
    }

    /// As an answer of hyper's.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::new(Full::new(self.text().as_bytes().into())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.extend(self.headers());
        response
    }

    /// As the bytes of an HTTP/1.1 answer after which the connection is closed.
    pub fn to_http1(self) -> Vec<u8> {
        let mut answer = format!("HTTP/1.1 {}\r\n", self.status());
        for (name, value) in self.headers() {
            let value = value.to_str().expect("our own header values are text");
            write!(answer, "{name}: {value}\r\n").expect("writing to a string does not fail");
        }
        let text = self.text();
        write!(
            answer,
            "content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n",
            text.len()
        )
        .expect("writing to a string does not fail");
        answer.push_str("connection: close\r\n\r\n");
        answer.push_str(text);
        answer.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_written_by_hand_is_http() {
        let bytes = Refusal::Unavailable {
            retry_after: Duration::from_millis(7300),
        }
        .to_http1();
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut response = httparse::Response::new(&mut headers);
        let head = response.parse(&bytes).unwrap().unwrap();
        assert_eq!(response.code, Some(503));
        let header = |name: &str| {
            let found = response
                .headers
                .iter()
                .find(|header| header.name == name)
                .unwrap();
            str::from_utf8(found.value).unwrap().to_owned()
        };
        assert_eq!(header("retry-after"), "8");
        assert_eq!(header("content-length"), (bytes.len() - head).to_string());
        assert_eq!(header("connection"), "close");
    }
}
