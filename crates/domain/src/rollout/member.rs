//! One agent in a rollout: what it was before, what it reports since, and what that makes of it.
//!
//! An agent's standing is level, not edge: a late, lost or doubled report changes nothing for good, and whoever reads all
//! standings again (a new leader) comes to the same answer.

use std::time::Duration;

use jiff::Timestamp;

use crate::ids::ContentHash;
use crate::rollout::plan::{Gates, Offline};

/// Where an agent stands with what it should run, as the control plane sees it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// It has a connection.
    pub connected: bool,
    /// What it should run; `None`: nothing of ours.
    pub desired: Option<ContentHash>,
    /// What it last said of a config.
    pub answered: Option<(ContentHash, Applied)>,
    /// What its health says; `None`: it never said.
    pub healthy: Option<bool>,
    /// When its process was started, in nanoseconds since 1970; 0: it never said.
    pub started_ns: u64,
}

/// How far an agent came with a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    /// It is at it.
    Applying,
    /// It runs it.
    Done,
    /// It could not.
    Failed,
}

/// An agent that a rollout admitted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// The stage that admitted it, counted from 0. It stays in it.
    pub stage: u16,
    /// When.
    pub admitted_at: Timestamp,
    /// What it should run since.
    pub target: Option<ContentHash>,
    /// What was wrong with it before: that it still is says nothing about the new.
    pub before: Before,
    /// It goes back to what it had.
    pub returning: Option<Returning>,
    /// What its reports amount to.
    seen: Seen,
}

/// What was wrong with an agent before it was admitted, and what it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Before {
    /// What it last said that it runs.
    pub ran: Option<ContentHash>,
    /// It could not apply what it should have run.
    pub failed: bool,
    /// It had not said that it runs what it should have run.
    pub behind: bool,
    /// It was unhealthy.
    pub ill: bool,
    /// It had no connection.
    pub gone: bool,
}

/// The way back of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Returning {
    /// Since when.
    pub since: Timestamp,
    /// Whether it had a connection while it was admitted: one that had none was never offered the new.
    pub was_touched: bool,
}

/// What the reports of an agent amount to since it was admitted, or since it goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Seen {
    /// It was connected since, so that it was offered what it should run.
    offered_at: Option<Timestamp>,
    answer: Option<Applied>,
    /// It says that it runs what it was neither offered nor ran before.
    drifted: bool,
    /// There is nothing of ours that it should run.
    unassigned: bool,
    gone_since: Option<Timestamp>,
    ill_since: Option<Timestamp>,
    started_ns: u64,
    restarts: u32,
    /// When it last was failed.
    failed_at: Option<Timestamp>,
}

/// What an agent counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// It had no connection since it was admitted.
    Waiting,
    /// It was offered the new.
    Offered,
    /// It is at it.
    Applying,
    /// It runs the new, and is well.
    Applied,
    /// It got worse since.
    Failed(Failure),
    /// It is no worse than it was before: that says nothing.
    Excused,
    /// It goes back.
    Returning,
    /// It runs what it had before, and is as well as it was.
    Returned,
    /// It did not come back in time, or failed on the way.
    Lost,
}

/// Why an agent failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// It said that it could not apply it.
    ApplyFailed,
    /// It was not done in time.
    TimedOut,
    /// It said that it runs something else.
    Drifted,
    /// It was unhealthy for too long.
    Unhealthy,
    /// Its process restarted too often.
    Restarted,
    /// It went away and did not come back in time, or never came.
    Silent,
}

impl Place {
    /// Every place there is, in the order in which they are counted.
    pub const ALL: [Self; 14] = [
        Self::Waiting,
        Self::Offered,
        Self::Applying,
        Self::Applied,
        Self::Failed(Failure::ApplyFailed),
        Self::Failed(Failure::TimedOut),
        Self::Failed(Failure::Drifted),
        Self::Failed(Failure::Unhealthy),
        Self::Failed(Failure::Restarted),
        Self::Failed(Failure::Silent),
        Self::Excused,
        Self::Returning,
        Self::Returned,
        Self::Lost,
    ];

    /// The stable text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Offered => "offered",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Failed(Failure::ApplyFailed) => "apply_failed",
            Self::Failed(Failure::TimedOut) => "timed_out",
            Self::Failed(Failure::Drifted) => "drifted",
            Self::Failed(Failure::Unhealthy) => "unhealthy",
            Self::Failed(Failure::Restarted) => "restarted",
            Self::Failed(Failure::Silent) => "silent",
            Self::Excused => "excused",
            Self::Returning => "returning",
            Self::Returned => "returned",
            Self::Lost => "lost",
        }
    }

    /// Whether it failed.
    #[must_use]
    pub const fn is_failed(self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Waiting => 0,
            Self::Offered => 1,
            Self::Applying => 2,
            Self::Applied => 3,
            Self::Failed(Failure::ApplyFailed) => 4,
            Self::Failed(Failure::TimedOut) => 5,
            Self::Failed(Failure::Drifted) => 6,
            Self::Failed(Failure::Unhealthy) => 7,
            Self::Failed(Failure::Restarted) => 8,
            Self::Failed(Failure::Silent) => 9,
            Self::Excused => 10,
            Self::Returning => 11,
            Self::Returned => 12,
            Self::Lost => 13,
        }
    }
}

impl Standing {
    /// What it said of just what it should run.
    fn answer(&self) -> Option<Applied> {
        match (self.answered, self.desired) {
            (Some((hash, answer)), Some(desired)) if hash == desired => Some(answer),
            _ => None,
        }
    }
}

impl Before {
    fn of(standing: &Standing) -> Self {
        let answer = standing.answer();
        Self {
            ran: standing.answered.map(|(hash, _)| hash),
            failed: answer == Some(Applied::Failed),
            behind: standing.desired.is_some() && answer != Some(Applied::Done),
            ill: standing.healthy == Some(false),
            gone: !standing.connected,
        }
    }

    /// Whether it was just as bad before.
    const fn excuses(self, failure: Failure) -> bool {
        match failure {
            Failure::ApplyFailed => self.failed,
            Failure::TimedOut | Failure::Drifted => self.behind,
            Failure::Unhealthy => self.ill,
            Failure::Silent => self.gone,
            Failure::Restarted => false,
        }
    }
}

impl Member {
    /// An agent that is admitted, with where it stood just before, and what it should run from now on.
    #[must_use]
    pub fn admitted(
        stage: u16,
        before: &Standing,
        target: Option<ContentHash>,
        now: Timestamp,
    ) -> Self {
        Self {
            stage,
            admitted_at: now,
            target,
            before: Before::of(before),
            returning: None,
            seen: Seen::starting(before, now),
        }
    }

    /// Gives it another target, since its labels or what else is released changed: it has to apply anew.
    pub fn aim(&mut self, target: Option<ContentHash>, now: Timestamp) {
        if self.target != target {
            self.target = target;
            let seen = &mut self.seen;
            (seen.answer, seen.drifted) = (None, false);
            seen.offered_at = seen.offered_at.map(|_| now);
        }
    }

    /// Sends it back to what it had; one that is on its way back stays so.
    pub fn send_back(&mut self, at: Timestamp) {
        if self.returning.is_none() {
            self.returning = Some(Returning {
                since: at,
                was_touched: self.seen.offered_at.is_some(),
            });
            self.seen = Seen {
                gone_since: self.seen.gone_since,
                ill_since: self.seen.ill_since,
                started_ns: self.seen.started_ns,
                ..Seen::default()
            };
        }
    }

    /// Takes in where it stands now. What it should run must be what was decided for it: a standing from before counts for
    /// nothing but its connection and health.
    pub fn observe(&mut self, standing: &Standing, gates: &Gates, now: Timestamp) {
        let is_back = self.returning.is_some() && standing.desired != self.target;
        let is_due = is_back || (self.returning.is_none() && standing.desired == self.target);
        let seen = &mut self.seen;
        if standing.connected {
            seen.offered_at.get_or_insert(now);
            seen.gone_since = None;
        } else {
            seen.gone_since.get_or_insert(now);
        }
        if is_due {
            let ran = standing.answered.map(|(hash, _)| hash);
            seen.answer = standing.answer();
            seen.unassigned = standing.desired.is_none();
            seen.drifted =
                ran.is_some() && ran != standing.desired && ran != self.before.ran && !is_back;
        }
        match standing.healthy {
            Some(false) => {
                seen.ill_since.get_or_insert(now);
            }
            _ => seen.ill_since = None,
        }
        if standing.started_ns != 0 {
            let is_other = seen.started_ns != 0 && seen.started_ns != standing.started_ns;
            seen.restarts = seen.restarts.saturating_add(u32::from(is_other));
            seen.started_ns = standing.started_ns;
        }
        let failure = self.failure(gates, now);
        if failure.is_some_and(|failure| !self.before.excuses(failure)) {
            self.seen.failed_at = Some(now);
        }
    }

    /// What it counts as now.
    #[must_use]
    pub fn place(&self, gates: &Gates, offline: Offline, now: Timestamp) -> Place {
        if let Some(returning) = self.returning {
            return self.place_on_the_way_back(returning, gates, now);
        }
        if self.seen.offered_at.is_none() {
            return match offline {
                Offline::Skip => Place::Excused,
                Offline::FailAfter(longest) if is_over(self.admitted_at, longest, now) => {
                    Place::Failed(Failure::Silent)
                }
                Offline::FailAfter(_) | Offline::Wait => Place::Waiting,
            };
        }
        let failure = self.failure(gates, now);
        match (failure, self.seen.answer) {
            (Some(failure), _) if self.before.excuses(failure) => Place::Excused,
            (Some(failure), _) => Place::Failed(failure),
            (None, Some(Applied::Done)) if self.seen.ill_since.is_none() => Place::Applied,
            (None, Some(Applied::Applying | Applied::Done)) => Place::Applying,
            // A config that is taken away is not answered for.
            (None, None) if self.target.is_none() => Place::Applied,
            (None, _) => Place::Offered,
        }
    }

    /// Whether it failed, or did within the window: an agent that is well again is watched before it is believed.
    #[must_use]
    pub fn counts_as_failed(&self, place: Place, gates: &Gates, now: Timestamp) -> bool {
        let recently = |at| !is_over(at, gates.observation_window, now);
        let failed = place.is_failed() || self.seen.failed_at.is_some_and(recently);
        failed && self.returning.is_none()
    }

    /// When its place may change by itself next.
    #[must_use]
    pub fn due(&self, gates: &Gates, offline: Offline, now: Timestamp) -> Option<Timestamp> {
        let seen = &self.seen;
        let after = |at: Option<Timestamp>, longest| at.and_then(|at| at.checked_add(longest).ok());
        let is_pending = seen.answer != Some(Applied::Done);
        let waits = match offline {
            Offline::FailAfter(longest) if seen.offered_at.is_none() => {
                after(Some(self.admitted_at), longest)
            }
            _ => None,
        };
        let ends = match self.returning {
            Some(way) => [
                after(Some(way.since), gates.return_within),
                None,
                None,
                None,
                None,
            ],
            None => [
                after(seen.offered_at.filter(|_| is_pending), gates.apply_within),
                after(
                    seen.gone_since.filter(|_| seen.offered_at.is_some()),
                    gates.silent_after,
                ),
                after(seen.ill_since, gates.unhealthy_after),
                after(seen.failed_at, gates.observation_window),
                waits,
            ],
        };
        ends.into_iter().flatten().filter(|end| now < *end).min()
    }

    /// When it was offered what it should run.
    #[must_use]
    pub const fn offered_at(&self) -> Option<Timestamp> {
        self.seen.offered_at
    }

    /// The same with other times.
    #[cfg(test)]
    pub(super) fn with_times(&self, to: impl Fn(Timestamp) -> Timestamp) -> Self {
        let seen = self.seen;
        Self {
            admitted_at: to(self.admitted_at),
            returning: self.returning.map(|way| Returning {
                since: to(way.since),
                ..way
            }),
            seen: Seen {
                offered_at: seen.offered_at.map(&to),
                gone_since: seen.gone_since.map(&to),
                ill_since: seen.ill_since.map(&to),
                failed_at: seen.failed_at.map(&to),
                ..seen
            },
            ..self.clone()
        }
    }

    /// What got worse.
    fn failure(&self, gates: &Gates, now: Timestamp) -> Option<Failure> {
        let seen = &self.seen;
        let offered = seen.offered_at?;
        let since = |at: Option<Timestamp>, longest| at.is_some_and(|at| is_over(at, longest, now));
        if seen.answer == Some(Applied::Failed) {
            return Some(Failure::ApplyFailed);
        }
        if seen.drifted {
            return Some(Failure::Drifted);
        }
        if since(seen.gone_since, gates.silent_after) {
            return Some(Failure::Silent);
        }
        if gates.restarts < seen.restarts {
            return Some(Failure::Restarted);
        }
        if since(seen.ill_since, gates.unhealthy_after) {
            return Some(Failure::Unhealthy);
        }
        let is_done = seen.answer == Some(Applied::Done) || self.target.is_none();
        (!is_done && is_over(offered, gates.apply_within, now)).then_some(Failure::TimedOut)
    }

    fn place_on_the_way_back(&self, way: Returning, gates: &Gates, now: Timestamp) -> Place {
        if !way.was_touched {
            return Place::Returned;
        }
        let seen = &self.seen;
        let is_well = seen.gone_since.is_none() && (self.before.ill || seen.ill_since.is_none());
        match seen.answer {
            Some(Applied::Done) if is_well => Place::Returned,
            // What it could not apply before it is not offered again: it is where it was.
            Some(Applied::Failed) if self.before.failed => Place::Returned,
            Some(Applied::Failed) => Place::Lost,
            // It is sent nothing, so it runs on with the new.
            None if seen.unassigned => Place::Lost,
            _ if is_over(way.since, gates.return_within, now) => Place::Lost,
            _ => Place::Returning,
        }
    }
}

impl Seen {
    fn starting(standing: &Standing, now: Timestamp) -> Self {
        Self {
            gone_since: (!standing.connected).then_some(now),
            ill_since: (standing.healthy == Some(false)).then_some(now),
            started_ns: standing.started_ns,
            ..Self::default()
        }
    }
}

/// Whether something lasts so long. What lasts longer than there is time never does.
pub(super) fn is_over(since: Timestamp, longest: Duration, now: Timestamp) -> bool {
    since.checked_add(longest).is_ok_and(|end| end <= now)
}
