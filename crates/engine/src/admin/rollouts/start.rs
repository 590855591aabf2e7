//! Starting a rollout: what is asked for, what must hold, and the transaction that puts it in force.

use std::sync::Arc;

use domain::{ConfigName, InvalidTransition, RevisionNumber, Rollout, Strategy};
use jiff::Timestamp;
use store::rollouts::AddRolloutError;
use store::{Conn, StoreError, Tx, configs, rollouts};

use super::draft::{Draft, DraftError, Move};
use super::required::{Answers, Refusals};
use crate::admin::access::Caller;
use crate::admin::configs::{NoSuch, Precondition, PreconditionFailed, find_revision, standing};
use crate::admin::idempotency::{Created, Creation, KeyReused};
use crate::admin::retry_contended;
use crate::desire::DesireError;
use crate::dry_run::{DryRunCounts, DryRunOrder};
use crate::engine::Engine;
use crate::preview::CheckErrors;

/// The longest message of a rollout, in bytes.
const MESSAGE_MAX_BYTES: usize = 4096;

/// What to release, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Release {
    /// The revision; the newest when `None`.
    pub revision: Option<RevisionNumber>,
    /// The strategy as the caller wrote it; `all_at_once` when `None`.
    pub strategy: Option<String>,
    /// Why.
    pub message: String,
    /// What must hold of the config, such as that nobody has made another revision.
    pub precondition: Precondition,
    /// What becomes of agents that would get what their Collector refuses, or for which nothing can be made.
    pub on_errors: OnErrors,
    /// Agents are asked before whether their own Collector would take it: a refusal of one is an error.
    pub require_dry_run: Option<DryRunOrder>,
}

/// What a release does where some agent would get errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnErrors {
    /// It is refused.
    #[default]
    Refuse,
    /// They do not matter: the agent gets it. What cannot be made is refused all the same.
    Force,
    /// The agent stays as it is, until its labels or what is released change.
    Exclude,
}

/// A rollout that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// It.
    pub rollout: Rollout,
    /// How many agents it concerns: those that the old or the new revision matches; of a set of variables those whose
    /// templates get other values.
    pub affected: u64,
    /// How many of them stay as they are, since what they would get is wrong.
    pub excluded: u64,
    /// How many of these for nothing but what a Collector said in a dry run.
    pub refused: u64,
    /// What agents said that were asked before, where that was required.
    pub dry_run: Option<DryRunCounts>,
}

/// Why a rollout did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartRolloutError {
    /// There is no such config or revision.
    #[error(transparent)]
    NoSuch(#[from] NoSuch),
    /// The strategy does not exist.
    #[error("the strategy {strategy:?} does not exist yet: this version has \"all_at_once\"")]
    UnknownStrategy {
        /// What was asked for.
        strategy: String,
    },
    /// The message is too long.
    #[error("the message has {bytes} bytes, allowed are {MESSAGE_MAX_BYTES}")]
    MessageTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The config is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    /// Another rollout of the config is under way.
    #[error("another rollout of the config is under way")]
    UnderWay,
    /// What some agent would get has errors, and the caller did not force it.
    #[error(transparent)]
    Checks(Box<CheckErrors>),
    /// The Collectors of agents refuse what these would get, and the caller did not force it.
    #[error(transparent)]
    Refused(Box<Refusals>),
    /// Agents were not asked yet about what some would get, and were asked often enough.
    #[error("what agents would get changed again and again while they were asked about it")]
    Unasked,
    /// Revisions that some agent would get do not merge, or the database failed while looking.
    #[error(transparent)]
    Desire(#[from] DesireError),
    /// Another request with the same idempotency key got in between; the same request again finds what it made.
    #[error("another request with this idempotency key is under way")]
    Raced,
    /// The idempotency key belongs to another request.
    #[error(transparent)]
    Key(#[from] KeyReused),
    /// A rollout that was just made was not in its first state.
    #[error(transparent)]
    State(#[from] InvalidTransition),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StartRolloutError {
    fn is_contended(&self) -> bool {
        match self {
            Self::Store(error) | Self::Desire(DesireError::Store(error)) => error.is_contended(),
            Self::Raced => true,
            _ => false,
        }
    }
}

impl Engine {
    /// Puts a revision in force. When it returns, the release is durable and agents are being woken.
    ///
    /// # Errors
    /// [`StartRolloutError`].
    pub async fn start_rollout(
        &self,
        caller: &Caller,
        config: &ConfigName,
        release: &Release,
        creation: &Creation,
        now: Timestamp,
    ) -> Result<Created<Started>, StartRolloutError> {
        let strategy = read_strategy(release)?;
        if MESSAGE_MAX_BYTES < release.message.len() {
            return Err(StartRolloutError::MessageTooLong {
                bytes: release.message.len(),
            });
        }
        let mut answers = release.require_dry_run.map(Answers::none);
        loop {
            let started = retry_contended!(self.try_start_rollout(
                caller,
                config,
                (release, strategy, answers.as_mut()),
                creation,
                now
            ));
            // No lock is held while agents are asked.
            let asks_again = match (&started, &mut answers) {
                (Err(StartRolloutError::Unasked), Some(answers)) => {
                    self.ask_all(caller, answers).await
                }
                _ => false,
            };
            if !asks_again {
                return started;
            }
        }
    }

    async fn try_start_rollout(
        &self,
        caller: &Caller,
        config: &ConfigName,
        (release, strategy, answers): (&Release, Strategy, Option<&mut Answers>),
        creation: &Creation,
        now: Timestamp,
    ) -> Result<Created<Started>, StartRolloutError> {
        // From here on no other change comes between what is read and what is put in force.
        let mut change = self.begin_change(now).await?;
        let mut conn = self.db().read().await?;
        if let Some(started) = earlier(&mut conn, caller, creation).await? {
            return Ok(Created::Earlier(started));
        }
        let target =
            find_revision::<StartRolloutError>(&mut conn, caller, config, release.revision).await?;
        let target = Some(Arc::new(target));
        let under_way = rollouts::running(&mut conn, &caller.namespace, config).await?;
        if under_way.is_some() {
            return Err(StartRolloutError::UnderWay);
        }
        let previous = configs::baseline(&mut conn, &caller.namespace, config).await?;
        drop(conn);
        let previous = previous.map(|baseline| baseline.revision);
        let step = Move {
            config,
            target,
            previous,
            strategy,
            message: &release.message,
            on_errors: release.on_errors,
            answers: answers.as_deref(),
        };
        let mut draft = self.draft(&mut change, caller, step, now).await?;
        if let Some(answers) = answers {
            draft.heed(answers, release.on_errors)?;
        }
        draft.check_known().map_err(StartRolloutError::Refused)?;

        let mut tx = self.db().begin().await?;
        lock_standing(&mut tx, caller, config, &release.precondition).await?;
        // Retention of another node may have dropped it since it was read; from here on it cannot.
        let still = draft.started.rollout.target;
        find_revision::<StartRolloutError>(&mut tx, caller, config, still).await?;
        if !creation
            .save(&mut tx, &caller.namespace, reference(&draft.started), now)
            .await?
        {
            return Err(StartRolloutError::Raced);
        }
        let (started, event) = draft.store(&mut tx, caller, now).await?;
        tx.commit().await?;
        change.publish(now);
        event.into_iter().for_each(|event| self.announce(event));
        Ok(Created::New(started))
    }
}

impl From<DraftError> for StartRolloutError {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Checks(errors) => Self::Checks(errors),
            DraftError::Desire(error) => Self::Desire(error),
            DraftError::Add(AddRolloutError::Running { .. }) => Self::UnderWay,
            DraftError::Add(AddRolloutError::Store(error)) | DraftError::Store(error) => {
                Self::Store(error)
            }
            DraftError::State(error) => Self::State(error),
        }
    }
}

impl Draft {
    /// Heeds what agents say of what they would get; what was forced is counted.
    fn heed(
        &mut self,
        answers: &mut Answers,
        on_errors: OnErrors,
    ) -> Result<(), StartRolloutError> {
        if answers.want(&self.topics, on_errors) {
            return Err(StartRolloutError::Unasked);
        }
        self.started.dry_run = Some(answers.counts());
        let refusals = answers.refusals(&self.topics, &self.kept);
        let stopped_by = match on_errors {
            _ if self.started.rollout.forced => {
                self.overruled.refusals = refusals.as_ref().map_or(0, Refusals::count);
                None
            }
            OnErrors::Exclude if self.is_full => answers.all_refusals(),
            // Who refused is left out.
            OnErrors::Exclude => answers.unheard(&self.topics),
            OnErrors::Refuse | OnErrors::Force => refusals,
        };
        stopped_by.map_or(Ok(()), |refusals| {
            Err(StartRolloutError::Refused(Box::new(refusals)))
        })
    }
}

fn read_strategy(release: &Release) -> Result<Strategy, StartRolloutError> {
    let Some(text) = &release.strategy else {
        return Ok(Strategy::AllAtOnce);
    };
    Strategy::parse(text).ok_or_else(|| StartRolloutError::UnknownStrategy {
        strategy: text.clone(),
    })
}

/// Nobody deletes the config until the transaction ends. (Deleting takes the same change lock on this node; another
/// node has its own.)
async fn lock_standing(
    tx: &mut Tx,
    caller: &Caller,
    config: &ConfigName,
    precondition: &Precondition,
) -> Result<(), StartRolloutError> {
    match standing(configs::lock(tx, &caller.namespace, config).await?) {
        Some(config) => Ok(precondition.check(Some(&config))?),
        None => Err(NoSuch::config(config).into()),
    }
}

/// What an idempotency key remembers of a rollout.
fn reference(started: &Started) -> String {
    let mut reference = format!(
        "{} {} {} {}",
        started.rollout.id, started.affected, started.excluded, started.refused
    );
    for count in started.dry_run.into_iter().flat_map(DryRunCounts::to_array) {
        reference.push_str(&format!(" {count}"));
    }
    reference
}

async fn earlier(
    conn: &mut Conn,
    caller: &Caller,
    creation: &Creation,
) -> Result<Option<Started>, StartRolloutError> {
    let Some(reference) = creation.earlier(conn, &caller.namespace).await?? else {
        return Ok(None);
    };
    let corrupt = || StoreError::Corrupt {
        what: "saved answer",
    };
    let mut parts = reference.split(' ');
    let id = parts.next().and_then(|id| id.parse().ok());
    let mut count = || parts.next().and_then(|count| count.parse().ok());
    let (id, affected) = (id.ok_or_else(corrupt)?, count().ok_or_else(corrupt)?);
    let excluded = count().unwrap_or_default();
    let refused = count().unwrap_or_default();
    let dry_run = DryRunCounts::from_array(std::array::from_fn(|_| count()));
    let rollout = rollouts::find(conn, &caller.namespace, id)
        .await?
        .ok_or_else(corrupt)?;
    Ok(Some(Started {
        rollout,
        affected,
        excluded,
        refused,
        dry_run,
    }))
}
