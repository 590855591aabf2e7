//! Dry runs: agents have their own Collector's program check what a plan would give them, and apply nothing of it.

mod candidates;
mod questions;

use std::sync::Arc;
use std::time::Duration;

use domain::model::{DRY_RUN, DRY_RUN_CONFIG_BYTES, DryRunId, DryRunOutcome, dry_run_bytes};
use domain::{AgentId, Namespace};
use tokio::time::Instant;

pub use self::candidates::Askable;
pub(crate) use self::candidates::{Candidate, Candidates};
use self::questions::Asked;
pub(crate) use self::questions::OpenQuestions;
use crate::admin::access::Caller;
use crate::agent::{Queued, State};
use crate::content::DesiredContent;
use crate::engine::{Engine, NotDelivered};
use crate::exchange::clip;
use crate::outgoing::drop_empty;
use crate::preview::{Fate, Group};

/// How many agents one plan asks.
pub const MOST_ASKED: usize = 100;
/// How many agents of a group can be asked.
pub const MOST_ASKED_OF_A_GROUP: usize = 5;

/// How agents are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DryRunOrder {
    /// How many of each group, at most [`MOST_ASKED_OF_A_GROUP`].
    pub agents_per_group: usize,
    /// How long their answers are waited for.
    pub timeout: Duration,
}

/// What came of asking one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRun {
    /// The agent.
    pub agent: AgentId,
    /// What it says.
    pub verdict: Verdict,
    /// How long that took; zero where it was not asked.
    pub took: Duration,
}

/// What an agent says of a content that it would be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its Collector would take it.
    Accepted,
    /// Its Collector refuses it, for this reason.
    Refused(String),
    /// It was not checked, for this reason.
    Failed(String),
    /// It did not answer in time.
    NoAnswer,
    /// Its connection was lost before it answered.
    Disconnected,
    /// It cannot be asked, for this reason.
    NotCapable(String),
}

/// A question on its way to an agent.
#[derive(Clone, Debug)]
pub struct AskedContent {
    /// Who is asked.
    pub(crate) agent: AgentId,
    /// Of the question.
    pub id: DryRunId,
    /// What is asked about.
    pub content: Arc<DesiredContent>,
}

/// How many agents said what, and how many nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DryRunCounts {
    /// Agents that were sent the question.
    pub asked: u64,
    /// Of these: their Collector would take it.
    pub accepted: u64,
    /// Their Collector refuses it.
    pub refused: u64,
    /// It was not checked.
    pub failed: u64,
    /// They did not answer in time, or their connection was lost.
    pub no_answer: u64,
    /// Of all agents that would be given something else: those without a connection.
    pub offline: u64,
    /// Those that are connected and cannot be asked.
    pub not_capable: u64,
    /// Groups of which nobody was asked because [`MOST_ASKED`] agents were.
    pub groups_not_asked: u64,
}

/// A content that agents are asked about.
#[derive(Debug, Clone)]
pub(crate) struct Inquiry {
    pub content: Arc<DesiredContent>,
    /// How many agents would be given it.
    pub agents: u64,
    /// How many of them have no connection.
    pub offline: u64,
    pub askable: Askable,
    /// One of the agents: it stands for them where none can be asked.
    pub example: Option<AgentId>,
}

impl Verdict {
    /// Of a group in which nobody can be asked.
    fn of_nobody() -> Self {
        Self::NotCapable(format!(
            "none of these agents is connected to this node, approved, and announces {DRY_RUN}"
        ))
    }

    fn of(outcome: DryRunOutcome) -> Self {
        let clipped = |mut reason: String| {
            clip(&mut reason);
            reason
        };
        match outcome {
            DryRunOutcome::Accepted => Self::Accepted,
            DryRunOutcome::Refused(reason) => Self::Refused(clipped(reason)),
            DryRunOutcome::Failed(reason) => Self::Failed(clipped(reason)),
        }
    }
}

impl DryRunCounts {
    /// All counts in the order of the fields.
    pub(crate) const fn to_array(self) -> [u64; 8] {
        [
            self.asked,
            self.accepted,
            self.refused,
            self.failed,
            self.no_answer,
            self.offline,
            self.not_capable,
            self.groups_not_asked,
        ]
    }

    /// Reads [`DryRunCounts::to_array`]; nothing where one is not there.
    pub(crate) fn from_array(counts: [Option<u64>; 8]) -> Option<Self> {
        let [asked, accepted, refused, failed, no_answer, rest @ ..] = counts;
        let [offline, not_capable, groups_not_asked] = rest;
        Some(Self {
            asked: asked?,
            accepted: accepted?,
            refused: refused?,
            failed: failed?,
            no_answer: no_answer?,
            offline: offline?,
            not_capable: not_capable?,
            groups_not_asked: groups_not_asked?,
        })
    }

    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Refused(_) => self.refused += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::NoAnswer | Verdict::Disconnected => self.no_answer += 1,
            // Counted with those of its group.
            Verdict::NotCapable(_) => {}
        }
    }
}

impl std::ops::AddAssign for DryRunCounts {
    fn add_assign(&mut self, more: Self) {
        self.asked += more.asked;
        self.accepted += more.accepted;
        self.refused += more.refused;
        self.failed += more.failed;
        self.no_answer += more.no_answer;
        self.offline += more.offline;
        self.not_capable += more.not_capable;
        self.groups_not_asked += more.groups_not_asked;
    }
}

impl Inquiry {
    /// How many agents are connected and cannot be asked.
    const fn not_capable(&self) -> u64 {
        let known = self.offline.saturating_add(self.askable.agents);
        self.agents.saturating_sub(known)
    }
}

impl DryRun {
    /// Of an agent that was not asked.
    const fn not_asked(agent: AgentId, verdict: Verdict) -> Self {
        Self {
            agent,
            verdict,
            took: Duration::ZERO,
        }
    }
}

impl Engine {
    /// Has agents of each group that would be given something else check that, all at the same time, and notes with the
    /// groups what they say. Only agents that are attached to this node are asked.
    pub async fn dry_run(
        &self,
        caller: &Caller,
        groups: &mut [Group],
        order: DryRunOrder,
    ) -> DryRunCounts {
        let mut places = Vec::new();
        let mut inquiries = Vec::new();
        for (place, group) in groups.iter().enumerate() {
            let (Fate::Changed(content), true) = (&group.fate, group.is_asked()) else {
                continue;
            };
            places.push(place);
            inquiries.push(Inquiry {
                content: Arc::clone(content),
                agents: group.agents,
                offline: group.disconnected,
                askable: group.askable.clone(),
                example: group.examples.first().copied(),
            });
        }
        let (told, counts) = self.inquire(&caller.namespace, &inquiries, order).await;
        for (place, dry_runs) in places.into_iter().zip(told) {
            groups[place].dry_runs = dry_runs;
        }
        counts
    }

    /// What agents say of each content, in its order. Gives up at the deadline.
    pub(crate) async fn inquire(
        &self,
        namespace: &Namespace,
        inquiries: &[Inquiry],
        order: DryRunOrder,
    ) -> (Vec<Vec<DryRun>>, DryRunCounts) {
        let deadline = Instant::now() + order.timeout;
        let mut left = MOST_ASKED;
        let mut counts = DryRunCounts::default();
        let mut told: Vec<Vec<DryRun>> = Vec::new();
        let mut asked = Vec::new();
        for (place, inquiry) in inquiries.iter().enumerate() {
            told.push(Vec::new());
            counts.offline += inquiry.offline;
            counts.not_capable += inquiry.not_capable();
            if left == 0 {
                counts.groups_not_asked += 1;
                continue;
            }
            let most = order.agents_per_group.min(MOST_ASKED_OF_A_GROUP).min(left);
            for agent in inquiry.askable.first.iter().take(most) {
                left -= 1;
                match self.ask(namespace, *agent, &inquiry.content) {
                    Ok(question) => asked.push((place, question)),
                    Err(verdict) => told[place].push(DryRun::not_asked(*agent, verdict)),
                }
            }
            if let (true, Some(agent)) = (inquiry.askable.first.is_empty(), inquiry.example) {
                told[place].push(DryRun::not_asked(agent, Verdict::of_nobody()));
            }
        }
        counts.asked = asked.len() as u64;
        for (place, question) in asked {
            told[place].push(question.until(deadline).await);
        }
        told.iter()
            .flatten()
            .for_each(|one| counts.add(&one.verdict));
        (told, counts)
    }

    /// Takes questions out of an agent's queue that nobody waits for any more.
    pub(crate) fn drop_closed_questions(&self, state: &mut State) {
        let Some(queue) = &mut state.queue else {
            return;
        };
        queue.retain(|queued| match queued {
            Queued::DryRun(question) => self.inner.questions.is_open(question.agent, question.id),
            Queued::Command(_) | Queued::Custom(_) => true,
        });
        drop_empty(state);
    }

    fn ask(
        &self,
        namespace: &Namespace,
        agent: AgentId,
        content: &Arc<DesiredContent>,
    ) -> Result<Asked<'_>, Verdict> {
        let bytes = dry_run_bytes(&content.files);
        if DRY_RUN_CONFIG_BYTES < bytes {
            return Err(Verdict::Failed(format!(
                "what it would be given has {bytes} bytes; a dry run takes {DRY_RUN_CONFIG_BYTES}"
            )));
        }
        let id = DryRunId::new(self.random());
        let asked = self.inner.questions.open(id, agent, content.hash);
        let asked =
            asked.ok_or_else(|| Verdict::Failed("too many dry runs are under way".to_owned()))?;
        let question = AskedContent {
            agent,
            id,
            content: Arc::clone(content),
        };
        self.enqueue(namespace, agent, Queued::DryRun(question))
            .map_err(|error| match error {
                NotDelivered::QueueFull => Verdict::Failed(error.to_string()),
                NotDelivered::NotFound | NotDelivered::NotConnected | NotDelivered::NotCapable => {
                    Verdict::NotCapable(error.to_string())
                }
            })?;
        Ok(asked)
    }
}
