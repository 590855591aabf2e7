//! Counters of a fleet and the figures taken from them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters that all agents of a fleet add to.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: Counter,)*
        }

        /// What a fleet has counted so far; all but `connected` and `settled` only grow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// All of them, read one after the other.
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* }
            }
        }

        impl Stats {
            /// What was counted since `earlier`; gauges that fell are 0.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }
    };
}

counters! {
    /// Agents with an open connection now.
    connected,
    /// Agents of the present round that have their first answer.
    answered,
    /// Agents of the present round whose every message was answered, full state included.
    settled,
    /// Dials that were begun.
    dials,
    /// Dials that the server refused with a status (503, 429, 401, …).
    refused,
    /// Dials that failed otherwise.
    dial_errors,
    /// Connections that ended unordered.
    lost,
    /// Messages sent.
    sent,
    /// Messages received: answers and pushes.
    received,
    /// Requests for full state.
    full_state_requests,
    /// Configurations offered.
    offers,
    /// Offers whose hash did not belong to their content.
    hash_mismatches,
    /// Configurations applied.
    applied,
    /// Configurations rejected.
    failed,
    /// Connections that were dropped by script after an offer.
    vanished,
    /// Messages that the server refused as bad.
    bad_requests,
    /// Times the server said that it is unavailable.
    unavailable,
    /// New uids given by the server.
    new_uids,
}

/// A number that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Stats {
    /// Refusals of any kind: what a storm within the budget must not see.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refused + self.unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_never_underflows() {
        let counters = Counters::default();
        counters.connected.add();
        let before = counters.read();
        counters.connected.remove();
        counters.sent.add();
        let since = counters.read().since(&before);
        assert_eq!((since.connected, since.sent), (0, 1));
    }
}
