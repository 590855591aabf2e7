//! Which request is what.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use opamp::{grpc::CONNECT_PATH, ws::accept_key};
use tonic::body::Body;

use super::{Connection, health, plain};
use crate::{
    head::{Asked, OPAMP_PATH},
    refusal::Refusal,
    session::grpc,
};

/// Answers one request.
pub(super) async fn handle(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let _busy = connection.busy();
    let version = request.version();
    let mut response = match route(&connection, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    // Whoever proved nothing gets no second request on this connection; HTTP/2 gets a few, and is ended soon.
    if connection.is_unproven() {
        connection.answered_unproven();
        if version <= Version::HTTP_11 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
    }
    response
}

async fn route(
    connection: &Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let shared = &connection.shared;
    if request.uri().path() == health::PATH {
        return health::answer(shared, request.method());
    }
    if request.uri().path() == CONNECT_PATH {
        return Ok(grpc::serve(connection, request).await);
    }
    shared.check_certificate(connection.certificate.as_ref())?;
    if request.uri().path() != OPAMP_PATH {
        return Err(Refusal::NotFound);
    }
    let asked = asked(request.headers());
    match (asked.is_protobuf(), request.method()) {
        (true, &Method::POST) => plain::answer(connection, request).await,
        (true, _) => Err(Refusal::MethodNotAllowed { allowed: "POST" }),
        (false, &Method::GET) if asked.is_handshake() && request.version() == Version::HTTP_11 => {
            upgrade(connection, request)
        }
        (false, &Method::GET) => Err(Refusal::UpgradeRequired),
        (false, &Method::POST) => Err(Refusal::UnsupportedMediaType),
        (false, _) => Err(Refusal::MethodNotAllowed {
            allowed: "GET, POST",
        }),
    }
}

/// The fields that decide what a request is.
pub(super) fn asked(headers: &HeaderMap) -> Asked<'_> {
    Asked::of(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

/// An upgrade that came after another request; the first request of a connection does not come here.
fn upgrade(
    connection: &Arc<Connection>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let asked = asked(request.headers());
    let accept = accept_key(asked.key()?);
    let principal = connection.shared.start_session(
        asked.bearer(),
        connection.certificate.as_ref(),
        connection.peer.ip(),
    )?;
    connection.proved();
    connection.upgrade(hyper::upgrade::on(&mut request), principal);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::try_from(accept).expect("base64 is a header value");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}
