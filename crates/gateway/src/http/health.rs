//! `/health`: whether this process serves. It never touches the database and needs no credential.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use http_body_util::Full;
use tonic::body::Body;

use crate::{refusal::Refusal, shared::Shared};

/// The path.
pub(super) const PATH: &str = "/health";

/// Always 200 while the process serves; a lost database is a degradation that agents need not care about.
pub(super) fn answer(shared: &Shared, method: &Method) -> Result<Response<Body>, Refusal> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Refusal::MethodNotAllowed {
            allowed: "GET, HEAD",
        });
    }
    let status = if shared.engine.degraded().is_some() {
        "degraded"
    } else {
        "ok"
    };
    // Why it is degraded is for the admin plane; this one is open to everybody.
    let body = format!("{{\"status\":\"{status}\"}}\n");
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}
