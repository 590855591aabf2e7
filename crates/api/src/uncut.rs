//! Writes run to their end: a client that hangs up must not cut one between its commit and what follows in memory.

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use tokio::runtime::Handle;

use crate::problem::ApiError;

/// Runs everything but a read apart from the connection it came over.
///
/// A handler is dropped with its connection. Dropped while its commit is under way, the database would have a release
/// that no agent is told of until the server starts again.
///
/// They run where the agents' connections do: a release wakes thousands of them, which costs more from another runtime's
/// threads.
pub(crate) async fn finish_writes(
    State(writers): State<Handle>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    match writers.spawn(next.run(request)).await {
        Ok(response) => response,
        Err(stopped) => axum::response::IntoResponse::into_response(ApiError::internal(&stopped)),
    }
}
