//! Who is let in: session starts by token buckets, connections by what they have proved and by the descriptors that are left.

mod bucket;
mod retry;
mod sessions;
mod unproven;

use std::{sync::Arc, time::Duration};

use metrics::Counter;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::{retry::Spread, sessions::Sessions};
pub(crate) use self::{retry::retry_after_seconds, sessions::Claimant, unproven::Ticket};
use crate::{admission::unproven::Unproven, metrics::Metrics, options::Admission};

/// How long refusals of one kind are gathered into one log line.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What a restart takes, roughly; nobody is asked to come back sooner.
const RESTART: Duration = Duration::from_secs(1);
/// The longest window over which sessions that end in a drain are asked to return.
const LONGEST_RETURN: Duration = Duration::from_secs(300);

/// The gate of one gateway.
pub(crate) struct Gate {
    sessions_per_second: f64,
    sessions: Mutex<Sessions>,
    spread: Spread,
    unproven: Arc<Unproven>,
    descriptors: u64,
    answered_descriptors: u64,
    refusals: [Refusals; Reason::ALL.len()],
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// More session starts than the bucket holds.
    Rate,
    /// More session starts than one claimant's share, while little is left for the others.
    Share,
    /// Too many connections that prove nothing; this one was the oldest.
    Unproven,
    /// The process runs out of descriptors.
    Descriptors,
    /// The engine has more uncommitted reports than it may hold.
    Engine,
    /// The server is going down.
    Draining,
    /// The credential is missing or was not accepted.
    Unauthenticated,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Rate,
        Self::Share,
        Self::Unproven,
        Self::Descriptors,
        Self::Engine,
        Self::Draining,
        Self::Unauthenticated,
    ];

    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Share => "share",
            Self::Unproven => "unproven_connections",
            Self::Descriptors => "descriptors",
            Self::Engine => "overloaded",
            Self::Draining => "draining",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

/// Counts the refusals of one reason and lets one line a second through to the log.
struct Refusals {
    counter: Counter,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    count: u64,
    logged: Option<Instant>,
}

impl Gate {
    /// The gate of a process that may have so many descriptors.
    pub fn new(options: &Admission, limit: u64, seed: u64, metrics: &Metrics) -> Self {
        let descriptors = limit.saturating_mul(u64::from(options.descriptor_percent)) / 100;
        // A fleet that comes back at once is without a principal for a moment, all of it; but descriptors that run out would
        // shed agents and strangers alike, so the cap is reached before they do.
        let most = usize::try_from(descriptors / 10 * 9).unwrap_or(usize::MAX);
        Self {
            sessions_per_second: f64::from(options.sessions_per_second.max(1)),
            sessions: Mutex::new(Sessions::new(
                options.sessions_per_second,
                options.burst,
                Instant::now(),
            )),
            spread: Spread::new(options.retry_after, options.retry_window, seed),
            unproven: Unproven::new(options.unproven_connections.min(most)),
            descriptors,
            answered_descriptors: descriptors + limit.saturating_sub(descriptors) / 2,
            refusals: Reason::ALL.map(|reason| Refusals::new(metrics.refused(reason))),
        }
    }

    /// Lets one session start, or says when to come back.
    pub fn admit_session(&self, claimant: Claimant) -> Result<(), Duration> {
        let taken = self.sessions.lock().take(claimant, Instant::now());
        taken.map_err(|reason| self.refuse(reason))
    }

    /// Whether a connection with this descriptor may stay. Descriptors are given lowest first, so the number says how many are in use.
    pub fn has_descriptors(&self, descriptor: u64) -> bool {
        descriptor < self.descriptors
    }

    /// Whether a connection with this descriptor, which may not stay, may at least be told so. The last descriptors are
    /// for the admin plane and the database.
    pub fn may_answer(&self, descriptor: u64) -> bool {
        descriptor < self.answered_descriptors
    }

    /// Notes a connection that has proved nothing yet; may push out an older one.
    pub fn enter(&self) -> Ticket {
        let (ticket, evicted) = Unproven::enter(&self.unproven);
        if evicted {
            self.note(Reason::Unproven);
        }
        ticket
    }

    /// Makes room for a connection where descriptors run out; `false` if nobody can be pushed out for it.
    pub fn make_room(&self) -> bool {
        let evicted = self.unproven.evict_overdue();
        if evicted {
            self.note(Reason::Unproven);
        }
        evicted
    }

    /// Ends the connections that have proved nothing though they had the time.
    pub fn abort_overdue(&self) {
        self.unproven.abort_overdue();
    }

    /// Ends all connections that have proved nothing.
    pub fn abort_unproven(&self) {
        self.unproven.abort_all();
    }

    /// Counts and logs a refusal, and says when to come back.
    pub fn refuse(&self, reason: Reason) -> Duration {
        self.note(reason);
        self.retry_after()
    }

    /// When somebody who is refused may come back.
    pub fn retry_after(&self) -> Duration {
        self.spread.next()
    }

    /// A time in `0..window`, for whatever else is to be spread.
    pub fn spread_over(&self, window: Duration) -> Duration {
        self.spread.within(window)
    }

    /// When one of `sessions` that all end now may come back: at half the rate that is let in, after a moment in which a
    /// restarted server starts.
    pub fn spread_returns(&self, sessions: usize) -> Duration {
        let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
        let window = Duration::from_secs_f64(2.0 * f64::from(sessions) / self.sessions_per_second);
        RESTART + self.spread.within(window.clamp(RESTART, LONGEST_RETURN))
    }

    fn note(&self, reason: Reason) {
        self.refusals[reason as usize].note(reason);
    }
}

impl Refusals {
    fn new(counter: Counter) -> Self {
        Self {
            counter,
            gathered: Mutex::default(),
        }
    }

    fn note(&self, reason: Reason) {
        self.counter.increment(1);
        let mut gathered = self.gathered.lock();
        gathered.count += 1;
        let now = Instant::now();
        if gathered
            .logged
            .is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL)
        {
            return;
        }
        gathered.logged = Some(now);
        let count = std::mem::take(&mut gathered.count);
        drop(gathered);
        tracing::warn!(
            event = "agent_admission_refused",
            reason = reason.as_str(),
            count,
            "refused"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(options: &Admission) -> Gate {
        Gate::new(options, 1000, 7, &Metrics::register())
    }

    fn anybody() -> Claimant {
        Claimant::Address(std::net::Ipv4Addr::LOCALHOST.into())
    }

    #[tokio::test]
    async fn a_fleet_of_15_000_that_returns_at_once_is_let_in() {
        let gate = gate(&Admission::default());
        assert!((0..15_000).all(|_| gate.admit_session(anybody()).is_ok()));
    }

    #[tokio::test]
    async fn beyond_the_burst_peers_are_spread_over_the_window() {
        let options = Admission {
            sessions_per_second: 1,
            burst: 2,
            ..Admission::default()
        };
        let gate = gate(&options);
        let refused: Vec<Duration> = (0..102)
            .filter_map(|_| gate.admit_session(anybody()).err())
            .collect();
        assert!(99 <= refused.len());
        let window = options.retry_after..options.retry_after + options.retry_window;
        assert!(refused.iter().all(|after| window.contains(after)));
        let early = refused
            .iter()
            .filter(|after| **after < options.retry_after + options.retry_window / 2)
            .count();
        assert!(
            (25..75).contains(&early),
            "{early} of {} in the first half",
            refused.len()
        );
    }

    #[test]
    fn reasons_are_numbered_in_order() {
        assert!(
            Reason::ALL
                .iter()
                .enumerate()
                .all(|(index, reason)| *reason as usize == index)
        );
    }
}
