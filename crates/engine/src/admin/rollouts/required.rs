//! The dry run that a release requires: what it would give is asked about before, and what agents say counts.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::{AgentId, ContentHash};
use jiff::Timestamp;
use store::refusals::RefusalRecord;

use super::{Move, OnErrors};
use crate::admin::access::Caller;
use crate::builds::{KnownBuild, id_of};
use crate::change::{Alike, Change};
use crate::dry_run::{
    Askable, Candidates, DryRun, DryRunCounts, DryRunOrder, Inquiry, MOST_ASKED_OF_A_GROUP, Verdict,
};
use crate::engine::Engine;
use crate::refused::Who;

/// How often agents are asked about contents that they were not asked about before: while they are asked, something else
/// may be released.
const MOST_ROUNDS: usize = 3;
/// How many refusals are told; the others are counted.
const MOST_REFUSALS: usize = 20;

/// What agents said so far of what a release would give them.
#[derive(Debug)]
pub(in crate::admin) struct Answers {
    order: DryRunOrder,
    told: HashMap<About, Told>,
    counts: DryRunCounts,
    /// What they are to be asked about still.
    unasked: Vec<Topic>,
    rounds: usize,
}

/// What agents said that were asked about one thing.
#[derive(Debug)]
struct Told {
    /// How many agents would be given it.
    agents: u64,
    /// What they are built of, where they were asked for their build, or for themselves.
    build: Option<Arc<KnownBuild>>,
    dry_runs: Vec<DryRun>,
    /// As many were asked as can be.
    is_settled: bool,
}

/// A content, and agents that would be given it and are asked about it apart from others.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    about: About,
    build: Option<Arc<KnownBuild>>,
    /// Whether the release gives it to some of them, who did not refuse it before.
    is_given: bool,
    inquiry: Inquiry,
}

/// What tells topics apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct About {
    hash: ContentHash,
    speaks_for: SpeaksFor,
}

/// For whom an agent speaks that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum SpeaksFor {
    /// All that would be given the same.
    All,
    /// Those of them that have its build: by its number, 0 if that is not known.
    Build(u64),
    /// Itself.
    Itself(AgentId),
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
    /// The first few; nothing where there are none.
    fn of(refusals: impl Iterator<Item = Refusal>) -> Option<Self> {
        let mut refusals: Vec<Refusal> = refusals.collect();
        let more = refusals.len().saturating_sub(MOST_REFUSALS);
        refusals.truncate(MOST_REFUSALS);
        (!refusals.is_empty()).then_some(Self { refusals, more })
    }

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
    pub(super) fn want(&mut self, topics: &[Topic], on_errors: OnErrors) -> bool {
        let is_unasked = |topic: &&Topic| !self.told.contains_key(&topic.about);
        self.unasked = topics.iter().filter(is_unasked).cloned().collect();
        if self.unasked.is_empty() && on_errors == OnErrors::Exclude {
            self.unasked = topics
                .iter()
                .filter_map(|topic| self.second_opinion(topic))
                .collect();
        }
        !self.unasked.is_empty()
    }

    /// Further agents to ask, where those of a build that were asked refuse: it may be for their machine that they do.
    fn second_opinion(&self, topic: &Topic) -> Option<Topic> {
        let told = self.told.get(&topic.about)?;
        let (SpeaksFor::Build(_), false) = (topic.about.speaks_for, told.is_settled) else {
            return None;
        };
        if told.accepted().next().is_some() || told.refused().next().is_none() {
            return None;
        }
        let is_new = |agent: &AgentId| told.dry_runs.iter().all(|dry_run| dry_run.agent != *agent);
        let mut first = topic.inquiry.askable.first.clone();
        first.retain(is_new);
        first.truncate(MOST_ASKED_OF_A_GROUP.saturating_sub(told.dry_runs.len()));
        let agents = first.len() as u64;
        let inquiry = Inquiry {
            // Who cannot be asked was counted before.
            agents,
            offline: 0,
            askable: Askable { first, agents },
            example: None,
            ..topic.inquiry.clone()
        };
        (0 < agents).then(|| Topic {
            inquiry,
            ..topic.clone()
        })
    }

    /// Who refused of those that were asked about what is given now. Who is left as it is does not count: of such agents
    /// these are kept, with the contents that they refused.
    pub(super) fn refusals(
        &self,
        topics: &[Topic],
        kept: &HashSet<(ContentHash, AgentId)>,
    ) -> Option<Refusals> {
        let told = topics
            .iter()
            .filter(|topic| topic.is_given)
            .filter_map(|topic| Some((topic.about.hash, self.told.get(&topic.about)?)));
        let refusals = told.flat_map(|(hash, told)| {
            let is_given = move |refusal: &Refusal| !kept.contains(&(hash, refusal.agent));
            told.refusals().filter(is_given)
        });
        Refusals::of(refusals)
    }

    /// Who refused of all that were asked.
    pub(super) fn all_refusals(&self) -> Option<Refusals> {
        Refusals::of(self.told.values().flat_map(Told::refusals))
    }

    /// Who refused of agents that do not say what they are built of, where none that was asked accepts and not all were asked
    /// or can be: of the others nobody knows.
    pub(super) fn unheard(&self, topics: &[Topic]) -> Option<Refusals> {
        let unheard = topics.iter().filter_map(|topic| {
            let told = self.told.get(&topic.about)?;
            let is_refused = told.accepted().next().is_none() && told.refused().next().is_some();
            let asked = told.dry_runs.len() as u64;
            let is_heard = topic.inquiry.agents <= asked;
            let is_of_none = topic.about.speaks_for == SpeaksFor::Build(0);
            (is_of_none && is_refused && !is_heard).then_some(told)
        });
        Refusals::of(unheard.flat_map(Told::refusals))
    }

    fn note(&mut self, topic: Topic, dry_runs: Vec<DryRun>) {
        let about = topic.about;
        match self.told.entry(about) {
            Entry::Vacant(place) => {
                place.insert(Told {
                    agents: topic.inquiry.agents,
                    build: topic.build,
                    dry_runs,
                    is_settled: false,
                });
            }
            Entry::Occupied(mut place) => {
                let told = place.get_mut();
                told.dry_runs.extend(dry_runs);
                told.is_settled = true;
            }
        }
    }
}

impl Told {
    fn digest(&self) -> Option<ContentHash> {
        self.build.as_ref().map(|build| build.digest)
    }

    fn accepted(&self) -> impl Iterator<Item = AgentId> {
        let accepted = |dry_run: &&DryRun| dry_run.verdict == Verdict::Accepted;
        self.dry_runs
            .iter()
            .filter(accepted)
            .map(|dry_run| dry_run.agent)
    }

    fn refused(&self) -> impl Iterator<Item = (&DryRun, &str)> {
        self.dry_runs
            .iter()
            .filter_map(|dry_run| match &dry_run.verdict {
                Verdict::Refused(reason) => Some((dry_run, reason.as_str())),
                _ => None,
            })
    }

    fn refusals(&self) -> impl Iterator<Item = Refusal> {
        self.refused().map(|(dry_run, reason)| Refusal {
            agent: dry_run.agent,
            reason: reason.to_owned(),
            took: dry_run.took,
            agents: self.agents,
        })
    }
}

impl Engine {
    /// Asks agents about what they are to be asked about. Says whether it did: it does a few times.
    pub(super) async fn ask_all(&self, caller: &Caller, answers: &mut Answers) -> bool {
        let topics = std::mem::take(&mut answers.unasked);
        let is_new = |topic: &Topic| !answers.told.contains_key(&topic.about);
        // A second opinion is asked for once, and needs no round.
        if topics.iter().any(is_new) {
            if answers.rounds == MOST_ROUNDS {
                return false;
            }
            answers.rounds += 1;
        }
        let order = DryRunOrder {
            agents_per_group: match topics.iter().any(is_new) {
                true => answers.order.agents_per_group,
                false => MOST_ASKED_OF_A_GROUP,
            },
            ..answers.order
        };
        let inquiries: Vec<Inquiry> = topics.iter().map(|topic| topic.inquiry.clone()).collect();
        let (told, counts) = self.inquire(&caller.namespace, &inquiries, order).await;
        for (topic, dry_runs) in topics.into_iter().zip(told) {
            answers.note(topic, dry_runs);
        }
        answers.counts += counts;
        true
    }
}

impl Change {
    /// What agents would be given that they should not run already, the most widespread first; each content once, but for
    /// agents that refused it before, and where the release leaves out agents that refuse for each build. It is prepared.
    pub(super) fn topics(
        &self,
        given: &[&Alike],
        refused: &[Alike],
        on_errors: OnErrors,
    ) -> Vec<Topic> {
        let mut by_about: HashMap<About, (Topic, Candidates)> = HashMap::new();
        let given = given.iter().map(|alike| (*alike, true));
        for (alike, is_given) in given.chain(refused.iter().map(|alike| (alike, false))) {
            let (Some(content), Some(about)) =
                (self.looked_at(alike), self.about(alike, on_errors))
            else {
                continue;
            };
            let (topic, candidates) = by_about.entry(about).or_insert_with(|| {
                let inquiry = Inquiry {
                    content: Arc::clone(content),
                    agents: 0,
                    offline: 0,
                    askable: Askable::default(),
                    example: alike.examples.first().map(|agent| agent.id),
                };
                let build = match about.speaks_for {
                    SpeaksFor::All => None,
                    SpeaksFor::Build(_) | SpeaksFor::Itself(_) => alike.build.clone(),
                };
                let topic = Topic {
                    about,
                    build,
                    is_given: false,
                    inquiry,
                };
                (topic, Candidates::default())
            });
            topic.is_given |= is_given;
            topic.inquiry.agents += alike.agents;
            topic.inquiry.offline += alike.disconnected;
            candidates.join(alike.candidates.clone());
        }
        let with_askable = |(mut topic, candidates): (Topic, Candidates)| {
            topic.inquiry.askable = candidates.askable();
            topic
        };
        let mut topics: Vec<Topic> = by_about.into_values().map(with_askable).collect();
        topics.sort_by_key(|topic| {
            let inquiry = &topic.inquiry;
            (
                std::cmp::Reverse(inquiry.agents),
                inquiry.content.hash,
                inquiry.example,
            )
        });
        topics
    }

    /// What these agents are asked about; nothing where they would be given nothing else.
    fn about(&self, alike: &Alike, on_errors: OnErrors) -> Option<About> {
        let hash = self.looked_at(alike)?.hash;
        let refused_before = self.was_refused(alike);
        let is_given = alike.is_moved || refused_before || self.refusal_of(alike).is_some();
        if !is_given || alike.before.as_ref().map(|content| content.hash) == Some(hash) {
            return None;
        }
        let speaks_for = match alike.alone {
            Some(agent) if refused_before && self.was_alone(alike) => SpeaksFor::Itself(agent),
            _ if refused_before || on_errors == OnErrors::Exclude => {
                SpeaksFor::Build(id_of(alike.build.as_deref()))
            }
            _ => SpeaksFor::All,
        };
        Some(About { hash, speaks_for })
    }

    /// Has what agents said count for and against what they would get: who accepts what was refused before is given it
    /// and, where the release leaves out agents that refuse, those are.
    pub(super) fn hear(&mut self, answers: &Answers, step: &Move<'_>, by: (&Caller, Timestamp)) {
        let (namespace, at) = (&by.0.namespace, by.1);
        let apart = |told: &(&About, &Told)| told.0.speaks_for != SpeaksFor::All;
        let told = || answers.told.iter().filter(apart);
        let mut accepted = HashSet::new();
        for (about, told) in told() {
            for agent in told.accepted() {
                let build = told.digest();
                let who = Who { agent, build };
                accepted.insert((about.hash, build));
                self.judge(namespace, about.hash)
                    .accept(namespace, &about.hash, who);
            }
        }
        let (OnErrors::Exclude, Some(target)) = (step.on_errors, &step.target) else {
            return;
        };
        for (about, told) in told() {
            let build = told.digest();
            let is_of_build = matches!(about.speaks_for, SpeaksFor::Build(_)) && build.is_some();
            let for_build = is_of_build && !accepted.contains(&(about.hash, build));
            for (dry_run, reason) in told.refused() {
                self.judge(namespace, about.hash).refuse(RefusalRecord {
                    namespace: namespace.clone(),
                    hash: about.hash,
                    agent: dry_run.agent,
                    build,
                    for_build,
                    reason: reason.to_owned(),
                    at,
                    config: step.config.clone(),
                    revision: target.number,
                });
            }
        }
    }

    /// What these agents are known to refuse of what the change gives them.
    pub(in crate::admin) fn known_refusals<'a>(
        &self,
        outcomes: impl Iterator<Item = &'a Alike>,
    ) -> Option<Refusals> {
        let refusals = outcomes.filter(|alike| self.changes(alike));
        Refusals::of(refusals.filter_map(|alike| {
            let refusal = self.refusal_of(alike)?;
            Some(Refusal {
                agent: refusal.agent,
                reason: refusal.reason.clone(),
                took: Duration::ZERO,
                agents: alike.agents,
            })
        }))
    }
}
