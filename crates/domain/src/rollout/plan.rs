//! What a rollout does, as it was written: stages, their steps, and what ends it.

use std::time::Duration;

use crate::rollout::schedule::Schedule;
use crate::selector::Selector;

/// A part of a whole in hundredths of a percent: 10,000 is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

impl Share {
    /// Nothing of it.
    pub const NONE: Self = Self(0);
    /// All of it.
    pub const ALL: Self = Self(10_000);

    /// A share of so many hundredths of a percent; `None` above 10,000.
    #[must_use]
    pub const fn new(hundredths: u16) -> Option<Self> {
        if hundredths <= Self::ALL.0 {
            Some(Self(hundredths))
        } else {
            None
        }
    }

    /// In hundredths of a percent.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// So much of a number, rounded up: a share of some is never none.
    #[must_use]
    pub const fn of(self, whole: u64) -> u64 {
        (whole as u128 * self.0 as u128).div_ceil(Self::ALL.0 as u128) as u64
    }

    /// Whether a part of a whole has reached this share. Nothing reaches a share of nothing.
    #[must_use]
    pub const fn is_reached(self, part: u64, whole: u64) -> bool {
        0 < part && self.0 as u128 * whole as u128 <= part as u128 * Self::ALL.0 as u128
    }
}

/// How many of the agents that a stage is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// This share of them.
    Share(Share),
    /// So many, or all where they are fewer.
    Count(u64),
}

impl Weight {
    /// All of them.
    pub const ALL: Self = Self::Share(Share::ALL);

    /// How many of so many agents.
    #[must_use]
    pub const fn of(self, agents: u64) -> u64 {
        match self {
            Self::Share(share) => share.of(agents),
            Self::Count(count) if count < agents => count,
            Self::Count(_) => agents,
        }
    }
}

/// A rollout as it was written, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they open; at least one.
    pub stages: Vec<Stage>,
    /// How many agents may at most be between the old and the new at a time, or failed; `None`: any number.
    pub max_unavailable: Option<Weight>,
    /// Labels over whose values each step's agents are spread evenly, such as `zone`.
    pub spread_by: Vec<String>,
    /// When agents may be let in.
    pub schedule: Schedule,
    /// What becomes of agents without a connection.
    pub offline: Offline,
    /// What ends it, and when that is judged.
    pub gates: Gates,
}

/// A part of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The agents it is for, of those that the rollout concerns.
    pub selector: Selector,
    /// How many of them, one step after the other; at least one, and their weights grow.
    pub steps: Vec<Step>,
    /// The least time it stays open before the next may open; `None`: one observation window after its last agent was offered.
    pub duration: Option<Duration>,
    /// Whether a person must approve before it opens.
    pub needs_approval: bool,
    /// How fast agents are let in.
    pub pace: Option<Pace>,
    /// It was not written: it is for the agents that no written one is for, and takes no time where there are none.
    pub is_rest: bool,
}

/// A step of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How many of the stage's agents have the new by its end.
    pub weight: Weight,
    /// How long it lasts at least, from when its last agent was offered.
    pub dwell: Duration,
}

/// So many agents at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How many of the stage's agents, at least one.
    pub batch: Weight,
    /// How long after a batch the next may follow.
    pub every: Duration,
}

/// What becomes of admitted agents that have no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offline {
    /// Their stage waits for them.
    Wait,
    /// They get it when they come; no stage waits for them.
    Skip,
    /// Their stage waits so long; then they count as failed.
    FailAfter(Duration),
}

/// What ends a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    /// Newly failed agents ÷ offered ones in a stage at which it ends; `None`: failures end nothing.
    pub on_error_rate: Option<Share>,
    /// How long a failure counts after it is over, and how long the last stage is watched.
    pub observation_window: Duration,
    /// So many agents of a stage must have been offered before its rate counts, or all where they are fewer.
    pub min_sample: u64,
    /// How long an agent may be unhealthy before it counts as failed.
    pub unhealthy_after: Duration,
    /// How long an agent may be without a connection after its offer before it counts as failed.
    pub silent_after: Duration,
    /// How long an agent may take to apply what it was offered before it counts as failed.
    pub apply_within: Duration,
    /// How often an agent may restart within an observation window of its offer before it counts as failed; the restart that
    /// applying takes is one.
    pub restarts: u32,
    /// How long an agent that is brought back may take until it is given up.
    pub return_within: Duration,
    /// Signals of the fleet that are judged beside failures.
    pub signals: Vec<SignalGate>,
    /// What happens where a gate is reached.
    pub then: Then,
}

/// A signal that must not get worse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalGate {
    /// Its name, such as `exporter_failed`.
    pub signal: String,
    /// By how much of the agents' own past, or of the agents that were not touched, it may rise.
    pub may_rise: Share,
    /// Compared with what.
    pub against: Against,
    /// Agents that must have reported it.
    pub min_sample: u64,
}

/// What a signal is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Against {
    /// The same agents before they were offered the new.
    Before,
    /// Agents that are not offered the new yet.
    Control,
}

/// What happens where a gate is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Then {
    /// Every touched agent goes back.
    RollBack,
    /// Nothing more happens until a person decides.
    Pause,
}

impl Stage {
    /// One for agents that a selector matches, so many of them in one step.
    #[must_use]
    pub fn of(selector: Selector, weight: Weight) -> Self {
        let step = Step {
            weight,
            dwell: Duration::ZERO,
        };
        Self {
            selector,
            steps: vec![step],
            duration: None,
            needs_approval: false,
            pace: None,
            is_rest: false,
        }
    }

    /// The stages of a rollout that moves everybody at once.
    #[must_use]
    pub fn all_at_once() -> Vec<Self> {
        vec![Self::of(Selector::default(), Weight::ALL)]
    }

    /// The stages of a rollout that moves the agents of a selector in batches.
    #[must_use]
    pub fn rolling(selector: Selector, pace: Pace) -> Vec<Self> {
        vec![Self {
            pace: Some(pace),
            ..Self::of(selector, Weight::ALL)
        }]
    }

    /// The stages of a rollout that moves the agents that the one selector matches, then, after a hold, those of the other.
    #[must_use]
    pub fn blue_green(first: Selector, second: Selector, hold: Duration) -> Vec<Self> {
        let first = Self {
            duration: Some(hold),
            ..Self::of(first, Weight::ALL)
        };
        vec![first, Self::of(second, Weight::ALL)]
    }

    /// These stages, and one for the agents that none of them is for: a rollout that is complete is so for all.
    #[must_use]
    pub fn with_rest(mut stages: Vec<Self>) -> Vec<Self> {
        let is_for_all = |stage: &Self| {
            let weight = stage.steps.last().map(|step| step.weight);
            stage.selector.is_empty() && weight == Some(Weight::ALL)
        };
        if !stages.last().is_some_and(is_for_all) {
            stages.push(Self {
                is_rest: true,
                ..Self::of(Selector::default(), Weight::ALL)
            });
        }
        stages
    }
}

/// What is wrong with a plan, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct PlanFault {
    /// The field, such as `stages[1].steps[0].weight`.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// The most stages of a rollout, and steps of a stage.
const MOST: usize = 50;
/// The most labels to spread over, windows and freezes, and signals.
const MOST_OF_OTHERS: usize = 20;

impl Plan {
    /// Checks what types do not say.
    ///
    /// # Errors
    /// [`PlanFault`]: the first thing that is wrong.
    pub fn check(&self) -> Result<(), PlanFault> {
        let fault = |path: String, message: &str| {
            let message = message.to_owned();
            Err(PlanFault { path, message })
        };
        if self.stages.is_empty() {
            return fault("stages".to_owned(), "there is none: write at least one");
        }
        if MOST < self.stages.len() {
            return fault("stages".to_owned(), "at most 50 are allowed");
        }
        for (number, stage) in self.stages.iter().enumerate() {
            let at = |field: &str| format!("stages[{number}].{field}");
            if stage.steps.is_empty() || MOST < stage.steps.len() {
                return fault(at("steps"), "there must be 1 to 50");
            }
            for (number, pair) in stage.steps.windows(2).enumerate() {
                let [before, step] = pair else { continue };
                let grows = match (before.weight, step.weight) {
                    (Weight::Share(before), Weight::Share(step)) => before < step,
                    (Weight::Count(before), Weight::Count(step)) => before < step,
                    _ => false,
                };
                if !grows {
                    let place = at(&format!("steps[{}].weight", number + 1));
                    return fault(
                        place,
                        "it must be more than that of the step before, and be written alike",
                    );
                }
            }
            if stage.pace.is_some_and(|pace| pace.every.is_zero()) {
                return fault(
                    at("every"),
                    "a batch needs a time after which the next follows, such as 1m",
                );
            }
        }
        let counted = [
            ("spread_by", self.spread_by.len()),
            ("windows", self.schedule.windows.len()),
            ("freezes", self.schedule.freezes.len()),
            ("gates", self.gates.signals.len()),
        ];
        let too_many = counted
            .into_iter()
            .find(|(_, number)| MOST_OF_OTHERS < *number);
        if let Some((field, _)) = too_many {
            return fault(field.to_owned(), "at most 20 are allowed");
        }
        if let Some(number) = self
            .schedule
            .windows
            .iter()
            .position(|window| window.days.is_empty())
        {
            return fault(format!("windows[{number}].days"), "it has no day");
        }
        let is_empty = |freeze: &crate::rollout::schedule::Freeze| freeze.to <= freeze.from;
        if let Some(number) = self.schedule.freezes.iter().position(is_empty) {
            return fault(
                format!("freezes[{number}].to"),
                "it is over before it begins",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_of_some_is_never_none() {
        let percent = |percent: u16| Share::new(percent * 100).unwrap();
        assert_eq!(percent(1).of(10_000), 100);
        assert_eq!(percent(10).of(1), 1);
        assert_eq!(percent(50).of(3), 2);
        assert_eq!(Share::ALL.of(u64::MAX), u64::MAX);
        assert_eq!(percent(5).of(0), 0);
        assert_eq!(Share::new(10_001), None);
        assert_eq!(Weight::Count(5).of(3), 3);
        assert_eq!(Weight::Count(5).of(30), 5);
    }

    #[test]
    fn a_rate_is_reached_at_the_threshold_itself() {
        let five = Share::new(500).unwrap();
        assert!(!five.is_reached(4, 100));
        assert!(five.is_reached(5, 100));
        assert!(!five.is_reached(0, 0));
        assert!(five.is_reached(1, 0));
        // A threshold of nothing is reached by the first failure, and by none before it.
        assert!(Share::NONE.is_reached(1, 1_000));
        assert!(!Share::NONE.is_reached(0, 1_000));
    }

    fn plan(stages: Vec<Stage>) -> Plan {
        Plan {
            stages,
            max_unavailable: None,
            spread_by: Vec::new(),
            schedule: Schedule::default(),
            offline: Offline::Skip,
            gates: Gates {
                on_error_rate: None,
                observation_window: Duration::from_secs(600),
                min_sample: 20,
                unhealthy_after: Duration::from_secs(30),
                silent_after: Duration::from_secs(120),
                apply_within: Duration::from_secs(300),
                restarts: 3,
                return_within: Duration::from_secs(600),
                signals: Vec::new(),
                then: Then::RollBack,
            },
        }
    }

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }

    #[test]
    fn who_is_in_no_stage_comes_last() {
        let stages = Stage::with_rest(vec![Stage::of(selector("env=prod"), Weight::ALL)]);
        assert_eq!(stages.len(), 2);
        assert!(stages[1].is_rest && stages[1].selector.is_empty());
        assert_eq!(Stage::with_rest(Stage::all_at_once()), Stage::all_at_once());
        let half = Stage::of(
            Selector::default(),
            Weight::Share(Share::new(5_000).unwrap()),
        );
        assert_eq!(Stage::with_rest(vec![half]).len(), 2);
        let hold = Duration::from_secs(60);
        let two = Stage::blue_green(selector("color=blue"), selector("color=green"), hold);
        assert_eq!(two[0].duration, Some(hold));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let good = Stage::of(Selector::default(), Weight::ALL);
        assert_eq!(plan(vec![good.clone()]).check(), Ok(()));
        let step = |weight| Step {
            weight,
            dwell: Duration::ZERO,
        };
        let shrinking = Stage {
            steps: vec![step(Weight::Count(5)), step(Weight::Count(5))],
            ..good.clone()
        };
        let mixed = Stage {
            steps: vec![step(Weight::Count(5)), step(Weight::ALL)],
            ..good.clone()
        };
        let hasty = Stage {
            pace: Some(Pace {
                batch: Weight::Count(1),
                every: Duration::ZERO,
            }),
            ..good.clone()
        };
        let empty = Stage {
            steps: Vec::new(),
            ..good.clone()
        };
        for (stages, path) in [
            (vec![], "stages"),
            (vec![good.clone(); 51], "stages"),
            (vec![good.clone(), shrinking], "stages[1].steps[1].weight"),
            (vec![mixed], "stages[0].steps[1].weight"),
            (vec![hasty], "stages[0].every"),
            (vec![good, empty], "stages[1].steps"),
        ] {
            assert_eq!(plan(stages).check().unwrap_err().path, path);
        }
    }

    proptest! {
        #[test]
        fn a_greater_weight_is_never_fewer_agents(a in 0_u16..=10_000, b in 0_u16..=10_000, agents in 0_u64..100_000) {
            let of = |hundredths: u16| Weight::Share(Share::new(hundredths).unwrap()).of(agents);
            prop_assert!(of(a.min(b)) <= of(a.max(b)));
            prop_assert!(of(a) <= agents);
        }
    }
}
