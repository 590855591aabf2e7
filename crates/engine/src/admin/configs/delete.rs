//! Deleting a config: at once where it is in force nowhere, else only together with a rollout that takes it away.

use std::collections::BTreeMap;

use domain::{
    ConfigName, EventId, EventKind, InvalidTransition, Namespace, NewEvent, RevisionNumber,
    Strategy,
};
use jiff::Timestamp;
use store::rollouts::AddRolloutError;
use store::{StoreError, Tx, configs, events};

use super::{OwnedBySource, Precondition, PreconditionFailed, standing};
use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::admin::retry_contended;
use crate::admin::rollouts::{DraftError, Move, OnErrors, Refusals, Started};
use crate::desire::DesireError;
use crate::engine::Engine;
use crate::preview::CheckErrors;

/// What becomes of agents that run a config that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// None may: the deletion is refused.
    Refuse,
    /// They lose this layer, by a rollout.
    RollOut {
        /// What becomes of agents for which what is left is wrong.
        on_errors: OnErrors,
    },
}

/// A config that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The rollout that took it away, where it was in force.
    pub removal: Option<Started>,
}

/// Why a config was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteConfigError {
    /// There is none.
    #[error("there is no config {config}")]
    NotFound {
        /// Its name.
        config: ConfigName,
    },
    /// A revision of it is in force.
    #[error("revision {revision} of the config {config} is in force")]
    InForce {
        /// Its name.
        config: ConfigName,
        /// The revision.
        revision: RevisionNumber,
    },
    /// A rollout of it is under way.
    #[error("a rollout of the config is under way")]
    UnderWay,
    /// The caller's precondition does not hold.
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    /// The config comes from a config source, which has it.
    #[error(transparent)]
    Owned(#[from] OwnedBySource),
    /// What remains for some agent has errors, and the caller did not force it.
    #[error(transparent)]
    Checks(Box<CheckErrors>),
    /// Collectors of agents refused in a dry run what would remain for them, and the caller did not force it.
    #[error(transparent)]
    Refused(Box<Refusals>),
    /// What remains for some agent does not merge, or the database failed while looking.
    #[error(transparent)]
    Desire(#[from] DesireError),
    /// A rollout that was just made was not in its first state.
    #[error(transparent)]
    State(#[from] InvalidTransition),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DraftError> for DeleteConfigError {
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

impl DeleteConfigError {
    fn is_contended(&self) -> bool {
        match self {
            Self::Store(error) | Self::Desire(DesireError::Store(error)) => error.is_contended(),
            _ => false,
        }
    }
}

impl Engine {
    /// Deletes a config. Its revisions stay for as long as an agent could return to them.
    ///
    /// # Errors
    /// [`DeleteConfigError`].
    pub async fn delete_config(
        &self,
        caller: &Caller,
        name: &ConfigName,
        in_force: InForce,
        precondition: &Precondition,
        now: Timestamp,
    ) -> Result<Deleted, DeleteConfigError> {
        retry_contended!(self.try_delete_config(caller, name, in_force, precondition, now))
    }

    async fn try_delete_config(
        &self,
        caller: &Caller,
        name: &ConfigName,
        in_force: InForce,
        precondition: &Precondition,
        now: Timestamp,
    ) -> Result<Deleted, DeleteConfigError> {
        let mut change = self.begin_change(now).await?;
        let mut conn = self.db().read().await?;
        let baseline = configs::baseline(&mut conn, &caller.namespace, name).await?;
        drop(conn);
        let draft = match (baseline, in_force) {
            (None, _) => None,
            (Some(baseline), InForce::Refuse) => {
                return Err(DeleteConfigError::InForce {
                    config: name.clone(),
                    revision: baseline.revision,
                });
            }
            (Some(baseline), InForce::RollOut { on_errors }) => {
                let step = Move {
                    config: name,
                    target: None,
                    previous: Some(baseline.revision),
                    strategy: Strategy::AllAtOnce,
                    message: "the config is deleted",
                    on_errors,
                    answers: None,
                };
                let draft = self.draft(&mut change, caller, step, now).await?;
                draft.check_known().map_err(DeleteConfigError::Refused)?;
                Some(draft)
            }
        };

        let mut tx = self.db().begin().await?;
        let record = standing(configs::lock(&mut tx, &caller.namespace, name).await?);
        precondition.check(record.as_ref())?;
        let Some(record) = record else {
            return Err(DeleteConfigError::NotFound {
                config: name.clone(),
            });
        };
        OwnedBySource::check_deletion(&record)?;
        let removal = match draft {
            Some(draft) => Some(draft.store(&mut tx, caller, now).await?.0),
            None => None,
        };
        let event = mark_deleted(&mut tx, caller, name, now).await?;
        tx.commit().await?;
        if removal.is_some() {
            change.publish(now);
        }
        event.into_iter().for_each(|event| self.announce(event));
        Ok(Deleted { removal })
    }
}

async fn mark_deleted(
    tx: &mut Tx,
    caller: &Caller,
    name: &ConfigName,
    now: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    configs::mark_deleted(tx, &caller.namespace, name, now).await?;
    let event = deleted(&caller.namespace, name, now);
    let last = events::append(tx, &[event]).await?;
    deletion(name).done(tx, caller, now).await?;
    Ok(last)
}

/// The event of a config that was deleted.
pub(in crate::admin) fn deleted(
    namespace: &Namespace,
    name: &ConfigName,
    now: Timestamp,
) -> NewEvent {
    NewEvent {
        namespace: namespace.clone(),
        agent: None,
        at: now,
        kind: EventKind::ConfigDeleted,
        detail: BTreeMap::from([("config".to_owned(), name.to_string())]),
    }
}

/// The audit entry of a config that was deleted.
pub(in crate::admin) fn deletion(name: &ConfigName) -> Act {
    Act::new("config.deleted", "delete", format!("configs/{name}"))
}
