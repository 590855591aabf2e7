//! Retry times, spread so that those who were refused together do not return together.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Draws times evenly from a window. Not for anything that must not be guessed.
pub(super) struct Spread {
    least: Duration,
    window: Duration,
    state: AtomicU64,
}

impl Spread {
    pub fn new(least: Duration, window: Duration, seed: u64) -> Self {
        Self {
            least,
            window,
            state: AtomicU64::new(seed),
        }
    }

    /// The next retry time.
    pub fn next(&self) -> Duration {
        self.least + self.within(self.window)
    }

    /// A time in `0..window`.
    pub fn within(&self, window: Duration) -> Duration {
        // 32 bits of randomness as a fraction of 2^32: exact in an f64, and below 1.
        let fraction =
            f64::from(u32::try_from(self.draw() >> 32).expect("32 bits fit")) / 4_294_967_296.0;
        window.mul_f64(fraction)
    }

    /// SplitMix64: one atomic addition and a few multiplications, which needs no lock in a storm.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self
            .state
            .fetch_add(STEP, Ordering::Relaxed)
            .wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A `Retry-After` header's value: whole seconds, rounded up, so that nobody comes early.
pub(crate) fn retry_after_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(0 < after.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_fill_the_window_evenly() {
        let spread = Spread::new(Duration::ZERO, Duration::from_secs(10), 1);
        let mut tenths = [0_u32; 10];
        for _ in 0..10_000 {
            tenths[usize::try_from(spread.next().as_secs()).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|count| (850..1150).contains(count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(retry_after_seconds(Duration::from_millis(5001)), 6);
        assert_eq!(retry_after_seconds(Duration::from_secs(5)), 5);
    }
}
