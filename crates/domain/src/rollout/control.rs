//! What a person can do to a rollout.

use jiff::Timestamp;

use crate::rollout::InvalidTransition;
use crate::rollout::progress::{Action, End, Phase, Progress, Why};

/// What is wanted of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Nobody further is admitted.
    Pause {
        /// Why.
        reason: String,
    },
    /// It goes on; a gate that paused it counts again only when more is bad than now.
    Resume,
    /// The stage that waits for it may open.
    Approve,
    /// The open stage is over, whatever it waits for; gates count as ever.
    Promote,
    /// It ends, and every agent that has the new keeps it.
    Abort {
        /// Why.
        reason: String,
    },
    /// It ends, and every agent that has the new goes back.
    RollBack {
        /// Why.
        reason: String,
    },
}

impl Control {
    /// The stable text form.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Abort { .. } => "abort",
            Self::RollBack { .. } => "roll_back",
        }
    }
}

impl Phase {
    /// The stable text form.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused { .. } => "paused",
            Self::RollingBack { .. } => "rolling_back",
            Self::Ended {
                end: End::Completed,
                ..
            } => "completed",
            Self::Ended {
                end: End::RolledBack { .. },
                ..
            } => "rolled_back",
            Self::Ended {
                end: End::Aborted { .. },
                ..
            } => "aborted",
        }
    }
}

impl Progress {
    /// The rollout after what a person wanted, and what is done.
    ///
    /// # Errors
    /// [`InvalidTransition`]: where it stands, that cannot be done.
    pub fn control(
        &self,
        wanted: Control,
        now: Timestamp,
    ) -> Result<(Self, Vec<Action>), InvalidTransition> {
        let mut next = self.clone();
        let mut actions = Vec::new();
        match (&self.phase, wanted) {
            (Phase::Running, Control::Pause { reason }) => {
                let why = Why::Asked { reason };
                next.phase = Phase::Paused { at: now, why };
            }
            (Phase::Paused { why, .. }, Control::Resume) => {
                if let Why::Gate(breach) = why {
                    let is_same = |known: &&mut crate::rollout::progress::Breach| {
                        known.stage == breach.stage && known.gate == breach.gate
                    };
                    match next.overruled.iter_mut().find(is_same) {
                        Some(known) => *known = breach.clone(),
                        None => next.overruled.push(breach.clone()),
                    }
                }
                next.phase = Phase::Running;
            }
            (Phase::Running, Control::Approve) if self.opened_at.is_none() => {
                next.approved = Some(self.stage);
            }
            (Phase::Running, Control::Promote) if self.opened_at.is_some() => {
                next.promoted = Some(self.stage);
            }
            (Phase::Running | Phase::Paused { .. }, Control::Abort { reason }) => {
                let why = Why::Asked { reason };
                let end = End::Aborted { why };
                next.phase = Phase::Ended { at: now, end };
                actions.push(Action::Keep);
            }
            (Phase::Running | Phase::Paused { .. }, Control::RollBack { reason }) => {
                let why = Why::Asked { reason };
                next.phase = Phase::RollingBack { at: now, why };
                actions.push(Action::SendBack);
            }
            (phase, wanted) => {
                return Err(InvalidTransition {
                    state: phase.as_str(),
                    step: wanted.as_str(),
                });
            }
        }
        next.sequence += 1;
        Ok((next, actions))
    }
}
