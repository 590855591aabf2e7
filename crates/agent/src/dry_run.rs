//! Dry runs: the server asks whether the collector's program would take a configuration, which is not applied.
//!
//! They go on beside everything else: neither the supervisor nor what it keeps is touched, and it does not matter
//! whether the collector runs.

use opamp::model::{ConfigMap, DryRunAnswer, DryRunOutcome, DryRunQuestion};
use runtime::CancellationToken;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::check::{Rejection, check, redactor};
use crate::collector::{Redactor, trim};
use crate::site::{Site, Stage};

/// How many questions wait while one is looked into. Each holds a configuration.
pub const MAX_WAITING: usize = 2;

/// Answers questions, one at a time.
pub struct DryRuns {
    site: Site,
    redactor: Redactor,
    questions: mpsc::Receiver<DryRunQuestion>,
    answers: mpsc::Sender<DryRunAnswer>,
}

/// Where the link to the server puts questions and finds answers.
#[derive(Debug)]
pub struct DryRunDesk {
    questions: mpsc::Sender<DryRunQuestion>,
    answers: mpsc::Receiver<DryRunAnswer>,
}

impl DryRuns {
    /// Dry runs on this site.
    pub fn new(site: Site) -> (Self, DryRunDesk) {
        let (ask, questions) = mpsc::channel(MAX_WAITING);
        let (answers, answered) = mpsc::channel(MAX_WAITING);
        let runs = Self {
            redactor: redactor(&site.settings().env),
            site,
            questions,
            answers,
        };
        let desk = DryRunDesk {
            questions: ask,
            answers: answered,
        };
        (runs, desk)
    }

    /// Answers until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        // What an agent left behind that was killed.
        self.clear();
        loop {
            let question = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                question = self.questions.recv() => question,
            };
            let Some(DryRunQuestion { id, config, hash }) = question else {
                return;
            };
            let begun = Instant::now();
            let outcome = tokio::select! {
                biased;
                () = shutdown.cancelled() => None,
                outcome = self.outcome_of(&config) => Some(outcome),
            };
            self.clear();
            let Some(outcome) = outcome else { return };
            info!(
                event = "dry_run",
                config_hash = trust::hex(&hash),
                duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                success = outcome == DryRunOutcome::Accepted,
                "a configuration was checked and not applied"
            );
            let answer = DryRunAnswer { id, hash, outcome };
            if self.answers.send(answer).await.is_err() {
                return;
            }
        }
    }

    async fn outcome_of(&self, config: &ConfigMap) -> DryRunOutcome {
        match check(&self.site, Stage::DryRun, &self.redactor, config).await {
            Ok(_) => DryRunOutcome::Accepted,
            Err(Rejection::Bad(reason)) => DryRunOutcome::Refused(trim(&reason)),
            Err(Rejection::Unable(reason)) => DryRunOutcome::Failed(trim(&reason)),
        }
    }

    /// A candidate may hold secrets, and nobody needs it any more.
    fn clear(&self) {
        if let Err(error) = self.site.clear(Stage::DryRun) {
            warn!(
                event = "dry_run_not_cleared",
                error = &error as &(dyn std::error::Error + 'static),
                "the files of a dry run could not be removed"
            );
        }
    }
}

impl DryRunDesk {
    /// Puts a question. Gives the answer at once where too many wait.
    pub fn ask(&self, question: DryRunQuestion) -> Option<DryRunAnswer> {
        let question = match self.questions.try_send(question) {
            Ok(()) => return None,
            Err(mpsc::error::TrySendError::Full(question)) => question,
            // The agent is on its way out.
            Err(mpsc::error::TrySendError::Closed(_)) => return None,
        };
        Some(DryRunAnswer {
            id: question.id,
            hash: question.hash,
            outcome: DryRunOutcome::Failed(
                "busy: the agent is checking other configurations".to_owned(),
            ),
        })
    }

    /// The next answer. Cancel-safe.
    pub async fn answer(&mut self) -> Option<DryRunAnswer> {
        self.answers.recv().await
    }
}
