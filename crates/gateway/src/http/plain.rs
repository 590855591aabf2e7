//! Plain HTTP: one request is one session, one reply ends it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use opamp::{
    gzip::{self, GunzipError},
    server::Encoded,
};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;

use super::{Connection, route::asked};
use crate::{
    admission::retry_after_seconds,
    cut::Cut,
    refusal::Refusal,
    session::{Refused, Why, plain::Exchange},
};

/// How much of a body over the limit is read to its end, in limits: a peer that is still sending does not see an answer
/// that comes with a reset.
const DISCARD_LIMITS: usize = 4;

/// The encodings of bodies that agents use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
}

/// Answers a POST of one message.
pub(super) async fn answer(
    connection: &Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let shared = &connection.shared;
    let bearer = asked(request.headers());
    let principal = shared.start_session(
        bearer.bearer(),
        connection.certificate.as_ref(),
        connection.peer.ip(),
    )?;
    connection.proved();
    let encoding = content_encoding(request.headers())?;
    let reply_encoding = accepted_encoding(request.headers());
    let body = read_body(connection, request).await?;
    let exchange = Exchange::new(Arc::clone(shared), principal, connection.peer);
    let outcome = match decode(&body, encoding, shared.limits.received.message_bytes)? {
        Ok(message) => exchange.answer(&message).await?,
        Err(text) => Err(exchange.no_message(&text)),
    };
    Ok(match outcome {
        Ok(reply) => respond(StatusCode::OK, &reply, reply_encoding),
        Err(refused) => refuse(&refused, reply_encoding),
    })
}

/// The message in a body; the inner error is one that the agent is told in a message.
fn decode(
    body: &Bytes,
    encoding: Encoding,
    limit_bytes: usize,
) -> Result<Result<Bytes, String>, Refusal> {
    match encoding {
        Encoding::Identity => Ok(Ok(body.clone())),
        Encoding::Gzip => match gzip::decompress(body, limit_bytes) {
            Ok(message) => Ok(Ok(message.into())),
            Err(GunzipError::TooLarge { .. }) => Err(Refusal::TooLarge),
            Err(error @ GunzipError::Corrupt(_)) => Ok(Err(error.to_string())),
        },
    }
}

/// Reads a body within its limit and deadline.
async fn read_body(connection: &Connection, request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let shared = &connection.shared;
    let limit = shared.limits.received.message_bytes;
    let deadline = Instant::now() + shared.times.body;
    let waits_for_leave = request.headers().contains_key(header::EXPECT);
    let mut body = request.into_body();
    let declared = body.size_hint().lower();
    let read = async {
        if u64::try_from(limit).is_ok_and(|limit| limit < declared) {
            if !waits_for_leave {
                discard(&mut body, limit).await;
            }
            return Err(Refusal::TooLarge);
        }
        collect(&mut body, limit).await
    };
    timeout_at(deadline, read).await.unwrap_or_else(|_| {
        shared.metrics.cut(Cut::TooSlow).increment(1);
        Err(Refusal::TimedOut)
    })
}

async fn collect(body: &mut Incoming, limit: usize) -> Result<Bytes, Refusal> {
    // Nearly every message comes in one piece, and then nothing is copied.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BadBody)?.into_data() else {
            continue;
        };
        if limit < first.len() + rest.len() + data.len() {
            discard(body, limit).await;
            return Err(Refusal::TooLarge);
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first, rest.freeze()].concat().into())
}

/// Reads on without keeping anything, within bounds.
async fn discard(body: &mut Incoming, limit: usize) {
    let mut left = limit.saturating_mul(DISCARD_LIMITS);
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        if left <= read {
            return;
        }
        left -= read;
    }
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(Encoding::Identity);
    };
    match value
        .as_bytes()
        .trim_ascii()
        .to_ascii_lowercase()
        .as_slice()
    {
        b"gzip" | b"x-gzip" => Ok(Encoding::Gzip),
        b"identity" | b"" => Ok(Encoding::Identity),
        _ => Err(Refusal::UnsupportedEncoding),
    }
}

/// gzip where the peer says that it reads it.
fn accepted_encoding(headers: &HeaderMap) -> Encoding {
    let values = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    if codings.any(accepts_gzip) {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// Whether one part of an `Accept-Encoding` header asks for gzip (RFC 9110, "Accept-Encoding").
fn accepts_gzip(part: &str) -> bool {
    let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
    let coding = coding.trim();
    let named = coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip");
    let weight = weight
        .trim()
        .trim_start_matches(['q', 'Q'])
        .trim_start()
        .trim_start_matches('=')
        .trim();
    named && (weight.is_empty() || weight.parse::<f32>().is_ok_and(|weight| 0.0 < weight))
}

fn respond(status: StatusCode, reply: &Encoded, encoding: Encoding) -> Response<Body> {
    let message = reply.to_vec();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    let body = match encoding {
        Encoding::Identity => message,
        Encoding::Gzip => {
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            gzip::compress(&message)
        }
    };
    *response.body_mut() = Body::new(Full::new(body.into()));
    response
}

/// A message that was not processed, with the protocol's own words as the body. Clients read no other body than one with
/// status 200, so a message that was read and refused has that; what is no message, or has to wait, has a status that
/// HTTP understands.
fn refuse(refused: &Refused, encoding: Encoding) -> Response<Body> {
    let status = match refused.why {
        Why::Bad(_) => StatusCode::OK,
        Why::NoMessage(_) => StatusCode::BAD_REQUEST,
        Why::Later(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = respond(status, &refused.encode(), encoding);
    if let Why::Later(after) = refused.why {
        response.headers_mut().insert(
            header::RETRY_AFTER,
            HeaderValue::from(retry_after_seconds(after)),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ht_05_gzip_is_used_where_it_is_accepted() {
        for accepted in ["gzip", "deflate, GZIP;q=0.5", "x-gzip", "br , gzip ; q=1.0"] {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_str(accepted).unwrap(),
            );
            assert!(accepted_encoding(&headers) == Encoding::Gzip, "{accepted}");
        }
        for refused in ["", "identity", "gzip;q=0", "gzip; q=0.0", "deflate"] {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_str(refused).unwrap(),
            );
            assert!(
                accepted_encoding(&headers) == Encoding::Identity,
                "{refused}"
            );
        }
    }
}
