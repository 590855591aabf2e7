//! A rollout under way, in memory: its progress, its agents and their counts.
//!
//! Made anew from what is stored wherever another process takes over; everything in it follows from the plan, the progress
//! and the members.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ids::{AgentId, ContentHash};
use crate::rollout::member::{Member, Standing};
use crate::rollout::plan::Plan;
use crate::rollout::progress::{Advance, Counts, Progress, Reading, Sample, Situation, Tally};

/// A rollout and its agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    plan: Plan,
    progress: Progress,
    members: BTreeMap<AgentId, Counted>,
    counts: Vec<Counts>,
    /// When what a member counts as may change by itself.
    due: BTreeSet<(Timestamp, AgentId)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    member: Member,
    tally: Tally,
    due: Option<Timestamp>,
}

/// What of the fleet a step depends on.
#[derive(Debug, Clone, Copy)]
pub struct Fleet<'a> {
    /// See [`Situation::eligible`].
    pub eligible: u64,
    /// See [`Situation::members`].
    pub members: u64,
    /// See [`Situation::is_open_hour`].
    pub is_open_hour: bool,
    /// See [`Situation::control`].
    pub control: Sample,
    /// See [`Situation::readings`].
    pub readings: &'a [Reading],
}

impl Run {
    /// A rollout as it is stored.
    #[must_use]
    pub fn new(
        plan: Plan,
        progress: Progress,
        members: impl IntoIterator<Item = (AgentId, Member)>,
        now: Timestamp,
    ) -> Self {
        let mut run = Self {
            counts: vec![Counts::default(); plan.stages.len()],
            plan,
            progress,
            members: BTreeMap::new(),
            due: BTreeSet::new(),
        };
        for (agent, member) in members {
            run.put(agent, member, now);
        }
        run
    }

    /// What it does, as it was written.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it stands.
    #[must_use]
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Its agents, by stage.
    #[must_use]
    pub fn counts(&self) -> &[Counts] {
        &self.counts
    }

    /// The agents it admitted, with what they count as.
    pub fn members(&self) -> impl Iterator<Item = (AgentId, &Member, Tally)> {
        let members = self.members.iter();
        members.map(|(agent, counted)| (*agent, &counted.member, counted.tally))
    }

    /// An agent that it admitted.
    #[must_use]
    pub fn member(&self, agent: AgentId) -> Option<&Member> {
        self.members.get(&agent).map(|counted| &counted.member)
    }

    /// The next step.
    #[must_use]
    pub fn advance(&self, fleet: &Fleet<'_>, now: Timestamp) -> Advance {
        let situation = Situation {
            now,
            counts: &self.counts,
            eligible: fleet.eligible,
            members: fleet.members,
            is_open_hour: fleet.is_open_hour,
            control: fleet.control,
            readings: fleet.readings,
        };
        self.progress.advance(&self.plan, &situation)
    }

    /// Takes in a step that was stored.
    pub fn stands(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Admits an agent; one that was admitted before stays as it is.
    pub fn admit(
        &mut self,
        agent: AgentId,
        stage: u16,
        before: &Standing,
        target: Option<ContentHash>,
        now: Timestamp,
    ) {
        if !self.members.contains_key(&agent) {
            self.put(agent, Member::admitted(stage, before, target, now), now);
        }
    }

    /// Sends every agent back.
    pub fn send_back(&mut self, now: Timestamp) {
        let agents: Vec<AgentId> = self.members.keys().copied().collect();
        for agent in agents {
            self.edit(agent, now, |member| member.send_back(now));
        }
    }

    /// Gives an agent another target, since its labels or what else is released changed.
    pub fn aim(&mut self, agent: AgentId, target: Option<ContentHash>, now: Timestamp) {
        self.edit(agent, now, |member| member.aim(target, now));
    }

    /// Takes in where an agent stands. Says whether anything of it is to be stored.
    pub fn observe(&mut self, agent: AgentId, standing: &Standing, now: Timestamp) -> bool {
        let gates = self.plan.gates.clone();
        self.edit(agent, now, |member| member.observe(standing, &gates, now))
    }

    /// Lets go of an agent that is no more.
    pub fn forget(&mut self, agent: AgentId) {
        if let Some(counted) = self.members.remove(&agent) {
            self.uncount(agent, &counted);
        }
    }

    /// Takes in that time passed.
    pub fn pass(&mut self, now: Timestamp) {
        while let Some((at, agent)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, agent));
            self.edit(agent, now, |_| ());
        }
    }

    /// When something changes by itself next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Changes a member, and its place in the counts with it. Says whether it changed.
    fn edit(&mut self, agent: AgentId, now: Timestamp, change: impl FnOnce(&mut Member)) -> bool {
        let Some(counted) = self.members.remove(&agent) else {
            return false;
        };
        self.uncount(agent, &counted);
        let mut member = counted.member.clone();
        change(&mut member);
        let is_changed = member != counted.member;
        self.put(agent, member, now);
        is_changed
    }

    fn put(&mut self, agent: AgentId, member: Member, now: Timestamp) {
        let (gates, offline) = (&self.plan.gates, self.plan.offline);
        let tally = Tally::of(&member, gates, offline, now);
        let due = member.due(gates, offline, now);
        if let Some(counts) = self.counts.get_mut(usize::from(tally.stage)) {
            counts.add(tally);
        }
        if let Some(due) = due {
            self.due.insert((due, agent));
        }
        self.members.insert(agent, Counted { member, tally, due });
    }

    fn uncount(&mut self, agent: AgentId, counted: &Counted) {
        if let Some(counts) = self.counts.get_mut(usize::from(counted.tally.stage)) {
            counts.remove(counted.tally);
        }
        if let Some(due) = counted.due {
            self.due.remove(&(due, agent));
        }
    }
}
