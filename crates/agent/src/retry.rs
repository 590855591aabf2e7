//! Tells an offer that somebody asked to be tried once more from one that a server merely repeats.
//!
//! On the wire both are the same offer. A server that knows of the failure has no reason to offer it again but the wish
//! of an operator; one that offers at once, or right after a connect, may not know of it yet.

use std::time::Duration;

use opamp::model::{ApplyState, RemoteConfigStatus};
use tokio::time::Instant;

/// What comes this soon after a failure was told answers what was said before; it doubles with each retry, so that a
/// server which repeats whatever failed makes no loop.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// This soon after a connect the server may not know yet what failed before.
const UNTIL_KNOWN: Duration = Duration::from_secs(5);

/// What the server was told about the newest offer, if it failed.
#[derive(Debug, Default)]
pub struct FailedOffer(Option<Failure>);

#[derive(Debug)]
struct Failure {
    hash: Vec<u8>,
    /// Whether it is being tried again.
    is_open: bool,
    retries: u32,
    known_at: Instant,
}

impl FailedOffer {
    /// The server is told this.
    pub fn told(&mut self, status: &RemoteConfigStatus, now: Instant) {
        let before = self.0.take().filter(|known| known.hash == status.last_hash);
        let retries = before.as_ref().map_or(0, |known| known.retries);
        self.0 = match status.state {
            ApplyState::Failed => {
                let pause = FIRST_PAUSE
                    .saturating_mul(1 << retries.min(10))
                    .min(LONGEST_PAUSE);
                Some(Failure {
                    hash: status.last_hash.clone(),
                    is_open: false,
                    retries,
                    known_at: now + pause,
                })
            }
            ApplyState::Applying => before.map(|known| Failure {
                is_open: true,
                ..known
            }),
            ApplyState::Unset | ApplyState::Applied => None,
        };
    }

    /// A connection stands, on which nothing was told yet.
    pub fn connected(&mut self, now: Instant) {
        if let Some(known) = &mut self.0 {
            known.known_at = known.known_at.max(now + UNTIL_KNOWN);
        }
    }

    /// Whether an offer of `hash` is a wish to try it once more. If so it is counted.
    pub fn is_retry(&mut self, hash: &[u8], now: Instant) -> bool {
        let wanted = self
            .0
            .as_mut()
            .filter(|known| known.hash == hash && !known.is_open && known.known_at <= now);
        let is_retry = wanted.is_some();
        if let Some(known) = wanted {
            known.retries += 1;
        }
        is_retry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hash: &str, state: ApplyState) -> RemoteConfigStatus {
        RemoteConfigStatus {
            last_hash: hash.into(),
            state,
            ..RemoteConfigStatus::default()
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_what_the_server_knows_to_have_failed_is_retried() {
        let now = Instant::now();
        let mut failed = FailedOffer::default();
        assert!(!failed.is_retry(b"a", now));
        failed.told(&status("a", ApplyState::Failed), now);
        assert!(!failed.is_retry(b"a", now), "it cannot know yet");
        assert!(!failed.is_retry(b"b", now + SECOND));
        assert!(failed.is_retry(b"a", now + SECOND));
        failed.told(&status("a", ApplyState::Applying), now + SECOND);
        assert!(!failed.is_retry(b"a", now + 9 * SECOND), "under way");
        failed.told(&status("a", ApplyState::Applied), now + SECOND);
        assert!(!failed.is_retry(b"a", now + 9 * SECOND));
        failed.told(&status("a", ApplyState::Failed), now);
        failed.told(&status("b", ApplyState::Applied), now);
        assert!(!failed.is_retry(b"a", now + 9 * SECOND), "it came between");
    }

    #[test]
    fn after_a_connect_an_offer_is_no_wish_at_first() {
        let now = Instant::now();
        let mut failed = FailedOffer::default();
        failed.told(&status("a", ApplyState::Failed), now);
        failed.connected(now + 10 * SECOND);
        assert!(!failed.is_retry(b"a", now + 11 * SECOND));
        assert!(failed.is_retry(b"a", now + 15 * SECOND));
    }

    #[test]
    fn a_server_that_repeats_whatever_fails_makes_no_loop() {
        let mut now = Instant::now();
        let begun = now;
        let mut failed = FailedOffer::default();
        for _ in 0..10 {
            failed.told(&status("a", ApplyState::Failed), now);
            while !failed.is_retry(b"a", now) {
                now += SECOND;
            }
            failed.told(&status("a", ApplyState::Applying), now);
        }
        assert!(1_000 * SECOND < now - begun);
    }
}
