//! A guard against a server that asks for everything again and again.
//!
//! Each ask is answered, but after a few quick answers they are at least a second apart: a broken
//! server would otherwise drive every agent at the speed of the network.

use std::time::{Duration, Instant};

/// How many answers may follow each other at once.
const QUICK_ANSWERS: u8 = 4;
/// The distance between further answers.
const SPACING: Duration = Duration::from_secs(1);
/// After this much silence quick answers are allowed again.
const CALM: Duration = Duration::from_secs(10);

/// What the server asked for, and when it is answered.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Asked for: all status.
    full_state: bool,
    /// Asked for: the map of components.
    components: bool,
    due: Option<Instant>,
    answered: Option<Instant>,
    quick: u8,
}

/// What to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) full_state: bool,
    pub(super) components: bool,
}

impl Asks {
    pub(super) fn ask(&mut self, wanted: Answer, now: Instant) {
        if wanted == Answer::default() {
            return;
        }
        self.full_state |= wanted.full_state;
        self.components |= wanted.components;
        if self.answered.is_none_or(|answered| answered + CALM <= now) {
            self.quick = 0;
        }
        let spaced = self
            .answered
            .filter(|_| QUICK_ANSWERS <= self.quick)
            .map(|answered| answered + SPACING);
        let due = spaced.map_or(now, |spaced| spaced.max(now));
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be answered now; it counts as answered.
    pub(super) fn take(&mut self, now: Instant) -> Answer {
        if self.due.is_none_or(|due| now < due) {
            return Answer::default();
        }
        self.due = None;
        self.answered = Some(now);
        self.quick = self.quick.saturating_add(1);
        Answer {
            full_state: std::mem::take(&mut self.full_state),
            components: std::mem::take(&mut self.components),
        }
    }
}
