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
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    options: BackoffOptions,
}

/// A server's `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// To wait this long.
    Delay(Duration),
    /// To wait until this time.
    At(SystemTime),
}

impl Backoff {
    /// A backoff that has seen no failure.
    pub fn new(options: BackoffOptions) -> Self {
        Self { options }
    }

    /// A connection was made.
    pub fn connected(&mut self, now: Instant) {
        let _ = (now, self.options);
        unimplemented!()
    }

    /// An attempt failed or a connection was lost: how long to wait before the next attempt.
    ///
    /// `random` is uniform over all values; `retry_after` is what the server asked for.
    pub fn lost(&mut self, now: Instant, retry_after: Option<Duration>, random: u64) -> Duration {
        let _ = (now, retry_after, random);
        unimplemented!()
    }
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
