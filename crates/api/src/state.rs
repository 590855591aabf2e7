//! What handlers share.

use std::sync::Arc;

use engine::Engine;
use engine::admin::source::SourceDesk;
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Semaphore, watch};

use crate::gate::Gate;

/// The most event streams at once; each holds a task and asks the database now and then.
const MAX_STREAMS: usize = 256;

/// Whether the server takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It is not there yet.
    Starting,
    /// It does.
    Ready,
    /// It finishes what it has.
    Draining,
}

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) engine: Engine,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) public_url: Arc<str>,
    pub(crate) refusals: Arc<Gate>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) source: Option<SourceDesk>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl ApiState {
    /// The state of a server whose agents connect to `public_url` (`wss://host:4320/v1/opamp`).
    pub fn new(
        engine: Engine,
        metrics: PrometheusHandle,
        readiness: watch::Receiver<Readiness>,
        public_url: &str,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(clock);
        Self {
            engine,
            metrics,
            readiness,
            public_url: public_url.into(),
            refusals: Arc::new(Gate::new(clock())),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            source: None,
            clock,
        }
    }

    /// The same with a config source.
    #[must_use]
    pub fn with_source(self, source: SourceDesk) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }

    /// The present moment as it is stored, in microseconds: what is answered is what is read back.
    pub(crate) fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}
