//! Configs: making revisions, reading and deleting them. Making one changes no agent.

pub(in crate::admin) mod delete;
mod find;
mod import;
mod owned;
mod plan;
pub(in crate::admin) mod put;
mod render;
mod rollback;
mod tags;
mod template;
mod version;

use domain::{
    ConfigName, ConfigRecord, InvalidName, Kind, Revision, RevisionNumber, Rollout, Selector,
};
use jiff::Timestamp;
use store::{Conn, StoreError, configs, rollouts};

pub use store::configs::{ConfigOverview, RevisionHead};

pub use delete::{DeleteConfigError, Deleted, InForce};
pub use find::NoSuch;
pub(in crate::admin) use find::{find_config, find_revision};
pub use import::ImportConfigError;
pub use owned::OwnedBySource;
pub use plan::{Plan, PlanError, Proposal};
pub use put::{NewRevision, Origin, Put, PutConfigError};
pub use render::{GivenBySet, RenderError, RenderFor, RenderWhat, RenderedBody};
pub use rollback::RollbackError;
pub use store::configs::Tag;
pub use tags::TagError;
pub use template::{InvalidVariables, NewTemplate};
pub use version::{InvalidVersion, Version};

pub use desired::{redacted_variables, redacted_variables_pair};

use super::access::Caller;
use super::audit::Act;
use super::{PageOf, Paged};
use crate::engine::Engine;

/// What must hold of a config before it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// It exists.
    Exists,
    /// It has one of these versions.
    Version(Vec<u64>),
    /// It does not exist.
    Absent,
}

/// A config with what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDetail {
    /// The config, its newest revision and the one in force.
    pub overview: ConfigOverview,
    /// Its newest rollout.
    pub last_rollout: Option<Rollout>,
    /// Its tags, by name.
    pub tags: Vec<Tag>,
}

/// A precondition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreconditionFailed {
    /// There is no such config.
    #[error("the config does not exist")]
    Absent,
    /// There is such a config.
    #[error("the config exists already, with version {current}")]
    Exists {
        /// Its version.
        current: u64,
    },
    /// Somebody else wrote in between.
    #[error("the config has version {current} now")]
    Version {
        /// Its version.
        current: u64,
    },
}

impl Precondition {
    /// Checks it against the config as it stands; a deleted one does not exist.
    pub(super) fn check(&self, standing: Option<&ConfigRecord>) -> Result<(), PreconditionFailed> {
        match (self, standing) {
            (Self::None, _) | (Self::Exists, Some(_)) | (Self::Absent, None) => Ok(()),
            (Self::Exists | Self::Version(_), None) => Err(PreconditionFailed::Absent),
            (Self::Absent, Some(config)) => Err(PreconditionFailed::Exists {
                current: config.version,
            }),
            (Self::Version(wanted), Some(config)) if wanted.contains(&config.version) => Ok(()),
            (Self::Version(_), Some(config)) => Err(PreconditionFailed::Version {
                current: config.version,
            }),
        }
    }
}

impl Engine {
    /// The configs of the caller's namespace, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn configs(
        &self,
        caller: &Caller,
        page: PageOf<ConfigName>,
    ) -> Result<Paged<ConfigOverview, ConfigName>, StoreError> {
        let mut conn = self.db().read().await?;
        let read = configs::list(
            &mut conn,
            &caller.namespace,
            page.after.as_ref(),
            page.probe(),
        )
        .await?;
        Ok(page.cut(read, |last| last.config.name.clone()))
    }

    /// One config; `None` where there is none or it is deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn config(
        &self,
        caller: &Caller,
        name: &ConfigName,
    ) -> Result<Option<ConfigDetail>, StoreError> {
        let mut conn = self.db().read().await?;
        config_detail(&mut conn, caller, name).await
    }

    /// The revisions of a config, newest first; `None` where there is no such config.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revisions(
        &self,
        caller: &Caller,
        name: &ConfigName,
        page: PageOf<RevisionNumber>,
    ) -> Result<Option<Paged<RevisionHead, RevisionNumber>>, StoreError> {
        let mut conn = self.db().read().await?;
        if standing(configs::find(&mut conn, &caller.namespace, name).await?).is_none() {
            return Ok(None);
        }
        let read = configs::revisions(&mut conn, &caller.namespace, name, page.after, page.probe())
            .await?;
        Ok(Some(page.cut(read, |last| last.number)))
    }

    /// One revision with its true body; the caller redacts what is shown.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revision(
        &self,
        caller: &Caller,
        name: &ConfigName,
        number: RevisionNumber,
    ) -> Result<Option<Revision>, StoreError> {
        let mut conn = self.db().read().await?;
        configs::revision(&mut conn, &caller.namespace, name, number).await
    }

    /// The number of the revision that is kept before another one of its config.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revision_before(
        &self,
        caller: &Caller,
        revision: &Revision,
    ) -> Result<Option<RevisionNumber>, StoreError> {
        let mut conn = self.db().read().await?;
        let before = Some(revision.number);
        let before =
            configs::revisions(&mut conn, &caller.namespace, &revision.config, before, 1).await?;
        Ok(before.first().map(|head| head.number))
    }

    /// Notes that somebody was shown the secrets of a revision. Before they are shown.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_revision_reveal(
        &self,
        caller: &Caller,
        revision: &Revision,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let resource = format!("configs/{}/revisions/{}", revision.config, revision.number);
        let mut tx = self.db().begin().await?;
        Act::new("config.revealed", "reveal", resource)
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await
    }
}

/// A config that is there and not deleted.
pub(super) fn standing(config: Option<ConfigRecord>) -> Option<ConfigRecord> {
    config.filter(|config| config.deleted_at.is_none())
}

async fn config_detail(
    conn: &mut Conn,
    caller: &Caller,
    name: &ConfigName,
) -> Result<Option<ConfigDetail>, StoreError> {
    let namespace = &caller.namespace;
    let Some(config) = standing(configs::find(conn, namespace, name).await?) else {
        return Ok(None);
    };
    let latest = configs::revisions(conn, namespace, name, None, 1)
        .await?
        .pop();
    let latest = latest.ok_or(StoreError::Corrupt {
        what: "config without a revision",
    })?;
    let baseline = configs::baseline(conn, namespace, name)
        .await?
        .map(|baseline| baseline.revision);
    let last_rollout = rollouts::list(conn, namespace, Some(name), None, 1)
        .await?
        .pop();
    Ok(Some(ConfigDetail {
        overview: ConfigOverview {
            config,
            latest,
            baseline,
        },
        last_rollout,
        tags: configs::tags(conn, namespace, name).await?,
    }))
}

/// Reads a kind, or names it for the refusal.
pub(super) fn read_kind(text: &str) -> Result<Kind, UnknownKind> {
    Kind::parse(text).ok_or_else(|| UnknownKind {
        kind: text.to_owned(),
    })
}

/// A kind of config that does not exist (yet).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configs of kind {kind:?} do not exist yet: this version has \"collector\" and \"variables\"")]
pub struct UnknownKind {
    /// What was asked for.
    pub kind: String,
}

impl Engine {
    /// What differs between two bodies of kind `collector` in the Collector's own terms; nothing where one of them cannot be
    /// read.
    #[must_use]
    pub fn difference(
        &self,
        before: &[u8],
        after: &[u8],
    ) -> Option<desired::difference::Difference> {
        desired::difference_of(before, after, &self.options().limits.desired)
    }
}

/// A config name as callers write it.
///
/// # Errors
/// [`InvalidName`].
pub fn config_name(text: &str) -> Result<ConfigName, InvalidName> {
    ConfigName::new(text)
}

/// What decides who gets a config and how it merges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aim {
    /// The agents it is for.
    pub selector: Selector,
    /// Its place among the layers of an agent.
    pub priority: i64,
}
