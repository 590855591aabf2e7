//! The loop that looks at the config source: it fetches the branch, has every new commit applied or refused, and released
//! where the source does so by itself.
//!
//! It looks at an interval and when asked; however often it is asked, looks are a second apart. Fetching and reading block,
//! so they run where blocking is allowed, and agents are served meanwhile. Each node with this configuration looks for
//! itself: a commit that another has applied already changes nothing.

use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backends::git::{CommitId, GitError, GitMirror, Interrupt, Moved};
use engine::Engine;
use engine::admin::StoreError;
use engine::admin::source::{
    Asked, ConfigSource, FetchOutcome, FetchReport, NewCommit, ReleaseBy, SourceDesk,
    read_documents,
};
use runtime::logging::error_chain;
use runtime::{CancellationToken, Clock};
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use crate::config::SourceSettings;
use crate::config::file::SourceRelease;

/// How far looks are apart at least, whoever asks for them.
const SPACING: Duration = Duration::from_secs(1);
/// The longest pause after failures, unless the interval is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(15 * 60);

/// The loop of one source.
pub struct SourceLoop {
    engine: Engine,
    clock: Arc<dyn Clock>,
    desk: SourceDesk,
    mirror: Arc<Mutex<GitMirror>>,
}

/// Why a look at the source failed.
#[derive(Debug, Error)]
enum LookError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a part of the look ended early")]
    Ended(#[from] JoinError),
}

impl LookError {
    /// A stable word, for metrics and events.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Git(error) => error.reason(),
            Self::Store(_) => "database",
            Self::Ended(_) => "internal",
        }
    }
}

/// What is to be remembered from one look to the next.
#[derive(Default)]
struct Memory {
    /// How many looks in a row have failed.
    failures: u32,
    /// The reason that was told of them.
    told: Option<&'static str>,
    /// Whether a force-push was seen that no applied commit has told yet.
    forced: bool,
}

/// The desk of a source, as the settings have it.
pub fn desk(settings: &SourceSettings) -> SourceDesk {
    let source = ConfigSource {
        namespace: settings.namespace.clone(),
        repository: settings.git.repository.clone(),
        branch: settings.git.branch.clone(),
        path: settings.git.path.clone(),
        release: match settings.release {
            SourceRelease::Manual => ReleaseBy::Person,
            SourceRelease::AllAtOnce => ReleaseBy::AllAtOnce,
        },
    };
    let secret = settings.webhook_secret.as_ref();
    let secret = secret.map(|secret| engine::Secret::new(secret.expose()));
    SourceDesk::new(source, settings.interval, secret)
}

impl SourceLoop {
    /// Opens the mirror in a directory of its own; nothing is fetched yet.
    ///
    /// # Errors
    /// [`GitError`]: the directory cannot be used.
    pub fn open(
        engine: Engine,
        clock: Arc<dyn Clock>,
        (desk, settings): (SourceDesk, &SourceSettings),
        directory: &Path,
    ) -> Result<Self, GitError> {
        let mirror = GitMirror::open(directory, settings.git.clone())?;
        Ok(Self {
            engine,
            clock,
            desk,
            mirror: Arc::new(Mutex::new(mirror)),
        })
    }

    /// Looks until the shutdown.
    ///
    /// # Errors
    /// None: a look that fails is told and tried again.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let interrupt = Interrupt::default();
        let mut memory = Memory::default();
        while !shutdown.is_cancelled() {
            let looked = {
                let mut looking = pin!(self.look(&mut memory, &interrupt));
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {
                        interrupt.raise();
                        looking.await
                    }
                    looked = &mut looking => looked,
                }
            };
            if shutdown.is_cancelled() {
                break;
            }
            self.report(looked, &mut memory).await;
            let pause = pause_after(memory.failures, self.desk.interval());
            shutdown.run_until_cancelled(self.rest(pause)).await;
        }
        Ok(())
    }

    /// Waits for the next look: it is due, or somebody asks.
    async fn rest(&self, pause: Duration) {
        let ended = Instant::now();
        tokio::select! {
            biased;
            () = self.desk.asked() => sleep_until(ended + SPACING.min(pause)).await,
            () = sleep(pause) => {}
        }
    }

    /// One look: fetch, take what is new, release.
    async fn look(
        &self,
        memory: &mut Memory,
        interrupt: &Interrupt,
    ) -> Result<FetchOutcome, LookError> {
        let source = self.desk.source();
        let asked = self.desk.begin();
        let stop = interrupt.clone();
        let fetched = self.blocking(move |mirror| mirror.fetch(&stop)).await?;
        memory.forced |= fetched.moved == Moved::Forced;
        let (head, forced) = (fetched.head, memory.forced);
        let standing = self.engine.source_standing(source).await?;
        let mut since: Option<CommitId> = standing.seen().and_then(|seen| seen.parse().ok());
        if asked == Asked::LookAgain && standing.is_refused() && since == Some(head) {
            since = None;
        }
        let commits = self
            .blocking(move |mirror| mirror.commits(since, head))
            .await?;
        for info in commits {
            if interrupt.is_raised() {
                break;
            }
            let id = info.id;
            let documents = self
                .blocking(move |mirror| read_documents(mirror.files(id)))
                .await?;
            let commit = NewCommit {
                forced: forced && id == head,
                info,
                documents,
            };
            self.engine
                .take_commit(source, &commit, self.clock.now())
                .await?;
        }
        self.engine.release_source(source, self.clock.now()).await?;
        memory.forced = false;
        let head = head.to_string();
        Ok(FetchOutcome::Fetched { head, forced })
    }

    /// Runs something with the mirror where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut GitMirror) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, LookError> {
        let mirror = Arc::clone(&self.mirror);
        let done = spawn_blocking(move || {
            // One that panicked left a mirror that the next fetch looks over.
            work(&mut mirror.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Ok(done.await??)
    }

    /// Tells what a look came to; of failures of one kind the first alone.
    async fn report(&self, looked: Result<FetchOutcome, LookError>, memory: &mut Memory) {
        let now = self.clock.now();
        let outcome = match looked {
            Ok(outcome) => {
                if memory.told.take().is_some() {
                    info!(
                        event = "config_source_recovered",
                        failures = memory.failures,
                        "the config source is fetched again"
                    );
                }
                memory.failures = 0;
                self.engine.note_source_success(now);
                outcome
            }
            Err(error) => {
                memory.failures = memory.failures.saturating_add(1);
                let (reason, error) = (error.reason(), error_chain(&error));
                self.engine.count_source_failure(reason);
                if memory.told == Some(reason) {
                    debug!(event = "config_source_failed", reason, error, "still");
                } else {
                    warn!(
                        event = "config_source_failed",
                        reason, error, "what was applied before stays"
                    );
                    let source = self.desk.source();
                    let noted = self
                        .engine
                        .note_source_failure(source, (reason, &error), now);
                    if let Err(error) = noted.await {
                        debug!(
                            event = "config_source_event_lost",
                            error = error_chain(&error),
                            "the database did not take it"
                        );
                    }
                    memory.told = Some(reason);
                }
                FetchOutcome::Failed { reason, error }
            }
        };
        self.desk.end(FetchReport {
            at: now,
            outcome,
            failures: memory.failures,
        });
    }
}

/// The interval, doubled for each failure in a row after the first.
fn pause_after(failures: u32, interval: Duration) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(MAX_BACKOFF.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_stretch_the_interval_up_to_a_limit() {
        let minute = Duration::from_secs(60);
        for (failures, expected) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 15), (9_999, 15)] {
            assert_eq!(
                pause_after(failures, minute),
                expected * minute,
                "{failures}"
            );
        }
        let hour = 60 * minute;
        assert_eq!(pause_after(7, hour), hour);
    }
}
