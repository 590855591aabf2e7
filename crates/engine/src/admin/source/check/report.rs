//! What a check of a source came to, and how it is collected.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use backends::documents::{Place, SourceConfig};
use desired::{Finding, Severity};
use domain::ConfigName;
use store::sources::SourceFinding;

use super::code::{CheckCode, named, of_body};

/// The most findings that are told.
const MOST_FINDINGS: usize = 10_000;

/// What a check of a source came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCheck {
    /// How many documents there are; none where one cannot be read.
    pub documents: usize,
    /// For each set of labels the configs that match it, in the order in which they merge. Empty where a commit would be
    /// refused: nothing is merged then.
    pub agents: Vec<Vec<ConfigName>>,
    /// What was found, by place; of too much the worst.
    pub findings: Vec<CheckFinding>,
    /// How many findings of each severity there are, those included that are not told.
    pub counts: BTreeMap<Severity, usize>,
    /// Whether the server would refuse a commit of these files.
    pub is_refused: bool,
}

/// Something to be said about a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFinding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of finding it is.
    pub code: CheckCode,
    /// Where; without a file it is about the source as a whole.
    pub place: Place,
    /// What is wrong and what to do, in a sentence without its full stop.
    pub message: String,
    /// Whether the server would refuse a commit for it.
    pub refuses: bool,
    /// The sets of labels whose agents would get it, by their place; none: it was found in the document alone.
    pub agents: BTreeSet<usize>,
    /// The builds that it is about, by their place; none: it is so for any Collector.
    pub builds: BTreeSet<usize>,
}

impl SourceCheck {
    /// How many findings of this severity there are.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.counts.get(&severity).copied().unwrap_or_default()
    }

    /// How many findings are not told.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.counts.values().sum::<usize>() - self.findings.len()
    }
}

/// Whom a finding is about: an agent by its place, and a build by its.
pub(super) type Audience = (Option<usize>, Option<usize>);

/// Findings while they are collected: the same of several agents is one.
#[derive(Default)]
pub(super) struct Report {
    findings: BTreeMap<(Place, &'static str, String), CheckFinding>,
    is_refused: bool,
}

impl Report {
    /// Takes what refuses a commit.
    pub(super) fn refuse(&mut self, found: SourceFinding) {
        self.is_refused = true;
        self.add(CheckFinding {
            severity: Severity::Error,
            code: named(&found.code),
            place: Place {
                file: found.file,
                line: found.line,
                column: found.column,
            },
            message: found.problem,
            refuses: true,
            agents: BTreeSet::new(),
            builds: BTreeSet::new(),
        });
    }

    pub(super) const fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Takes what is to be said about what an agent would get.
    pub(super) fn tell(
        &mut self,
        code: CheckCode,
        place: Place,
        message: String,
        agent: Option<usize>,
    ) {
        self.tell_to(code, (place, message), (agent, None));
    }

    /// Takes a finding of the static checks that a document's body is at fault for.
    pub(super) fn tell_of(&mut self, config: &SourceConfig, found: &Finding, audience: Audience) {
        let message = format!("{}: {}", found.message, found.advice);
        let said = (place_of(config, found), message);
        self.tell_to(of_body(found.code), said, audience);
    }

    fn tell_to(
        &mut self,
        code: CheckCode,
        (place, message): (Place, String),
        (agent, build): Audience,
    ) {
        self.add(CheckFinding {
            severity: code.severity,
            code,
            place,
            message,
            refuses: false,
            agents: agent.into_iter().collect(),
            builds: build.into_iter().collect(),
        });
    }

    pub(super) fn add(&mut self, found: CheckFinding) {
        let key = (found.place.clone(), found.code.name, found.message.clone());
        let known = self.findings.entry(key).or_insert_with(|| CheckFinding {
            agents: BTreeSet::new(),
            builds: BTreeSet::new(),
            ..found.clone()
        });
        known.agents.extend(found.agents);
        known.builds.extend(found.builds);
    }

    pub(super) fn finish(self, documents: usize, agents: Vec<Vec<ConfigName>>) -> SourceCheck {
        let mut findings: Vec<CheckFinding> = self.findings.into_values().collect();
        let mut counts = BTreeMap::new();
        for found in &findings {
            *counts.entry(found.severity).or_default() += 1;
        }
        if MOST_FINDINGS < findings.len() {
            findings.sort_by_key(|found| Reverse(found.severity));
            findings.truncate(MOST_FINDINGS);
        }
        findings.sort_by(|a, b| {
            let order = |found: &CheckFinding| Reverse(found.severity);
            (&a.place, order(a), a.code.name).cmp(&(&b.place, order(b), b.code.name))
        });
        SourceCheck {
            documents,
            agents,
            findings,
            counts,
            is_refused: self.is_refused,
        }
    }
}

/// The place of a finding; what is about something that is not there stands at the body's beginning.
pub(super) fn place_of(config: &SourceConfig, found: &Finding) -> Place {
    let (line, column) = (found.source.line.max(1), found.source.column.max(1));
    config.body.place(line.into(), column.into())
}
