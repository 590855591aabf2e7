//! Bounds how many refusals of strangers are written to the audit log: each costs a synced transaction.

use std::sync::Mutex;

use jiff::Timestamp;

/// Entries that may be written at once.
const BURST: u32 = 20;
/// Milliseconds until one more may be written.
const REFILL_MS: i64 = 1_000;

/// A token bucket that counts what it held back.
#[derive(Debug)]
pub(crate) struct Gate(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    left: u32,
    refilled: Timestamp,
    held_back: u64,
}

impl Gate {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Bucket {
            left: BURST,
            refilled: now,
            held_back: 0,
        }))
    }

    /// Asks to write one entry. `Some` allows it, with the number that were held back since the last one.
    pub(crate) fn pass(&self, now: Timestamp) -> Option<u64> {
        let mut bucket = self.0.lock().expect("no holder of this lock can panic");
        bucket.refill(now);
        if bucket.left == 0 {
            bucket.held_back += 1;
            return None;
        }
        bucket.left -= 1;
        Some(std::mem::take(&mut bucket.held_back))
    }
}

impl Bucket {
    fn refill(&mut self, now: Timestamp) {
        let gained = now
            .as_millisecond()
            .saturating_sub(self.refilled.as_millisecond())
            / REFILL_MS;
        if 0 < gained {
            let gained = u32::try_from(gained).unwrap_or(BURST);
            self.left = self.left.saturating_add(gained).min(BURST);
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_passes_as_a_trickle_that_counts_it() {
        let start = Timestamp::UNIX_EPOCH;
        let gate = Gate::new(start);
        let passed = (0..1_000).filter(|_| gate.pass(start).is_some()).count();
        assert_eq!(passed, 20);
        let later = Timestamp::from_second(1).unwrap();
        assert_eq!(gate.pass(later), Some(980));
        assert_eq!(gate.pass(later), None);
    }
}
