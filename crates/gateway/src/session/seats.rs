//! How many agents one connection carries, over all its streams.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The agents of one connection, counted for all its conversations. A WebSocket is one conversation and needs none.
#[derive(Clone, Default)]
pub(crate) struct Seats(Arc<AtomicUsize>);

/// What one conversation has of its connection's seats; dropping it gives them back.
pub(super) struct Seated {
    seats: Option<Seats>,
    held: usize,
}

impl Seated {
    /// A part of a connection's seats, or all of them where it has no others.
    pub fn new(seats: Option<Seats>) -> Self {
        Self { seats, held: 0 }
    }

    /// Takes one more seat if fewer than `limit` are taken by all together, this conversation having `held`.
    pub fn take(&mut self, held: usize, limit: usize) -> bool {
        let Some(seats) = &self.seats else {
            return held < limit;
        };
        let more = |taken: usize| (taken < limit).then_some(taken + 1);
        let taken = seats
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        if taken.is_ok() {
            self.held += 1;
        }
        taken.is_ok()
    }

    /// Says how many seats are in use by now.
    pub fn hold(&mut self, held: usize) {
        let Some(seats) = &self.seats else {
            return;
        };
        if self.held < held {
            seats.0.fetch_add(held - self.held, Ordering::AcqRel);
        } else {
            seats.0.fetch_sub(self.held - held, Ordering::AcqRel);
        }
        self.held = held;
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_of_one_connection_share_its_seats() {
        let seats = Seats::default();
        let mut one = Seated::new(Some(seats.clone()));
        let mut other = Seated::new(Some(seats));
        assert!(one.take(0, 3) && one.take(1, 3) && other.take(0, 3));
        assert!(!one.take(2, 3) && !other.take(1, 3));
        one.hold(1);
        assert!(other.take(1, 3));
        drop(other);
        assert!(one.take(1, 3) && one.take(2, 3) && !one.take(3, 3));
    }

    #[test]
    fn a_conversation_that_is_alone_counts_its_own() {
        let mut alone = Seated::new(None);
        assert!(alone.take(2, 3));
        assert!(!alone.take(3, 3));
    }
}
