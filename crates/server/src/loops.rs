//! What drives the engine: the engine owns no timer, so each of its steps has a loop here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use runtime::logging::error_chain;
use runtime::{CancellationToken, Clock, Tasks};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

use crate::config::file::TimingSection;
use crate::metrics::{DB_IN_USE, DB_MAX};

/// Pause after a step that failed: the database is away, and asking faster does not bring it back.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often gauges are set and histograms drained.
const GAUGES: Duration = Duration::from_secs(5);
/// How soon lists show what agents should run and were sent, where they have not answered.
const STANDINGS: Duration = Duration::from_secs(2);
/// How often silent polling agents are looked for, at most.
const EXPIRE: Duration = Duration::from_secs(10);

/// The loops of one engine.
#[derive(Clone)]
pub struct Loops {
    /// What they drive.
    pub engine: Engine,
    /// The time that its steps are told.
    pub clock: Arc<dyn Clock>,
    /// How often.
    pub timing: TimingSection,
    /// The metrics whose upkeep is done here.
    pub metrics: PrometheusHandle,
}

impl Loops {
    /// Starts every loop.
    pub fn start(self, tasks: &mut Tasks) {
        let (commit, reconcile, liveness) = (self.clone(), self.clone(), self.clone());
        let (expire, sweep, standings, gauges) = (self.clone(), self.clone(), self.clone(), self);
        tasks.start("commit_reports", |shutdown| commit.commit_reports(shutdown));
        tasks.start("reconcile", |shutdown| reconcile.reconcile(shutdown));
        tasks.start("flush_liveness", |shutdown| {
            liveness.flush_liveness(shutdown)
        });
        tasks.start("expire", |shutdown| expire.expire(shutdown));
        tasks.start("sweep", |shutdown| sweep.sweep(shutdown));
        tasks.start("note_standings", |shutdown| {
            standings.note_standings(shutdown)
        });
        tasks.start("gauges", |shutdown| gauges.gauges(shutdown));
    }

    /// Commits reports together: the first that waits opens a window, and what comes within it is committed with it.
    async fn commit_reports(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        while unless(&shutdown, self.engine.reports_waiting())
            .await
            .is_some()
        {
            if unless(&shutdown, sleep(self.timing.commit_interval))
                .await
                .is_none()
            {
                break;
            }
            if self.engine.commit_reports().await.is_err() {
                // The engine has logged it, once per outage; what was not committed waits.
                unless(&shutdown, sleep(RETRY_PAUSE)).await;
            }
        }
        Ok(())
    }

    async fn reconcile(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut resync = ticks(self.timing.resync);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = self.engine.reconcile_waiting() => {}
                _ = resync.tick() => {}
            }
            if let Err(error) = self.engine.reconcile(self.clock.now()).await {
                warn!(
                    event = "reconcile_failed",
                    error = error_chain(&error),
                    "desired state waits"
                );
                unless(&shutdown, sleep(RETRY_PAUSE)).await;
            }
        }
    }

    async fn flush_liveness(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut due = ticks(self.timing.liveness_flush);
        while unless(&shutdown, due.tick()).await.is_some() {
            match self.engine.flush_liveness().await {
                Ok(agents) => debug!(
                    event = "liveness_flushed",
                    agents, "stored when agents were last seen"
                ),
                Err(error) => debug!(
                    event = "liveness_waits",
                    error = error_chain(&error),
                    "the next flush has it"
                ),
            }
        }
        Ok(())
    }

    async fn expire(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut due = ticks(EXPIRE.min(self.timing.liveness / 3));
        while unless(&shutdown, due.tick()).await.is_some() {
            self.engine.expire(self.clock.now());
        }
        Ok(())
    }

    async fn sweep(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut due = ticks(self.timing.sweep);
        while unless(&shutdown, due.tick()).await.is_some() {
            while !shutdown.is_cancelled() {
                match self.engine.sweep(self.clock.now()).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        warn!(
                            event = "sweep_failed",
                            error = error_chain(&error),
                            "what is too old waits"
                        );
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn note_standings(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut due = ticks(STANDINGS);
        while unless(&shutdown, due.tick()).await.is_some() {
            self.engine.note_standings(self.clock.now());
        }
        Ok(())
    }

    async fn gauges(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut due = ticks(GAUGES);
        while unless(&shutdown, due.tick()).await.is_some() {
            let pool = self.engine.db().pool_use();
            gauge!(DB_IN_USE).set(f64::from(pool.in_use));
            gauge!(DB_MAX).set(f64::from(pool.max));
            self.metrics.run_upkeep();
        }
        Ok(())
    }
}

/// A timer whose first tick comes at once, and that does not catch up on ticks it missed.
fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What `future` gives, or none once the shutdown has begun.
async fn unless<T>(shutdown: &CancellationToken, future: impl Future<Output = T>) -> Option<T> {
    shutdown.run_until_cancelled(future).await
}
