//! Rollouts: the act that moves a set of agents from one revision to another.

pub mod control;
pub mod member;
pub mod order;
pub mod plan;
pub mod progress;
pub mod run;
pub mod schedule;
pub mod text;

#[cfg(test)]
mod exploration;
#[cfg(test)]
#[path = "rollout/tests.rs"]
mod machine_tests;

use jiff::Timestamp;

use crate::ids::{Actor, ConfigName, Namespace, RevisionNumber, RolloutId};

/// How a rollout moves agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// Every agent that the target's selector matches, in one stage.
    AllAtOnce,
}

impl Strategy {
    /// The stable text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllAtOnce => "all_at_once",
        }
    }

    /// Reads the text form; `None` for strategies that do not exist yet.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "all_at_once" => Some(Self::AllAtOnce),
            _ => None,
        }
    }
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutState {
    /// Its open stage admits agents.
    Running,
    /// Its target is the baseline.
    Completed {
        /// When it got there.
        at: Timestamp,
    },
    /// It was ended before; the baseline is what it was.
    Aborted {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

impl RolloutState {
    /// The stable text form.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed { .. } => "completed",
            Self::Aborted { .. } => "aborted",
        }
    }
}

/// A rollout was asked for a step that its state does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {state} rollout cannot be {step}")]
pub struct InvalidTransition {
    /// The state it is in.
    pub state: &'static str,
    /// The step that was asked for.
    pub step: &'static str,
}

/// One rollout of a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Its id.
    pub id: RolloutId,
    /// The namespace of its config.
    pub namespace: Namespace,
    /// Its config.
    pub config: ConfigName,
    /// The revision it moves agents to; `None`: it takes the config away from them.
    pub target: Option<RevisionNumber>,
    /// The baseline when it started; `None`: there was none.
    pub previous: Option<RevisionNumber>,
    /// How it moves agents.
    pub strategy: Strategy,
    /// Whether it was started although some agent gets what its Collector is known to refuse.
    pub forced: bool,
    /// Where it stands.
    pub state: RolloutState,
    /// Who started it.
    pub created_by: Actor,
    /// When it started.
    pub created_at: Timestamp,
    /// Why, in the words of who started it.
    pub message: String,
}

impl Rollout {
    /// Ends a running rollout with its target in force.
    ///
    /// # Errors
    /// [`InvalidTransition`] if it has ended already.
    pub fn complete(self, at: Timestamp) -> Result<Self, InvalidTransition> {
        self.end("completed", RolloutState::Completed { at })
    }

    /// Ends a running rollout with the baseline as it was.
    ///
    /// # Errors
    /// [`InvalidTransition`] if it has ended already.
    pub fn abort(self, at: Timestamp, reason: String) -> Result<Self, InvalidTransition> {
        self.end("aborted", RolloutState::Aborted { at, reason })
    }

    fn end(self, step: &'static str, state: RolloutState) -> Result<Self, InvalidTransition> {
        match self.state {
            RolloutState::Running => Ok(Self { state, ..self }),
            RolloutState::Completed { .. } | RolloutState::Aborted { .. } => {
                Err(InvalidTransition {
                    state: self.state.as_str(),
                    step,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Rollout {
        Rollout {
            id: RolloutId::from_bytes([1; 16]),
            namespace: Namespace::default(),
            config: ConfigName::new("edge").unwrap(),
            target: Some(RevisionNumber(2)),
            previous: Some(RevisionNumber(1)),
            strategy: Strategy::AllAtOnce,
            forced: false,
            state: RolloutState::Running,
            created_by: Actor::admin(),
            created_at: Timestamp::UNIX_EPOCH,
            message: String::new(),
        }
    }

    #[test]
    fn a_rollout_ends_once() {
        let at = Timestamp::UNIX_EPOCH;
        let done = running().complete(at).unwrap();
        assert_eq!(done.state, RolloutState::Completed { at });
        assert_eq!(
            done.clone().complete(at),
            Err(InvalidTransition {
                state: "completed",
                step: "completed"
            })
        );
        assert_eq!(
            done.abort(at, "late".into()),
            Err(InvalidTransition {
                state: "completed",
                step: "aborted"
            })
        );
        let aborted = running().abort(at, "bad".into()).unwrap();
        assert!(aborted.complete(at).is_err());
    }
}
