//! The dry run that a release requires: what it would give is asked about before, and what agents say counts.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::{AgentId, ContentHash};

use crate::admin::access::Caller;
use crate::change::{Alike, Change};
use crate::dry_run::{Askable, Candidates, DryRun, DryRunCounts, DryRunOrder, Inquiry, Verdict};
use crate::engine::Engine;

/// How often agents are asked about contents that they were not asked about before: while they are asked, something else
/// may be released.
const MOST_ROUNDS: usize = 3;
/// How many refusals are told; the others are counted.
const MOST_REFUSALS: usize = 20;

/// What agents said so far of what a release would give them.
#[derive(Debug)]
pub(in crate::admin) struct Answers {
    order: DryRunOrder,
    /// By content: how many agents would be given it, and what those said that were asked.
    told: HashMap<ContentHash, (u64, Vec<DryRun>)>,
    counts: DryRunCounts,
    /// What they are to be asked about still.
    unasked: Vec<Inquiry>,
    rounds: usize,
}

/// The Collector of an agent refuses what the agent would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The agent that was asked.
    pub agent: AgentId,
    /// What its Collector says.
    pub reason: String,
    /// How long that took.
    pub took: Duration,
    /// How many agents would get the same.
    pub agents: u64,
}

/// Collectors of agents refuse what these would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals {
    /// The first few, at least one, the most widespread contents first.
    pub refusals: Vec<Refusal>,
    /// How many further agents refused.
    pub more: usize,
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        let s = if count == 1 { "" } else { "s" };
        write!(
            f,
            "{count} agent{s} refused in a dry run what would be given"
        )?;
        if let Some(first) = self.refusals.first() {
            let Refusal {
                agent,
                reason,
                agents,
                ..
            } = first;
            let s = if *agents == 1 { "" } else { "s" };
            write!(f, "; agent {agent}, of {agents} agent{s}: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusals {}

impl Refusals {
    /// How many agents refused.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.refusals.len() + self.more
    }
}

impl Answers {
    /// Nobody was asked yet.
    pub fn none(order: DryRunOrder) -> Self {
        Self {
            order,
            told: HashMap::new(),
            counts: DryRunCounts::default(),
            unasked: Vec::new(),
            rounds: 0,
        }
    }

    pub const fn counts(&self) -> DryRunCounts {
        self.counts
    }

    /// Whether agents are to be asked about some of these first.
    pub(super) fn want(&mut self, inquiries: &[Inquiry]) -> bool {
        let is_unasked = |inquiry: &&Inquiry| !self.told.contains_key(&inquiry.content.hash);
        self.unasked = inquiries.iter().filter(is_unasked).cloned().collect();
        !self.unasked.is_empty()
    }

    /// Who refused of those that were asked about what is given now.
    pub(super) fn refusals(&self, inquiries: &[Inquiry]) -> Option<Refusals> {
        let mut refusals: Vec<Refusal> = Vec::new();
        for (agents, dry_runs) in inquiries
            .iter()
            .filter_map(|inquiry| self.told.get(&inquiry.content.hash))
        {
            refusals.extend(
                dry_runs
                    .iter()
                    .filter_map(|dry_run| match &dry_run.verdict {
                        Verdict::Refused(reason) => Some(Refusal {
                            agent: dry_run.agent,
                            reason: reason.clone(),
                            took: dry_run.took,
                            agents: *agents,
                        }),
                        _ => None,
                    }),
            );
        }
        let more = refusals.len().saturating_sub(MOST_REFUSALS);
        refusals.truncate(MOST_REFUSALS);
        (!refusals.is_empty()).then_some(Refusals { refusals, more })
    }
}

impl Engine {
    /// Asks agents about what they are to be asked about. Says whether it did: it does a few times.
    pub(super) async fn ask_all(&self, caller: &Caller, answers: &mut Answers) -> bool {
        if answers.rounds == MOST_ROUNDS {
            return false;
        }
        answers.rounds += 1;
        let inquiries = std::mem::take(&mut answers.unasked);
        let asking = self.inquire(&caller.namespace, &inquiries, answers.order);
        let (told, counts) = asking.await;
        for (inquiry, dry_runs) in inquiries.iter().zip(told) {
            let told = (inquiry.agents, dry_runs);
            answers.told.insert(inquiry.content.hash, told);
        }
        answers.counts += counts;
        true
    }
}

impl Change {
    /// What agents would be given that they should not run already, the most widespread first; each content once.
    /// Contents are made.
    pub(super) fn inquiries(&self, outcomes: &[&Alike]) -> Vec<Inquiry> {
        let mut by_hash: BTreeMap<ContentHash, (Inquiry, Candidates)> = BTreeMap::new();
        for alike in outcomes.iter().filter(|alike| self.changes(alike)) {
            let Some(content) = self.made_for(alike) else {
                continue;
            };
            let (inquiry, candidates) = by_hash.entry(content.hash).or_insert_with(|| {
                let inquiry = Inquiry {
                    content: Arc::clone(content),
                    agents: 0,
                    offline: 0,
                    askable: Askable::default(),
                    example: alike.examples.first().map(|agent| agent.id),
                };
                (inquiry, Candidates::default())
            });
            inquiry.agents += alike.agents;
            inquiry.offline += alike.disconnected;
            candidates.join(alike.candidates.clone());
        }
        let with_askable = |(inquiry, candidates): (Inquiry, Candidates)| Inquiry {
            askable: candidates.askable(),
            ..inquiry
        };
        let mut inquiries: Vec<Inquiry> = by_hash.into_values().map(with_askable).collect();
        inquiries.sort_by_key(|inquiry| std::cmp::Reverse(inquiry.agents));
        inquiries
    }
}
