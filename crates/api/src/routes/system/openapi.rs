//! `GET /api/v1/openapi.json`: the API's description.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderName, header};

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses((status = 200, content_type = "application/json", body = Object)))]
pub(crate) async fn get_openapi() -> ([(HeaderName, &'static str); 1], Bytes) {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| crate::document().to_string().into());
    (
        [(header::CONTENT_TYPE, "application/json")],
        document.clone(),
    )
}
