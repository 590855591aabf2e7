//! Finding the revision that somebody means.

use domain::{ConfigName, ConfigRecord, Revision, RevisionNumber};
use store::{Conn, StoreError, configs};

use super::standing;
use crate::admin::access::Caller;

/// A config, or a revision of one, that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuch {
    /// There is no such config.
    #[error("there is no config {config}")]
    Config {
        /// Its name.
        config: ConfigName,
    },
    /// There is no such revision.
    #[error("the config {config} has no revision {revision}")]
    Revision {
        /// The config.
        config: ConfigName,
        /// The number.
        revision: RevisionNumber,
    },
}

impl NoSuch {
    pub(in crate::admin) fn config(name: &ConfigName) -> Self {
        Self::Config {
            config: name.clone(),
        }
    }
}

/// A config that is not deleted.
pub(in crate::admin) async fn find_config<E>(
    conn: &mut Conn,
    caller: &Caller,
    config: &ConfigName,
) -> Result<ConfigRecord, E>
where
    E: From<NoSuch> + From<StoreError>,
{
    let found = configs::find(conn, &caller.namespace, config).await?;
    standing(found).ok_or_else(|| NoSuch::config(config).into())
}

/// A revision of a config that is not deleted; the newest when no number is given.
pub(in crate::admin) async fn find_revision<E>(
    conn: &mut Conn,
    caller: &Caller,
    config: &ConfigName,
    number: Option<RevisionNumber>,
) -> Result<Revision, E>
where
    E: From<NoSuch> + From<StoreError>,
{
    let record = find_config::<E>(conn, caller, config).await?;
    let number = number.unwrap_or(record.latest);
    let found = configs::revision(conn, &caller.namespace, config, number).await?;
    found.ok_or_else(|| {
        let config = config.clone();
        NoSuch::Revision {
            config,
            revision: number,
        }
        .into()
    })
}
