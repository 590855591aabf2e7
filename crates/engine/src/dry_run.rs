//! Dry runs: agents have their own Collector's program check what a plan would give them, and apply nothing of it.
//!
//! What is asked and not answered yet is kept here and nowhere else: an answer counts from the agent that was asked, of
//! the content that it was asked about, once, and while somebody waits for it. Whatever else comes is dropped.

use std::collections::BTreeMap;
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

/// All questions that wait for their answers.
#[derive(Default)]
pub(crate) struct OpenQuestions(Mutex<BTreeMap<QuestionKey, OpenQuestion>>);

/// Who was asked, and what.
type QuestionKey = (AgentId, DryRunId);

struct OpenQuestion {
    hash: ContentHash,
    asked_at: Instant,
    asker: oneshot::Sender<(Verdict, Duration)>,
}

/// A question that somebody waits for; dropped, it is closed.
struct Asked<'e> {
    questions: &'e OpenQuestions,
    key: QuestionKey,
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
        let question = OpenQuestion {
            hash,
            asked_at,
            asker,
        };
        open.insert((agent, id), question);
        drop(open);
        Some(Asked {
            questions: self,
            key: (agent, id),
            asked_at,
            answer,
        })
    }

    /// Whether somebody waits for the answer still.
    pub fn is_open(&self, agent: AgentId, id: DryRunId) -> bool {
        self.0.lock().contains_key(&(agent, id))
    }

    /// Closes all questions to an agent whose connection is gone: nobody needs to wait for their deadline.
    pub fn close(&self, agent: AgentId) {
        let all = (agent, DryRunId::MIN)..=(agent, DryRunId::MAX);
        let mut open = self.0.lock();
        let keys: Vec<QuestionKey> = open.range(all).map(|(key, _)| *key).collect();
        for key in keys {
            open.remove(&key);
        }
    }

    /// Takes an answer in, if it is one.
    pub fn answer(&self, agent: AgentId, answer: DryRunAnswer) {
        let mut open = self.0.lock();
        let key = (agent, answer.id);
        let is_asked = open
            .get(&key)
            .is_some_and(|question| question.hash.as_bytes()[..] == answer.hash[..]);
        let question = is_asked.then(|| open.remove(&key)).flatten();
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
            Ok(Err(_)) => (Verdict::Disconnected, self.asked_at.elapsed()),
            Err(_) => (Verdict::NoAnswer, self.asked_at.elapsed()),
        };
        DryRun {
            agent: self.key.0,
            verdict,
            took,
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.questions.0.lock().remove(&self.key);
    }
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
            let is_given = group.is_moved && !group.is_left_out();
            let (Fate::Changed(content), true) = (&group.fate, is_given) else {
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

/// Agents that can be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Askable {
    /// The first few of them, and of different builds where there are such.
    pub first: Vec<AgentId>,
    /// How many they are.
    pub agents: u64,
}

/// The agents of some that can be asked.
#[derive(Clone, Default)]
pub(crate) struct Candidates {
    first: Vec<Candidate>,
    agents: u64,
}

/// An agent that can be asked.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    agent: AgentId,
    build: u64,
    /// How many agents of its build come before it.
    rank: usize,
}

impl Candidate {
    /// The agent, if it can be asked.
    pub fn of(agent: &LiveAgent, state: &State) -> Option<Self> {
        state.is_askable().then(|| Self {
            agent: agent.id,
            build: id_of(state.build().map(|build| &**build)),
            rank: 0,
        })
    }
}

impl Candidates {
    /// Takes one more agent in.
    pub fn add(&mut self, candidate: Candidate) {
        self.agents += 1;
        let is_alike = |known: &&Candidate| known.build == candidate.build;
        let rank = self.first.iter().filter(is_alike).count();
        self.put(Candidate { rank, ..candidate });
    }

    /// Takes in agents of other builds.
    pub fn join(&mut self, other: Self) {
        self.agents += other.agents;
        for candidate in other.first {
            self.put(candidate);
        }
    }

    pub fn askable(&self) -> Askable {
        Askable {
            first: self.first.iter().map(|candidate| candidate.agent).collect(),
            agents: self.agents,
        }
    }

    fn put(&mut self, candidate: Candidate) {
        let place = self
            .first
            .partition_point(|known| known.rank <= candidate.rank);
        self.first.insert(place, candidate);
        self.first.truncate(MOST_ASKED_OF_A_GROUP);
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
        assert!(questions.is_open(agent(1), ID));
        tokio::time::advance(Duration::from_secs(2)).await;
        questions.answer(agent(1), accepted(ID, hash(1)));
        assert!(!questions.is_open(agent(1), ID));
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
        assert!(!questions.is_open(agent(1), ID));
        questions.answer(agent(1), accepted(ID, hash(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn questions_to_an_agent_that_is_gone_are_closed_and_those_to_others_are_not() {
        let questions = OpenQuestions::default();
        let gone = questions.open(ID, agent(1), hash(1)).unwrap();
        let other = questions.open(ID, agent(2), hash(1)).unwrap();
        questions.close(agent(1));
        assert!(!questions.is_open(agent(1), ID) && questions.is_open(agent(2), ID));
        let deadline = Instant::now() + Duration::from_secs(10);
        assert_eq!(gone.until(deadline).await.verdict, Verdict::Disconnected);
        questions.answer(agent(2), accepted(ID, hash(1)));
        assert_eq!(other.until(deadline).await.verdict, Verdict::Accepted);
        assert!(Instant::now() < deadline);
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
