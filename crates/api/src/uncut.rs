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

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use http_body_util::BodyExt as _;
    use tokio::runtime::Builder;
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn reads_run_where_they_come_in_and_writes_where_they_are_to() {
        let there = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let here = Builder::new_current_thread().build().unwrap();
        let runtime = || async { Handle::current().id().to_string() };
        let router = Router::new()
            .route("/", get(runtime).post(runtime))
            .layer(from_fn_with_state(there.handle().clone(), finish_writes));
        for (method, expected) in [
            (Method::GET, here.handle().id()),
            (Method::POST, there.handle().id()),
        ] {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method;
            let told = here.block_on(async {
                let answer = router.clone().oneshot(request).await.unwrap();
                answer.into_body().collect().await.unwrap().to_bytes()
            });
            assert_eq!(told, expected.to_string());
        }
    }
}
