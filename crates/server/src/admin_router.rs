//! From the server's parts to the admin plane's router.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::config::Settings;
use crate::lifecycle::Server;

/// Whether the server takes work.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// It does.
    pub fn set_ready(&self) {
        self.0.store(1, Ordering::Relaxed);
    }
    /// It ends.
    pub fn set_draining(&self) {
        self.0.store(2, Ordering::Relaxed);
    }
}

pub(crate) fn router(server: &Server, settings: &Settings, metrics: PrometheusHandle) -> Router {
    let _ = (
        server.clock(),
        server.readiness(),
        crate::options::public_url(settings, server.agent_addr()),
    );
    Router::new().route(
        "/metrics",
        axum::routing::get(move || async move { metrics.render() }),
    )
}
