//! What stands between the loop that fetches the source and those who ask for it or about it. In memory, of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use trust::Secret;

use super::ConfigSource;

/// Takes requests for a look at the source, and keeps what the last one came to. However many ask, the loop looks once.
#[derive(Debug, Clone)]
pub struct SourceDesk(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    source: ConfigSource,
    interval: Duration,
    webhook_secret: Option<Secret>,
    asked: Notify,
    /// Whether a commit that was refused is to be looked at again.
    again: AtomicBool,
    last: Mutex<Option<FetchReport>>,
}

/// What somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To look for something new.
    Look,
    /// To look at the commit again that was refused, too.
    LookAgain,
}

/// What the last look at the source came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchReport {
    /// When it ended.
    pub at: Timestamp,
    /// What it came to.
    pub outcome: FetchOutcome,
    /// How many looks in a row have failed.
    pub failures: u32,
}

/// What a look at the source came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The branch's head was fetched and looked at.
    Fetched {
        /// The head.
        head: String,
        /// Whether a force-push had moved it there.
        forced: bool,
    },
    /// It failed.
    Failed {
        /// A stable word for why.
        reason: &'static str,
        /// Why, in words.
        error: String,
    },
}

impl SourceDesk {
    /// The desk of a source that is looked at at an interval.
    #[must_use]
    pub fn new(source: ConfigSource, interval: Duration, webhook_secret: Option<Secret>) -> Self {
        Self(Arc::new(Desk {
            source,
            interval,
            webhook_secret,
            asked: Notify::new(),
            again: AtomicBool::new(false),
            last: Mutex::new(None),
        }))
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> &ConfigSource {
        &self.0.source
    }

    /// How often it is looked at.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.0.interval
    }

    /// What a webhook must prove to know.
    #[must_use]
    pub fn webhook_secret(&self) -> Option<&Secret> {
        self.0.webhook_secret.as_ref()
    }

    /// Asks for a look at the source soon.
    pub fn ask(&self, what: Asked) {
        if what == Asked::LookAgain {
            self.0.again.store(true, Ordering::Relaxed);
        }
        self.0.asked.notify_one();
    }

    /// Waits until somebody asks; one who asked before counts. Cancel-safe.
    pub async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// What the look that begins now is to be.
    #[must_use]
    pub fn begin(&self) -> Asked {
        if self.0.again.swap(false, Ordering::Relaxed) {
            Asked::LookAgain
        } else {
            Asked::Look
        }
    }

    /// Keeps what a look came to.
    pub fn end(&self, report: FetchReport) {
        *self.0.last.lock() = Some(report);
    }

    /// What the last look came to; nothing before the first.
    #[must_use]
    pub fn last(&self) -> Option<FetchReport> {
        self.0.last.lock().clone()
    }
}
