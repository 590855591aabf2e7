//! Releasing what commits changed, where the source does it by itself.

use domain::ConfigName;
use jiff::Timestamp;
use store::configs::RevisionHead;
use store::{StoreError, configs, sources};

use super::{ConfigSource, ReleaseBy};
use crate::admin::access::Caller;
use crate::admin::configs::put::MESSAGE_MAX_BYTES;
use crate::admin::configs::{DeleteConfigError, InForce, Precondition, standing};
use crate::admin::idempotency::Creation;
use crate::admin::rollouts::{OnErrors, Release, StartRolloutError};
use crate::desire::DesireError;
use crate::drive::error_chain;
use crate::engine::Engine;
use crate::events as told;

/// What became of one release.
enum Outcome {
    /// It was made, or there is nothing to release any more.
    Done,
    /// It was refused, and why.
    Refused(String),
}

impl Engine {
    /// Releases what commits have changed, one rollout each, where the source does so by itself. What is refused waits for
    /// a person or the next commit.
    ///
    /// # Errors
    /// [`StoreError`]: what was not released is tried again by the next call.
    pub async fn release_source(
        &self,
        source: &ConfigSource,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if source.release == ReleaseBy::Person {
            return Ok(());
        }
        let mut conn = self.db().read().await?;
        let record = sources::find(&mut conn, &source.namespace).await?;
        drop(conn);
        let due = record.into_iter().flat_map(|record| record.releases);
        let mut due: Vec<ConfigName> = due
            .filter(|release| release.refused.is_none())
            .filter_map(|release| ConfigName::new(&release.config).ok())
            .collect();
        // One may be refused for what another repairs.
        loop {
            let before = due.len();
            let mut refused = Vec::new();
            for config in due {
                match self.release_one(source, &config, now).await? {
                    Outcome::Done => self.settle_release(source, &config, None).await?,
                    Outcome::Refused(why) => refused.push((config, why)),
                }
            }
            if refused.is_empty() {
                return Ok(());
            }
            if refused.len() == before {
                for (config, why) in refused {
                    told::source_release_refused(config.as_str(), &why);
                    self.settle_release(source, &config, Some(why)).await?;
                }
                return Ok(());
            }
            due = refused.into_iter().map(|(config, _)| config).collect();
        }
    }

    async fn release_one(
        &self,
        source: &ConfigSource,
        config: &ConfigName,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let (namespace, caller) = (&source.namespace, Caller::git(&source.namespace));
        let mut conn = self.db().read().await?;
        let found = standing(configs::find(&mut conn, namespace, config).await?);
        let Some((record, owner)) = found.and_then(|found| {
            let owner = found.source.clone()?;
            Some((found, owner))
        }) else {
            return Ok(Outcome::Done);
        };
        if owner.gone_at.is_some() {
            drop(conn);
            let in_force = InForce::RollOut {
                on_errors: OnErrors::Refuse,
            };
            let deleted = self.delete_config(&caller, config, in_force, &Precondition::None, now);
            return of_deletion(deleted.await.map(drop));
        }
        let baseline = configs::baseline(&mut conn, namespace, config).await?;
        if baseline.is_some_and(|baseline| baseline.revision == record.latest) {
            return Ok(Outcome::Done);
        }
        let latest = configs::revisions(&mut conn, namespace, config, None, 1).await?;
        drop(conn);
        let release = Release {
            revision: Some(record.latest),
            message: latest.first().map(message).unwrap_or_default(),
            ..Release::default()
        };
        let creation = Creation::default();
        let started = self.start_rollout(&caller, config, &release, &creation, now);
        of_release(started.await.map(drop))
    }

    /// Notes that a release is done, or why it was refused.
    async fn settle_release(
        &self,
        source: &ConfigSource,
        config: &ConfigName,
        refused: Option<String>,
    ) -> Result<(), StoreError> {
        let mut tx = self.db().begin().await?;
        let mut record = sources::lock(&mut tx, &source.fresh()).await?;
        match refused {
            None => record
                .releases
                .retain(|release| release.config != config.as_str()),
            Some(why) => record
                .releases
                .iter_mut()
                .filter(|release| release.config == config.as_str())
                .for_each(|release| release.refused = Some(why.clone())),
        }
        sources::save(&mut tx, &record).await?;
        tx.commit().await
    }
}

/// Why a revision is released: what its commit says, and which that is.
fn message(head: &RevisionHead) -> String {
    let room = MESSAGE_MAX_BYTES.saturating_sub(head.origin.len() + " ()".len());
    let why = &head.message[..head.message.floor_char_boundary(room)];
    format!("{why} ({})", head.origin)
}

fn of_release(released: Result<(), StartRolloutError>) -> Result<Outcome, StoreError> {
    match released {
        Ok(()) => Ok(Outcome::Done),
        Err(
            StartRolloutError::Store(error) | StartRolloutError::Desire(DesireError::Store(error)),
        ) => Err(error),
        // Somebody deleted it in between.
        Err(StartRolloutError::NoSuch(_)) => Ok(Outcome::Done),
        Err(error) => Ok(Outcome::Refused(error_chain(&error))),
    }
}

fn of_deletion(deleted: Result<(), DeleteConfigError>) -> Result<Outcome, StoreError> {
    match deleted {
        Ok(()) | Err(DeleteConfigError::NotFound { .. }) => Ok(Outcome::Done),
        Err(
            DeleteConfigError::Store(error) | DeleteConfigError::Desire(DesireError::Store(error)),
        ) => Err(error),
        Err(error) => Ok(Outcome::Refused(error_chain(&error))),
    }
}
