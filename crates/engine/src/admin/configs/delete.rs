//! Deleting a config: at once where it is in force nowhere, else only together with a rollout that takes it away.

use std::collections::BTreeMap;

use domain::{
    ConfigName, EventId, EventKind, InvalidTransition, NewEvent, RevisionNumber, Rollout,
    RolloutState, Strategy,
};
use jiff::Timestamp;
use store::rollouts::AddRolloutError;
use store::{StoreError, Tx, configs, desired, events, rollouts};

use super::{Precondition, PreconditionFailed, standing};
use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::admin::retry_contended;
use crate::admin::rollouts::{Started, count, note};
use crate::change::Change;
use crate::desire::DesireError;
use crate::engine::Engine;

/// What becomes of agents that run a config that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// None may: the deletion is refused.
    Refuse,
    /// They lose this layer, by a rollout.
    RollOut,
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

impl From<AddRolloutError> for DeleteConfigError {
    fn from(error: AddRolloutError) -> Self {
        match error {
            AddRolloutError::Running { .. } => Self::UnderWay,
            AddRolloutError::Store(error) => Self::Store(error),
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
        let mut change = self.begin_change().await;
        let mut conn = self.db().read().await?;
        let baseline = configs::baseline(&mut conn, &caller.namespace, name).await?;
        drop(conn);
        let removed = match (&baseline, in_force) {
            (None, _) => None,
            (Some(baseline), InForce::Refuse) => {
                return Err(DeleteConfigError::InForce {
                    config: name.clone(),
                    revision: baseline.revision,
                });
            }
            (Some(baseline), InForce::RollOut) => Some(baseline.revision),
        };
        let removal = match removed {
            Some(revision) => Some(
                self.draft_removal(&mut change, caller, name, revision, now)
                    .await?,
            ),
            None => None,
        };

        let mut tx = self.db().begin().await?;
        let record = standing(configs::lock(&mut tx, &caller.namespace, name).await?);
        precondition.check(record.as_ref())?;
        if record.is_none() {
            return Err(DeleteConfigError::NotFound {
                config: name.clone(),
            });
        }
        let started = match removal {
            Some(removal) => Some(removal.store(&mut tx, caller, now).await?),
            None => None,
        };
        let event = mark_deleted(&mut tx, caller, name, now).await?;
        tx.commit().await?;
        if started.is_some() {
            change.publish(now);
        }
        event.into_iter().for_each(|event| self.announce(event));
        Ok(Deleted { removal: started })
    }

    async fn draft_removal(
        &self,
        change: &mut Change,
        caller: &Caller,
        name: &ConfigName,
        revision: RevisionNumber,
        now: Timestamp,
    ) -> Result<Removal, DeleteConfigError> {
        change.remove_config(&caller.namespace, name);
        let contents = change.materialise(now).await?;
        let rollout = Rollout {
            id: self.rollout_id(now),
            namespace: caller.namespace.clone(),
            config: name.clone(),
            target: None,
            previous: Some(revision),
            strategy: Strategy::AllAtOnce,
            state: RolloutState::Running,
            created_by: caller.actor.clone(),
            created_at: now,
            message: "the config is deleted".to_owned(),
        };
        let started = Started {
            rollout: rollout.complete(now)?,
            affected: count(change.affected()),
        };
        Ok(Removal { started, contents })
    }
}

/// A rollout that takes a config away, and the contents that its agents get instead.
struct Removal {
    started: Started,
    contents: Vec<desired::DesiredContent>,
}

impl Removal {
    async fn store(
        self,
        tx: &mut Tx,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Started, DeleteConfigError> {
        for content in &self.contents {
            desired::put(tx, content).await?;
        }
        let rollout = &self.started.rollout;
        rollouts::add(tx, rollout).await?;
        configs::clear_baseline(tx, &caller.namespace, &rollout.config).await?;
        note(tx, caller, rollout, now).await?;
        Ok(self.started)
    }
}

async fn mark_deleted(
    tx: &mut Tx,
    caller: &Caller,
    name: &ConfigName,
    now: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    configs::mark_deleted(tx, &caller.namespace, name, now).await?;
    let event = NewEvent {
        namespace: caller.namespace.clone(),
        agent: None,
        at: now,
        kind: EventKind::ConfigDeleted,
        detail: BTreeMap::from([("config".to_owned(), name.to_string())]),
    };
    let last = events::append(tx, &[event]).await?;
    Act::new("config.deleted", "delete", format!("configs/{name}"))
        .done(tx, caller, now)
        .await?;
    Ok(last)
}
