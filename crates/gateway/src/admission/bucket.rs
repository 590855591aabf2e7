//! A token bucket: a steady rate, and a burst on top of it.

use tokio::time::Instant;

/// Tokens that come back at a steady rate up to a maximum.
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self {
            per_second: f64::from(per_second),
            burst,
            tokens: burst,
            filled: now,
        }
    }

    /// The tokens that are there.
    pub fn level(&mut self, now: Instant) -> f64 {
        let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.filled = now;
        self.tokens
    }

    /// Whether nothing is missing.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.burst <= self.level(now)
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.level(now) < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_burst_is_let_through_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 5, start);
        assert_eq!((0..20).filter(|_| bucket.take(start)).count(), 5);
        let later = start + Duration::from_millis(310);
        assert_eq!((0..20).filter(|_| bucket.take(later)).count(), 3);
        let much_later = later + Duration::from_secs(3600);
        assert_eq!((0..20).filter(|_| bucket.take(much_later)).count(), 5);
    }
}
