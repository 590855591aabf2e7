//! How long answers took, collected over all agents of a fleet while somebody wants to know.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Times from a message to its answer.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    wanted: AtomicBool,
    collected: Mutex<Vec<Duration>>,
}

impl Latencies {
    pub(crate) fn begin(&self) {
        self.collected.lock().clear();
        self.wanted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) -> Vec<Duration> {
        self.wanted.store(false, Ordering::Relaxed);
        std::mem::take(&mut self.collected.lock())
    }

    /// Notes the answer to what was sent at this time.
    pub(crate) fn note(&self, sent: Instant) {
        if self.wanted.load(Ordering::Relaxed) {
            self.collected.lock().push(sent.elapsed());
        }
    }
}
