//! How a rollout goes on: from where it stands, what its agents count as and the time, to what is done next.
//!
//! [`Progress::advance`] is the whole of it. It is pure: who runs it commits the new progress and the actions together, so a
//! crash in between leaves the step to be taken again, once.

use jiff::Timestamp;

use crate::rollout::member::{Member, Place, is_over};
use crate::rollout::plan::{Against, Gates, Offline, Plan, Share, Stage, Then};

/// Agents of a stage, counted by what they count as. Reports move single agents from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counts {
    by_place: [u64; Place::ALL.len()],
    /// Those that failed, or did within the window.
    newly_failed: u64,
}

/// What an agent is to the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The stage that admitted it.
    pub stage: u16,
    /// What it counts as.
    pub place: Place,
    /// Whether it counts as newly failed.
    pub newly_failed: bool,
}

impl Tally {
    /// What a member is to the counts now.
    #[must_use]
    pub fn of(member: &Member, gates: &Gates, offline: Offline, now: Timestamp) -> Self {
        let place = member.place(gates, offline, now);
        Self {
            stage: member.stage,
            place,
            newly_failed: member.counts_as_failed(place, gates, now),
        }
    }
}

impl Counts {
    /// Adds an agent.
    pub const fn add(&mut self, tally: Tally) {
        self.by_place[tally.place.index()] += 1;
        self.newly_failed += tally.newly_failed as u64;
    }

    /// Takes an agent away that was added so.
    pub const fn remove(&mut self, tally: Tally) {
        let at = tally.place.index();
        self.by_place[at] = self.by_place[at].saturating_sub(1);
        self.newly_failed = self.newly_failed.saturating_sub(tally.newly_failed as u64);
    }

    /// How many are in a place.
    #[must_use]
    pub const fn of(&self, place: Place) -> u64 {
        self.by_place[place.index()]
    }

    /// Those that failed, or did within the observation window.
    #[must_use]
    pub const fn newly_failed(&self) -> u64 {
        self.newly_failed
    }

    /// How many the stage admitted.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.by_place.iter().sum()
    }

    /// Those that were offered the new, whatever became of it.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.admitted() - self.of(Place::Waiting)
    }

    /// Those that are between the old and the new, or failed.
    #[must_use]
    pub fn unavailable(&self) -> u64 {
        let failed = Place::ALL.into_iter().filter(|place| place.is_failed());
        let failed: u64 = failed.map(|place| self.of(place)).sum();
        failed + self.of(Place::Offered) + self.of(Place::Applying)
    }

    /// Those of which it is not known yet what becomes of them.
    #[must_use]
    pub const fn unsettled(&self) -> u64 {
        self.of(Place::Waiting) + self.of(Place::Offered) + self.of(Place::Applying)
    }
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// The stage that is open, or is to open next.
    pub stage: u16,
    /// Whether that stage is open; nobody is admitted before.
    pub opened_at: Option<Timestamp>,
    /// Its step, and since when.
    pub step: u16,
    /// Since when that step is the one.
    pub step_at: Option<Timestamp>,
    /// How many agents of the stage's selector are to have the new: it only grows.
    pub goal: u64,
    /// When an agent was last admitted.
    pub admitted_at: Option<Timestamp>,
    /// The stage whose opening was approved last.
    pub approved: Option<u16>,
    /// The stage of which a person said that it is over.
    pub promoted: Option<u16>,
    /// Gates that a person let it go on over: more must be bad than then.
    pub overruled: Vec<Breach>,
    /// How many steps were taken. Who commits one checks that it is the next.
    pub sequence: u64,
}

/// What a rollout is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It goes on by itself.
    Running,
    /// Nobody is admitted until a person lets it go on.
    Paused {
        /// Since when.
        at: Timestamp,
        /// Why.
        why: Why,
    },
    /// Every agent it touched goes back.
    RollingBack {
        /// Since when.
        at: Timestamp,
        /// Why.
        why: Why,
    },
    /// It ended.
    Ended {
        /// When.
        at: Timestamp,
        /// How.
        end: End,
    },
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// Its target is in force for all.
    Completed,
    /// Every agent it touched went back, or was given up.
    RolledBack {
        /// Why.
        why: Why,
        /// How many agents did not come back.
        lost: u64,
    },
    /// A person ended it; agents stay as they are.
    Aborted {
        /// Why.
        why: Why,
    },
}

/// Why something happened to a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Why {
    /// A person wanted it.
    Asked {
        /// In that person's words.
        reason: String,
    },
    /// A gate was reached.
    Gate(Breach),
}

/// A gate that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Breach {
    /// In which stage.
    pub stage: u16,
    /// `failed`, or the name of a signal.
    pub gate: String,
    /// How many agents are bad.
    pub bad: u64,
    /// Of how many.
    pub of: u64,
    /// The threshold.
    pub limit: Share,
}

/// What the step depends on beside the plan and the progress.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The time.
    pub now: Timestamp,
    /// Agents by stage.
    pub counts: &'a [Counts],
    /// How many agents the open stage is for: those that its selector matches and that the rollout concerns. Without a
    /// connection, where those are skipped, they are not among them.
    pub eligible: u64,
    /// How many of them are admitted already, by whichever stage.
    pub members: u64,
    /// Whether the time is one at which agents may be let in.
    pub is_open_hour: bool,
    /// Of the agents that are not touched: how many went bad since the stage opened, and how many they are.
    pub control: Sample,
    /// Signals that were read.
    pub readings: &'a [Reading],
}

/// So many bad ones of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Bad ones.
    pub bad: u64,
    /// All.
    pub of: u64,
}

/// A signal of the agents of a stage, per agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Its name.
    pub signal: String,
    /// Of which stage.
    pub stage: u16,
    /// How many agents told.
    pub agents: u64,
    /// Now.
    pub value: f64,
    /// Of the same agents before.
    pub before: f64,
    /// Of those that are not touched.
    pub control: f64,
}

/// What is to be done, in this order, together with storing the progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// So many further agents of the open stage are given the new.
    Admit {
        /// Which stage admits them.
        stage: u16,
        /// How many.
        agents: u64,
    },
    /// Every agent that has the new goes back.
    SendBack,
    /// Every agent that has the new keeps it, as its own exception.
    Keep,
    /// The target is in force for everybody from now on.
    PutInForce,
}

/// Why a rollout does not go on right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waits {
    /// For a person who approves the stage.
    Approval,
    /// For an hour at which agents may be let in.
    Hour,
    /// For agents that have not said yet how it went.
    Agents,
    /// For the next batch.
    Pace,
    /// For agents that are unavailable.
    Unavailable,
    /// For the time that a step or stage lasts.
    Time,
    /// For a person who lets it go on.
    Person,
}

/// What a step comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// Where the rollout stands then.
    pub progress: Progress,
    /// What is done.
    pub actions: Vec<Action>,
    /// Why no more is.
    pub waits: Option<Waits>,
}

impl Progress {
    /// A rollout that was just made: its first stage is to open.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Phase::Running,
            stage: 0,
            opened_at: None,
            step: 0,
            step_at: None,
            goal: 0,
            admitted_at: None,
            approved: None,
            promoted: None,
            overruled: Vec::new(),
            sequence: 0,
        }
    }

    /// The same for who takes it over: what another one who led before still wants to store is refused from then on.
    #[must_use]
    pub fn claimed(&self) -> Self {
        Self {
            sequence: self.sequence + 1,
            ..self.clone()
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// The next step, if there is something to do or to note.
    #[must_use]
    pub fn advance(&self, plan: &Plan, situation: &Situation<'_>) -> Advance {
        let mut next = self.clone();
        let mut actions = Vec::new();
        let waits = next.go_on(plan, situation, &mut actions);
        if next != *self {
            next.sequence += 1;
        }
        Advance {
            progress: next,
            actions,
            waits,
        }
    }

    fn go_on(
        &mut self,
        plan: &Plan,
        is: &Situation<'_>,
        actions: &mut Vec<Action>,
    ) -> Option<Waits> {
        match &self.phase {
            Phase::Ended { .. } => return None,
            Phase::RollingBack { why, .. } => {
                let on_the_way: u64 = is.counts.iter().map(|c| c.of(Place::Returning)).sum();
                if 0 < on_the_way {
                    return Some(Waits::Agents);
                }
                let why = why.clone();
                let lost = is.counts.iter().map(|counts| counts.of(Place::Lost)).sum();
                self.end(End::RolledBack { why, lost }, is.now);
                return None;
            }
            Phase::Running | Phase::Paused { .. } => {}
        }
        if let Some(breach) = self.breach(plan, is) {
            return self.stop(plan, breach, is.now, actions);
        }
        if matches!(self.phase, Phase::Paused { .. }) {
            return Some(Waits::Person);
        }
        self.open_and_admit(plan, is, actions)
    }

    fn stop(
        &mut self,
        plan: &Plan,
        breach: Breach,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Option<Waits> {
        match (plan.gates.then, &self.phase) {
            (Then::RollBack, _) => {
                self.roll_back(Why::Gate(breach), now, actions);
                Some(Waits::Agents)
            }
            (Then::Pause, Phase::Paused { .. }) => Some(Waits::Person),
            (Then::Pause, _) => {
                let why = Why::Gate(breach);
                self.phase = Phase::Paused { at: now, why };
                Some(Waits::Person)
            }
        }
    }

    fn open_and_admit(
        &mut self,
        plan: &Plan,
        is: &Situation<'_>,
        actions: &mut Vec<Action>,
    ) -> Option<Waits> {
        // Stages are never fewer than the one that is open.
        let stage = &plan.stages[usize::from(self.stage)];
        let Some(opened_at) = self.opened_at else {
            if stage.needs_approval && self.approved != Some(self.stage) {
                return Some(Waits::Approval);
            }
            if !is.is_open_hour {
                return Some(Waits::Hour);
            }
            self.opened_at = Some(is.now);
            self.step_at = Some(is.now);
            return self.open_and_admit(plan, is, actions);
        };
        let step = stage.steps[usize::from(self.step)];
        self.goal = self.goal.max(step.weight.of(is.eligible));
        let missing = self.goal.min(is.eligible).saturating_sub(is.members);
        if 0 < missing {
            return self.admit(plan, stage, missing, is, actions);
        }
        let is_promoted = self.promoted == Some(self.stage);
        if !is_promoted && self.unsettled(plan, is) {
            return Some(Waits::Agents);
        }
        let step_ends = self.admitted_at.max(self.step_at).unwrap_or(opened_at);
        if usize::from(self.step) + 1 < stage.steps.len() {
            if !is_promoted && !is_over(step_ends, step.dwell, is.now) {
                return Some(Waits::Time);
            }
            self.step += 1;
            self.step_at = Some(is.now);
            return self.open_and_admit(plan, is, actions);
        }
        if !is_promoted && !self.is_stage_over(plan, stage, is.now, opened_at) {
            return Some(Waits::Time);
        }
        if usize::from(self.stage) + 1 < plan.stages.len() {
            self.stage += 1;
            (self.opened_at, self.step, self.step_at, self.goal) = (None, 0, None, 0);
            // How many agents the next stage is for is not known here: it opens with the next step.
            return Some(Waits::Time);
        }
        actions.push(Action::PutInForce);
        self.end(End::Completed, is.now);
        None
    }

    fn admit(
        &mut self,
        plan: &Plan,
        stage: &Stage,
        missing: u64,
        is: &Situation<'_>,
        actions: &mut Vec<Action>,
    ) -> Option<Waits> {
        if !is.is_open_hour {
            return Some(Waits::Hour);
        }
        let mut agents = missing;
        if let Some(pace) = stage.pace {
            if self
                .admitted_at
                .is_some_and(|at| !is_over(at, pace.every, is.now))
            {
                return Some(Waits::Pace);
            }
            agents = agents.min(pace.batch.of(is.eligible).max(1));
        }
        if let Some(most) = plan.max_unavailable {
            let unavailable: u64 = is.counts.iter().map(Counts::unavailable).sum();
            agents = agents.min(most.of(is.eligible).max(1).saturating_sub(unavailable));
        }
        if agents == 0 {
            return Some(Waits::Unavailable);
        }
        let stage = self.stage;
        self.admitted_at = Some(is.now);
        actions.push(Action::Admit { stage, agents });
        Some(Waits::Agents)
    }

    /// Whether agents are waited for.
    fn unsettled(&self, plan: &Plan, is: &Situation<'_>) -> bool {
        let waits = |counts: &Counts| match plan.offline {
            Offline::Skip => counts.unsettled() - counts.of(Place::Waiting),
            Offline::Wait | Offline::FailAfter(_) => counts.unsettled(),
        };
        let so_far = is.counts.iter().take(usize::from(self.stage) + 1);
        so_far.map(waits).any(|agents| 0 < agents)
    }

    fn is_stage_over(
        &self,
        plan: &Plan,
        stage: &Stage,
        now: Timestamp,
        opened_at: Timestamp,
    ) -> bool {
        let is_last = usize::from(self.stage) + 1 == plan.stages.len();
        let window = plan.gates.observation_window;
        let last_offer = match self.admitted_at {
            // Where nobody was left for it, what there was is watched.
            Some(at) if stage.is_rest => at,
            Some(at) => at.max(opened_at),
            None => opened_at,
        };
        let is_watched = is_over(last_offer, window, now);
        match stage.duration {
            Some(duration) => is_over(opened_at, duration, now) && (is_watched || !is_last),
            None => is_watched,
        }
    }

    fn roll_back(&mut self, why: Why, at: Timestamp, actions: &mut Vec<Action>) {
        self.phase = Phase::RollingBack { at, why };
        actions.push(Action::SendBack);
    }

    fn end(&mut self, end: End, at: Timestamp) {
        self.phase = Phase::Ended { at, end };
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// The first gate that is reached in a stage that was opened.
    fn breach(&self, plan: &Plan, is: &Situation<'_>) -> Option<Breach> {
        let failed = (0..=self.stage)
            .zip(is.counts)
            .filter_map(|(stage, counts)| self.failures(plan, stage, counts, is));
        let worse = is
            .readings
            .iter()
            .filter_map(|reading| worse(plan, reading));
        let is_new = |breach: &Breach| {
            let over = |known: &&Breach| known.stage == breach.stage && known.gate == breach.gate;
            let overruled = self.overruled.iter().find(over);
            overruled.is_none_or(|overruled| overruled.bad < breach.bad)
        };
        failed.chain(worse).find(is_new)
    }

    /// Whether too many of a stage's agents newly failed, more than of those that were not touched.
    fn failures(
        &self,
        plan: &Plan,
        stage: u16,
        counts: &Counts,
        is: &Situation<'_>,
    ) -> Option<Breach> {
        let limit = plan.gates.on_error_rate?;
        let (bad, of) = (counts.newly_failed(), counts.offered());
        let admitted = counts.admitted();
        // Of the open stage those count that are to come.
        let most = if stage == self.stage {
            let by_others = is.members.saturating_sub(admitted);
            self.goal.saturating_sub(by_others).max(admitted)
        } else {
            admitted
        };
        // As many as would have gone bad anyway: rounded down, which is against the new.
        let anyway = match is.control.of {
            0 => 0,
            untouched => {
                let share = u128::from(is.control.bad) * u128::from(of) / u128::from(untouched);
                u64::try_from(share).unwrap_or(u64::MAX)
            }
        };
        let bad = bad.saturating_sub(anyway);
        let is_reached = plan.gates.min_sample.min(most) <= of && limit.is_reached(bad, of);
        is_reached.then(|| Breach {
            stage,
            gate: FAILED.to_owned(),
            bad,
            of,
            limit,
        })
    }
}

/// The name of the gate of failures.
const FAILED: &str = "failed";

/// Whether a signal rose by more than it may.
fn worse(plan: &Plan, reading: &Reading) -> Option<Breach> {
    let gate = plan.gates.signals.iter();
    let gate = gate
        .into_iter()
        .find(|gate| gate.signal == reading.signal)?;
    if reading.agents < gate.min_sample {
        return None;
    }
    let usual = match gate.against {
        Against::Before => reading.before,
        Against::Control => reading.control,
    };
    let may = usual * (1.0 + f64::from(gate.may_rise.hundredths()) / 10_000.0);
    // What is no number is no reason to go on.
    let is_fine = reading.value <= may;
    (!is_fine).then(|| Breach {
        stage: reading.stage,
        gate: gate.signal.clone(),
        bad: reading.agents,
        of: reading.agents,
        limit: gate.may_rise,
    })
}
