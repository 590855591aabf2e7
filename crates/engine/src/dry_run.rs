//! Dry runs: agents have their own Collector's program check what a plan would give them, and apply nothing of it.
//!
//! What is asked and not answered yet is kept here and nowhere else: an answer counts from the agent that was asked, of
//! the content that it was asked about, once, and while somebody waits for it. Whatever else comes is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::model::{
    DRY_RUN, DRY_RUN_CONFIG_BYTES, DryRunAnswer, DryRunId, DryRunOutcome, dry_run_bytes,
};
use domain::{AgentId, ContentHash, Namespace};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::admin::access::Caller;
use crate::agent::{LiveAgent, Queued, State};
use crate::builds::id_of;
use crate::content::DesiredContent;
use crate::engine::{Engine, NotDelivered};
use crate::exchange::clip;
use crate::outgoing::drop_empty;
use crate::preview::{Fate, Group};

/// How many agents one plan asks.
pub const MOST_ASKED: usize = 100;
/// How many agents of a group can be asked.
pub const MOST_ASKED_OF_A_GROUP: usize = 5;
/// How many questions are open at a time, of all plans together.
const MOST_OPEN: usize = 1_000;

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
    /// It cannot be asked, for this reason.
    NotCapable(String),
}

/// A question on its way to an agent.
#[derive(Clone, Debug)]
pub struct AskedContent {
    /// Of the question.
    pub id: DryRunId,
    /// What is asked about.
    pub content: Arc<DesiredContent>,
}

/// All questions that wait for their answers.
#[derive(Default)]
pub(crate) struct OpenQuestions(Mutex<HashMap<DryRunId, OpenQuestion>>);

struct OpenQuestion {
    agent: AgentId,
    hash: ContentHash,
    asked_at: Instant,
    asker: oneshot::Sender<(Verdict, Duration)>,
}

/// A question that somebody waits for; dropped, it is closed.
struct Asked<'e> {
    questions: &'e OpenQuestions,
    id: DryRunId,
    agent: AgentId,
    asked_at: Instant,
    answer: oneshot::Receiver<(Verdict, Duration)>,
}

impl OpenQuestions {
    /// Opens a question; nothing where too many are open.
    fn open(&self, id: DryRunId, agent: AgentId, hash: ContentHash) -> Option<Asked<'_>> {
        let (asker, answer) = oneshot::channel();
        let asked_at = Instant::now();
        let mut open = self.0.lock();
        if MOST_OPEN <= open.len() {
            return None;
        }
        open.insert(
            id,
            OpenQuestion {
                agent,
                hash,
                asked_at,
                asker,
            },
        );
        drop(open);
        Some(Asked {
            questions: self,
            id,
            agent,
            asked_at,
            answer,
        })
    }

    /// Whether somebody waits for the answer still.
    pub fn is_open(&self, id: DryRunId) -> bool {
        self.0.lock().contains_key(&id)
    }

    /// Takes an answer in, if it is one.
    pub fn answer(&self, agent: AgentId, answer: DryRunAnswer) {
        let mut open = self.0.lock();
        let is_asked = open.get(&answer.id).is_some_and(|question| {
            question.agent == agent && question.hash.as_bytes()[..] == answer.hash[..]
        });
        let question = is_asked.then(|| open.remove(&answer.id)).flatten();
        drop(open);
        let Some(question) = question else {
            tracing::debug!(event = "dry_run_answer_dropped", agent_id = %agent);
            return;
        };
        // Who asked may have stopped waiting this moment.
        question
            .asker
            .send((Verdict::of(answer.outcome), question.asked_at.elapsed()))
            .ok();
    }
}

impl Asked<'_> {
    async fn until(mut self, deadline: Instant) -> DryRun {
        let answer = timeout_at(deadline, &mut self.answer).await;
        let (verdict, took) = match answer {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) | Err(_) => (Verdict::NoAnswer, self.asked_at.elapsed()),
        };
        DryRun {
            agent: self.agent,
            verdict,
            took,
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.questions.0.lock().remove(&self.id);
    }
}

impl Verdict {
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
    /// groups what they say. Only agents that are attached to this node are asked. Gives the number of groups of which
    /// nobody was asked because [`MOST_ASKED`] were.
    pub async fn dry_run(&self, caller: &Caller, groups: &mut [Group], order: DryRunOrder) -> u64 {
        let deadline = Instant::now() + order.timeout;
        let mut left = MOST_ASKED;
        let mut not_asked = 0;
        let mut asked = Vec::new();
        for (place, group) in groups.iter_mut().enumerate() {
            let Fate::Changed(content) = &group.fate else {
                continue;
            };
            if left == 0 {
                not_asked += 1;
                continue;
            }
            let agents = group
                .askable
                .iter()
                .take(order.agents_per_group.min(MOST_ASKED_OF_A_GROUP).min(left));
            for agent in agents {
                left -= 1;
                match self.ask(&caller.namespace, *agent, content) {
                    Ok(question) => asked.push((place, question)),
                    Err(verdict) => group.dry_runs.push(DryRun::not_asked(*agent, verdict)),
                }
            }
            if let (true, Some(agent)) = (group.askable.is_empty(), group.examples.first()) {
                let none = format!(
                    "none of these agents is connected to this node, approved, and announces {DRY_RUN}"
                );
                let none = DryRun::not_asked(*agent, Verdict::NotCapable(none));
                group.dry_runs.push(none);
            }
        }
        for (place, question) in asked {
            groups[place].dry_runs.push(question.until(deadline).await);
        }
        not_asked
    }

    /// Takes questions out of an agent's queue that nobody waits for any more.
    pub(crate) fn drop_closed_questions(&self, state: &mut State) {
        let Some(queue) = &mut state.queue else {
            return;
        };
        queue.retain(|queued| match queued {
            Queued::DryRun(question) => self.inner.questions.is_open(question.id),
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

/// The agents of some that can be asked: the first few, and of different builds where there are such.
#[derive(Default)]
pub(crate) struct Askable(Vec<Candidate>);

/// An agent that can be asked.
pub(crate) struct Candidate {
    agent: Arc<LiveAgent>,
    build: u64,
    /// How many agents of its build come before it.
    rank: usize,
}

impl Candidate {
    /// The agent, if it can be asked.
    pub fn of(agent: &Arc<LiveAgent>, state: &State) -> Option<Self> {
        state.is_askable().then(|| Self {
            agent: Arc::clone(agent),
            build: id_of(state.build().map(|build| &**build)),
            rank: 0,
        })
    }
}

impl Askable {
    /// Takes one more agent in.
    pub fn add(&mut self, candidate: Candidate) {
        let is_alike = |known: &&Candidate| known.build == candidate.build;
        let rank = self.0.iter().filter(is_alike).count();
        self.put(Candidate { rank, ..candidate });
    }

    /// Takes in agents of other builds.
    pub fn join(&mut self, other: Self) {
        for candidate in other.0 {
            self.put(candidate);
        }
    }

    pub fn ids(&self) -> Vec<AgentId> {
        self.0
            .iter()
            .map(|candidate| candidate.agent.id)
            .collect()
    }

    fn put(&mut self, candidate: Candidate) {
        let place = self
            .0
            .partition_point(|known| known.rank <= candidate.rank);
        self.0.insert(place, candidate);
        self.0.truncate(MOST_ASKED_OF_A_GROUP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: DryRunId = DryRunId::new([1; 16]);

    fn agent(n: u8) -> AgentId {
        AgentId::from_bytes([n; 16])
    }

    fn hash(n: u8) -> ContentHash {
        ContentHash::from_bytes([n; 32])
    }

    fn accepted(id: DryRunId, hash: ContentHash) -> DryRunAnswer {
        DryRunAnswer {
            id,
            hash: hash.as_bytes().to_vec(),
            outcome: DryRunOutcome::Accepted,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_from_the_agent_that_was_asked_and_once() {
        let questions = OpenQuestions::default();
        let asked = questions.open(ID, agent(1), hash(1)).unwrap();
        questions.answer(agent(2), accepted(ID, hash(1)));
        questions.answer(agent(1), accepted(ID, hash(2)));
        questions.answer(agent(1), accepted(DryRunId::new([2; 16]), hash(1)));
        assert!(questions.is_open(ID));
        tokio::time::advance(Duration::from_secs(2)).await;
        questions.answer(agent(1), accepted(ID, hash(1)));
        assert!(!questions.is_open(ID));
        let refused = DryRunOutcome::Refused("late".to_owned());
        questions.answer(
            agent(1),
            DryRunAnswer {
                outcome: refused,
                ..accepted(ID, hash(1))
            },
        );
        let answered = asked.until(Instant::now()).await;
        assert_eq!(answered.verdict, Verdict::Accepted);
        assert_eq!(answered.took, Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_not_answered_is_closed_at_its_deadline() {
        let questions = OpenQuestions::default();
        let asked = questions.open(ID, agent(1), hash(1)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let silent = asked.until(deadline).await;
        assert_eq!(
            (silent.verdict, silent.took),
            (Verdict::NoAnswer, Duration::from_secs(10))
        );
        assert!(!questions.is_open(ID));
        questions.answer(agent(1), accepted(ID, hash(1)));
    }

    #[tokio::test]
    async fn no_more_than_1000_questions_are_open() {
        let questions = OpenQuestions::default();
        let id = |n: usize| DryRunId::new((n as u128).to_be_bytes());
        let open: Vec<_> = (0..MOST_OPEN)
            .map(|n| questions.open(id(n), agent(1), hash(1)).unwrap())
            .collect();
        assert!(questions.open(id(MOST_OPEN), agent(1), hash(1)).is_none());
        drop(open);
        assert!(questions.open(id(MOST_OPEN), agent(1), hash(1)).is_some());
    }
}
