//! Going back: an earlier revision as a new one.

use domain::{ConfigName, RevisionNumber};
use jiff::Timestamp;
use store::{StoreError, configs};

use super::{Aim, NewRevision, Origin, Precondition, Put, PutConfigError, Version, standing};
use crate::admin::access::Caller;
use crate::engine::Engine;

/// Why no revision was made of an earlier one.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is no such config.
    #[error("there is no config {config}")]
    NoConfig {
        /// Its name.
        config: ConfigName,
    },
    /// There is no such revision.
    #[error("the config {config} has no revision {revision}")]
    NoRevision {
        /// The config.
        config: ConfigName,
        /// The number.
        revision: RevisionNumber,
    },
    /// It could not be made.
    #[error(transparent)]
    Put(#[from] PutConfigError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Makes a revision that is an earlier one again: body, selector and priority. No agent changes. Where the newest is
    /// just that already, it stands.
    ///
    /// # Errors
    /// [`RollbackError`].
    pub async fn roll_back_config(
        &self,
        caller: &Caller,
        config: &ConfigName,
        to: RevisionNumber,
        message: Option<String>,
        precondition: &Precondition,
        now: Timestamp,
    ) -> Result<Put, RollbackError> {
        let mut conn = self.db().read().await?;
        if standing(configs::find(&mut conn, &caller.namespace, config).await?).is_none() {
            return Err(RollbackError::NoConfig {
                config: config.clone(),
            });
        }
        let earlier = configs::revision(&mut conn, &caller.namespace, config, to).await?;
        drop(conn);
        let earlier = earlier.ok_or_else(|| RollbackError::NoRevision {
            config: config.clone(),
            revision: to,
        })?;
        let again = NewRevision {
            kind: earlier.kind.as_str().to_owned(),
            aim: Aim {
                selector: earlier.selector,
                priority: earlier.priority,
            },
            body: earlier.body.to_vec(),
            message: message.unwrap_or_else(|| format!("back to {} ({to})", earlier.version)),
            version: Version::Counted,
            origin: Origin::Rollback(to),
        };
        Ok(self
            .put_config(caller, config, &again, precondition, now)
            .await?)
    }
}
