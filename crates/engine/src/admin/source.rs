//! The config source: configs that stand in a Git repository and are changed there alone.
//!
//! Each commit is applied whole, in one transaction, or refused whole with what is wrong with it; what was applied before
//! then stays. What a commit changed is released by itself or waits for a person, as the source's settings say.
//!
//! The server fetches and drives this: [`Engine::take_commit`] for each commit in its order, then
//! [`Engine::release_source`]. [`SourceDesk`] stands between it and the admin plane.

mod apply;
mod check;
mod commit;
mod desk;
mod document;
mod finding;
mod read;
mod refuse;
mod release;
mod standing;

use std::collections::BTreeMap;

use domain::{EventKind, Namespace, NewEvent};
use jiff::Timestamp;
use store::sources::SourceRecord;
use store::{StoreError, configs, events, sources};

pub use store::sources::{
    AppliedCommit, CommitRecord, RefusedCommit, SourceFinding, SourceRelease,
};

pub use apply::Taken;
pub use check::{
    CheckCode, CheckFinding, CheckOptions, CheckedBuild, SourceCheck, all_codes, check_source,
};
pub use commit::NewCommit;
pub use desk::{Asked, FetchOutcome, FetchReport, SourceDesk};
pub use read::read_documents;
pub use standing::{SourceStanding, Waiting};

use super::access::Caller;
use super::audit::Act;
use crate::engine::Engine;
use crate::events as told;

/// A config source as the server's configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSource {
    /// Where its configs are.
    pub namespace: Namespace,
    /// The repository. It holds no password.
    pub repository: String,
    /// The branch that is followed.
    pub branch: String,
    /// The directory in the repository; empty: all of it.
    pub path: String,
    /// What becomes of what a commit changes.
    pub release: ReleaseBy,
}

/// Who releases what a commit changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReleaseBy {
    /// A person.
    #[default]
    Person,
    /// The source itself, to all agents at once.
    AllAtOnce,
}

impl ConfigSource {
    /// The record of a source of which nothing was taken yet.
    fn fresh(&self) -> SourceRecord {
        SourceRecord {
            namespace: self.namespace.clone(),
            repository: self.repository.clone(),
            branch: self.branch.clone(),
            path: self.path.clone(),
            seen: String::new(),
            applied: None,
            refused: None,
            releases: Vec::new(),
        }
    }

    /// Whether a record is of this very source, and not of one that was configured before.
    fn is_of(&self, record: &SourceRecord) -> bool {
        let SourceRecord {
            repository,
            branch,
            path,
            ..
        } = record;
        (repository, branch, path) == (&self.repository, &self.branch, &self.path)
    }

    fn event(&self, kind: EventKind, at: Timestamp, detail: BTreeMap<String, String>) -> NewEvent {
        NewEvent {
            namespace: self.namespace.clone(),
            agent: None,
            at,
            kind,
            detail,
        }
    }
}

impl Engine {
    /// Lets configs go whose source is configured no more: they are changed through the API again. Gives their number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn let_go_of_sources(
        &self,
        keep: Option<&Namespace>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.db().begin().await?;
        let let_go = configs::disown(&mut tx, keep).await?;
        let forgotten = sources::forget(&mut tx, keep).await?;
        if let_go == 0 && forgotten == 0 {
            return Ok(0);
        }
        Act::new("config_source.removed", "remove", "config-source")
            .new_value(serde_json::json!({ "configs": let_go }))
            .done(&mut tx, &Caller::server(), now)
            .await?;
        tx.commit().await?;
        Ok(let_go)
    }

    /// Notes that somebody asked for a look at the source.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_source_sync(
        &self,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db().begin().await?;
        Act::new("config_source.sync", "sync", "config-source")
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await
    }

    /// Notes that the source cannot be fetched or applied: once, not for every attempt.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_source_failure(
        &self,
        source: &ConfigSource,
        (reason, error): (&'static str, &str),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let detail = BTreeMap::from([
            ("reason".to_owned(), reason.to_owned()),
            ("error".to_owned(), error.to_owned()),
        ]);
        let event = source.event(EventKind::ConfigSourceFailed, now, detail);
        let mut tx = self.db().begin().await?;
        let last = events::append(&mut tx, &[event]).await?;
        tx.commit().await?;
        last.into_iter().for_each(|event| self.announce(event));
        Ok(())
    }

    /// Counts an attempt that failed.
    pub fn count_source_failure(&self, reason: &'static str) {
        told::source_failed(reason);
    }

    /// Notes that the source was fetched, and everything that is new in it looked at.
    pub fn note_source_success(&self, now: Timestamp) {
        told::source_synced(now);
    }
}
