//! Questions that were asked and not answered yet.
//!
//! They are kept here and nowhere else: an answer counts from the agent that was asked, of the content that it was asked
//! about, once, and while somebody waits for it. Whatever else comes is dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::model::{DryRunAnswer, DryRunId};
use domain::{AgentId, ContentHash};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{DryRun, Verdict};

/// How many questions are open at a time, of all plans together.
const MOST_OPEN: usize = 1_000;

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
pub(super) struct Asked<'e> {
    questions: &'e OpenQuestions,
    key: QuestionKey,
    asked_at: Instant,
    answer: oneshot::Receiver<(Verdict, Duration)>,
}

impl OpenQuestions {
    /// Opens a question; nothing where too many are open.
    pub(super) fn open(
        &self,
        id: DryRunId,
        agent: AgentId,
        hash: ContentHash,
    ) -> Option<Asked<'_>> {
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
    pub async fn until(mut self, deadline: Instant) -> DryRun {
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

#[cfg(test)]
mod tests {
    use domain::model::DryRunOutcome;

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
