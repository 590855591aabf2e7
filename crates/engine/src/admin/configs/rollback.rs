//! Going back: an earlier revision as a new one.

use domain::{ConfigName, RevisionNumber};
use jiff::Timestamp;
use store::StoreError;

use super::{
    Aim, NewRevision, NewTemplate, NoSuch, Origin, Precondition, Put, PutConfigError, Version,
    find_revision,
};
use crate::admin::access::Caller;
use crate::engine::Engine;

/// Why no revision was made of an earlier one.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is no such config or revision.
    #[error(transparent)]
    NoSuch(#[from] NoSuch),
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
        let earlier = find_revision::<RollbackError>(&mut conn, caller, config, Some(to)).await?;
        drop(conn);
        let again = NewRevision {
            kind: earlier.kind.as_str().to_owned(),
            aim: Aim {
                selector: earlier.selector,
                priority: earlier.priority,
            },
            body: earlier.body.to_vec(),
            template: earlier.template.map(|template| NewTemplate {
                variables: template.variables,
                overrides: template.overrides,
            }),
            message: message.unwrap_or_else(|| format!("back to {} ({to})", earlier.version)),
            version: Version::Counted,
            origin: Origin::Rollback(to),
        };
        Ok(self
            .put_config(caller, config, &again, precondition, now)
            .await?)
    }
}
