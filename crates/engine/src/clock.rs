//! Noticing that the clock jumped: what is decided by how long ago something was must not believe one jump.

use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

/// Sees the time of a step that is driven again and again.
#[derive(Default)]
pub(crate) struct ClockWatch(Mutex<Option<Timestamp>>);

/// What the clock did since the step before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It went on.
    On,
    /// It went ahead by more than there can be between two steps. The process may have been suspended as well.
    Ahead,
    /// It went back.
    Back,
}

impl ClockWatch {
    /// Says what the clock did since the step before, of which there is at least one in `most`.
    pub fn pass(&self, now: Timestamp, most: Duration) -> Passed {
        let Some(before) = self.0.lock().replace(now) else {
            return Passed::On;
        };
        let passed = now.duration_since(before);
        if passed.is_negative() {
            return Passed::Back;
        }
        if most < passed.unsigned_abs() {
            return Passed::Ahead;
        }
        Passed::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_seen_once_and_in_both_directions() {
        let (watch, minute) = (ClockWatch::default(), Duration::from_secs(60));
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let passes = [
            (1_000_000, Passed::On),
            (1_000_060, Passed::On),
            (1_000_121, Passed::Ahead),
            (1_000_122, Passed::On),
            (1_000_121, Passed::Back),
            (1_000_121, Passed::On),
        ];
        for (seconds, expected) in passes {
            assert_eq!(watch.pass(at(seconds), minute), expected, "{seconds}");
        }
    }
}
