//! Waiting until a collector that was started or reloaded is ready, has died, or will not say.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Supervisor;
use crate::process::Exit;

const LOOK: Duration = Duration::from_millis(20);
/// A collector that does not say that it is ready counts as ready when it has lived this long.
const QUIET: Duration = Duration::from_secs(3);

/// How a start or reload went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is ready.
    Ready,
    /// It ended.
    Died(Exit),
    /// It lives, but did not get ready in time.
    Silent,
    /// The agent is to stop; nobody knows.
    Interrupted,
}

impl Supervisor {
    /// Waits for the process that was just started or reloaded, at most `limit`.
    pub(super) async fn settle(&mut self, limit: Duration) -> Settled {
        let begun = Instant::now();
        let says_ready = self.site.facts(&self.ledger.current().content).says_ready;
        let shutdown = self.shutdown.clone();
        loop {
            self.tail.poll();
            if self.tail.is_ready() || (!says_ready && QUIET.min(limit) <= begun.elapsed()) {
                return self.alive_or_dead().await;
            }
            if limit <= begun.elapsed() {
                return Settled::Silent;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Settled::Interrupted,
                exit = super::exit_of(&mut self.running) => return self.died(exit),
                () = sleep(LOOK) => {}
            }
        }
    }

    /// What was ready a moment ago may have died in the same breath.
    async fn alive_or_dead(&mut self) -> Settled {
        tokio::select! {
            biased;
            exit = super::exit_of(&mut self.running) => self.died(exit),
            () = std::future::ready(()) => Settled::Ready,
        }
    }

    fn died(&mut self, exit: Exit) -> Settled {
        self.running = None;
        Settled::Died(exit)
    }
}
