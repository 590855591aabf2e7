//! When to connect again.

use std::time::{Duration, Instant, SystemTime};

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffOptions {
    /// Upper end of the first random wait.
    pub first: Duration,
    /// Upper end of all later waits.
    pub max: Duration,
    /// How long a connection must live until the waits start small again.
    pub reset_after: Duration,
    /// The longest wait that a server can ask for.
    pub max_retry_after: Duration,
}

/// Decides when to connect again: at once after the first loss, then exponentially with full jitter.
///
/// A wait is random between 0 and a ceiling that doubles from failure to failure, so that a fleet
/// that lost its server together does not come back together. A connection that dies young counts
/// as a failure: a server that accepts and closes does not get a tight loop.
///
/// ```
/// use opamp::client::{Backoff, BackoffOptions};
/// use std::time::{Duration, Instant};
///
/// let mut backoff = Backoff::new(BackoffOptions::default());
/// let now = Instant::now();
/// backoff.connected(now);
/// let later = now + Duration::from_secs(3600);
/// assert_eq!(backoff.lost(later, None, u64::MAX), Duration::ZERO);
/// assert!(backoff.lost(later, None, u64::MAX) <= Duration::from_secs(5));
/// assert_eq!(backoff.lost(later, Some(Duration::from_secs(40)), 0), Duration::from_secs(40));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    options: BackoffOptions,
    connected_at: Option<Instant>,
    /// Losses and failed attempts since the last connection that lived long enough.
    failures: u32,
}

/// A server's `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// To wait this long.
    Delay(Duration),
    /// To wait until this time.
    At(SystemTime),
}

impl RetryAfter {
    /// The wait, seen from `now`.
    pub fn delay(self, now: SystemTime) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::At(time) => time.duration_since(now).unwrap_or(Duration::ZERO),
        }
    }
}

impl Backoff {
    /// A backoff that has seen no failure: the first loss is followed by an attempt at once.
    pub fn new(options: BackoffOptions) -> Self {
        Self {
            options,
            connected_at: None,
            failures: 0,
        }
    }

    /// A connection was made.
    pub fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// An attempt failed or a connection was lost: how long to wait before the next attempt.
    ///
    /// `random` is uniform over all values; `retry_after` is what the server asked for. It makes the
    /// wait longer, never shorter: a server that asks for no time at all does not get a tight loop.
    pub fn lost(&mut self, now: Instant, retry_after: Option<Duration>, random: u64) -> Duration {
        let failures = self.fail(now);
        if retry_after.is_some() {
            return self.throttle(failures, retry_after, random);
        }
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => scale(self.ceiling(doublings), random),
        }
    }

    /// The server sent the agent away: how long to wait before the next attempt, which is never made at once.
    pub fn throttled(
        &mut self,
        now: Instant,
        retry_after: Option<Duration>,
        random: u64,
    ) -> Duration {
        let failures = self.fail(now);
        self.throttle(failures, retry_after, random)
    }

    fn throttle(&self, failures: u32, retry_after: Option<Duration>, random: u64) -> Duration {
        let asked = retry_after.unwrap_or_default();
        let wait = scale(self.ceiling(failures.saturating_sub(1)), random);
        asked.min(self.options.max_retry_after).max(wait)
    }

    /// Counts a failure; gives the number of those before.
    fn fail(&mut self, now: Instant) -> u32 {
        let lived = self
            .connected_at
            .take()
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if self.options.reset_after <= lived {
            self.failures = 0;
        }
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        failures
    }

    fn ceiling(&self, doublings: u32) -> Duration {
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.options
            .first
            .saturating_mul(factor)
            .min(self.options.max)
    }
}

/// A part of a duration: `random` of all 64-bit values.
fn scale(duration: Duration, random: u64) -> Duration {
    let nanos = duration.as_nanos().saturating_mul(u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Default for BackoffOptions {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            max: Duration::from_secs(60),
            reset_after: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rt_01_the_first_loss_is_followed_by_an_attempt_at_once() {
        let now = Instant::now();
        let mut backoff = Backoff::new(BackoffOptions::default());
        backoff.connected(now);
        assert_eq!(backoff.lost(now, None, u64::MAX), Duration::ZERO);
        assert!(Duration::ZERO < backoff.lost(now, None, u64::MAX));
    }

    #[test]
    fn rt_02_ceilings_double_up_to_the_maximum() {
        let now = Instant::now();
        let mut backoff = Backoff::new(BackoffOptions::default());
        let waits: Vec<_> = (0..7)
            .map(|_| backoff.lost(now, None, u64::MAX).as_secs_f64().round())
            .collect();
        assert_eq!(waits, [0.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0]);
    }

    #[test]
    fn rt_02_a_connection_that_dies_young_does_not_reset_the_waits() {
        let mut now = Instant::now();
        let mut backoff = Backoff::new(BackoffOptions::default());
        for _ in 0..4 {
            backoff.connected(now);
            now += SECOND;
            backoff.lost(now, None, 0);
        }
        assert!(Duration::from_secs(30) < backoff.lost(now, None, u64::MAX));
        backoff.connected(now);
        now += 60 * SECOND;
        assert_eq!(backoff.lost(now, None, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn rt_07_rt_09_what_the_server_asks_for_wins_within_reason() {
        let now = Instant::now();
        let mut backoff = Backoff::new(BackoffOptions::default());
        assert_eq!(backoff.lost(now, Some(90 * SECOND), 0), 90 * SECOND);
        assert_eq!(backoff.lost(now, Some(3 * SECOND), 0), 3 * SECOND);
        assert_eq!(backoff.lost(now, Some(Duration::MAX), 0), 3600 * SECOND);
    }

    #[test]
    fn rt_02_rt_09_a_server_that_asks_for_no_time_gets_no_tight_loop() {
        let now = Instant::now();
        let mut backoff = Backoff::new(BackoffOptions::default());
        let waits: Vec<_> = (0..5)
            .map(|_| {
                backoff
                    .lost(now, Some(Duration::ZERO), u64::MAX)
                    .as_secs_f64()
            })
            .map(f64::round)
            .collect();
        assert_eq!(waits, [5.0, 5.0, 10.0, 20.0, 40.0]);
    }

    #[test]
    fn rt_07_who_is_sent_away_does_not_come_back_at_once() {
        let now = Instant::now();
        let mut backoff = Backoff::new(BackoffOptions::default());
        assert!(4 * SECOND < backoff.throttled(now, None, u64::MAX));
        assert_eq!(backoff.throttled(now, Some(90 * SECOND), 0), 90 * SECOND);
    }

    #[test]
    fn rt_09_a_date_is_a_wait_from_now() {
        let now = SystemTime::UNIX_EPOCH + 1000 * SECOND;
        assert_eq!(RetryAfter::At(now + 30 * SECOND).delay(now), 30 * SECOND);
        assert_eq!(RetryAfter::At(now - 30 * SECOND).delay(now), Duration::ZERO);
        assert_eq!(RetryAfter::Delay(9 * SECOND).delay(now), 9 * SECOND);
    }

    proptest! {
        #[test]
        fn rt_02_waits_stay_below_their_ceiling(randoms: Vec<u64>) {
            let now = Instant::now();
            let mut backoff = Backoff::new(BackoffOptions::default());
            for random in randoms {
                prop_assert!(backoff.lost(now, None, random) <= 60 * SECOND);
            }
        }
    }
}
