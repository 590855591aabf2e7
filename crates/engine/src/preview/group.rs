//! Agents to which a change would do the same, and what a release makes of them.

use std::sync::Arc;

use desired::{Finding, Layer, Released};
use domain::AgentId;
use store::refusals::RefusalRecord;

use crate::content::DesiredContent;
use crate::dry_run::{Askable, DryRun, Verdict};

/// Agents to which a change would do the same.
#[derive(Debug, Clone)]
pub struct Group {
    /// What it would do.
    pub fate: Fate,
    /// How many agents they are.
    pub agents: u64,
    /// How many of them have no connection.
    pub disconnected: u64,
    /// The first few of them.
    pub examples: Vec<AgentId>,
    /// What they should run before the change.
    pub before: Option<Arc<DesiredContent>>,
    /// The revisions that they would be given, in the order in which these merge.
    pub layers: Vec<Layer>,
    /// What is to be said about what they would be given.
    pub findings: Arc<[Finding]>,
    /// The components of what they would be given that their build lacks: `receiver kafka`. Each is also a finding.
    pub lacking: Vec<String>,
    /// For what a Collector of their build, or their own, is known to refuse it.
    pub refusal: Option<Arc<RefusalRecord>>,
    /// The release that they name without reporting what they are built of, where it lacks components of it.
    pub presumed: Option<Presumed>,
    /// Those that can be asked for a dry run.
    pub askable: Askable,
    /// What agents said that were asked.
    pub dry_runs: Vec<DryRun>,
    /// Whether it is the change that gives them these revisions.
    pub is_moved: bool,
    /// Whether one of these revisions was forced: errors in it do not matter.
    pub is_forced: bool,
    /// Whether all of them have one build that is known.
    pub is_of_build: bool,
}

/// A released build that agents are presumed to be, and what it lacks. It is a guess, for which nothing is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presumed {
    /// The release.
    pub release: Released,
    /// The components that it lacks, at least one: `receiver kafka`.
    pub lacking: Vec<String>,
}

/// Which agents stand in one group to which a change would do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apart {
    /// All.
    Contents,
    /// Those of one build.
    Builds,
}

/// What a change would do to an agent.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Nothing: what it should run stays byte for byte what it is.
    Unchanged,
    /// It would be given this, and reports to run just that although nobody gave it to it.
    Running(Arc<DesiredContent>),
    /// It would be given this.
    Changed(Arc<DesiredContent>),
    /// No config matches it any more: it is given nothing and runs on as it is.
    Unassigned,
    /// A template of what it would be given fails, and why.
    Unrenderable(String),
    /// What it would be given cannot be made, and why.
    Unmergeable(String),
}

impl Group {
    /// Whether a release should not be made for what these agents would get: it is refused, or one of them refuses it.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.fails_checks() || self.is_refused_by_agent()
    }

    /// Whether the Collector of one of them refuses what they would get.
    #[must_use]
    pub fn is_refused_by_agent(&self) -> bool {
        let is_known = self.is_moved && self.is_known_refused();
        !self.is_forced && (is_known || 0 < self.refused_now())
    }

    /// Whether a refusal from before stands: nobody of these accepts it now.
    #[must_use]
    pub fn is_known_refused(&self) -> bool {
        let accepts = |dry_run: &DryRun| dry_run.verdict == Verdict::Accepted;
        let is_forced = self.is_forced;
        self.refusal.is_some() && !is_forced && !self.dry_runs.iter().any(accepts)
    }

    /// How many of these a release leaves out that excludes what is incompatible, as far as the agents were asked.
    #[must_use]
    pub fn excluded(&self) -> u64 {
        let accepts = |dry_run: &DryRun| dry_run.verdict == Verdict::Accepted;
        let speaks_for_all = self.is_of_build && !self.dry_runs.iter().any(accepts);
        match self.is_blocked() {
            false => 0,
            true if self.fails_checks() || self.is_known_refused() || speaks_for_all => self.agents,
            true => self.refused_now(),
        }
    }

    /// Whether agents of these can be asked for a dry run: they would be given something that their build has.
    pub(crate) const fn is_asked(&self) -> bool {
        let is_missing = !self.lacking.is_empty() && !self.is_forced;
        (self.is_moved || self.refusal.is_some()) && !is_missing
    }

    fn refused_now(&self) -> u64 {
        let is_refusal = |dry_run: &&DryRun| matches!(dry_run.verdict, Verdict::Refused(_));
        self.dry_runs.iter().filter(is_refusal).count() as u64
    }

    /// Whether a release is refused for what these agents would get.
    #[must_use]
    pub fn fails_checks(&self) -> bool {
        match self.fate {
            Fate::Unrenderable(_) | Fate::Unmergeable(_) => self.is_moved,
            Fate::Changed(_) | Fate::Running(_) => {
                let is_heeded = self.is_moved && !self.is_forced;
                is_heeded && self.findings.iter().any(Finding::is_error)
            }
            Fate::Unchanged | Fate::Unassigned => false,
        }
    }

    /// Whether these agents keep what they have, since their build lacks components of what is released for them.
    #[must_use]
    pub fn lacks_components(&self) -> bool {
        matches!(self.fate, Fate::Changed(_)) && !self.lacking.is_empty() && !self.is_forced
    }

    /// Whether these agents keep what they have: for their build, or since their Collector is known to refuse it.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        let is_refused = matches!(self.fate, Fate::Changed(_)) && self.is_known_refused();
        self.lacks_components() || is_refused
    }

    /// What the release lacks that these agents name, where they are given what needs it all the same.
    #[must_use]
    pub fn doubt(&self) -> Option<&Presumed> {
        let is_given = matches!(self.fate, Fate::Changed(_)) && !self.is_left_out();
        self.presumed.as_ref().filter(|_| is_given)
    }
}
