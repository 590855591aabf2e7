//! Applying a commit: all of it in one transaction, or nothing.

use std::collections::{BTreeMap, BTreeSet};

use backends::documents::SourceConfig;
use domain::{ConfigName, EventKind, NewEvent, Revision};
use jiff::Timestamp;
use store::configs::RevisionHead;
use store::sources::{AppliedCommit, SourceFinding, SourceRecord, SourceRelease};
use store::{StoreError, Tx, configs, events, sources};

use super::document::{Checked, of_revision};
use super::finding::{self, finding};
use super::{ConfigSource, NewCommit, ReleaseBy};
use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::admin::configs::delete::{deleted, deletion};
use crate::admin::configs::put::{
    GIT_ORIGIN, PutConfigError, check_kind, created, creation, is_same, newest, revision_of,
};
use crate::admin::configs::{Origin, standing};
use crate::admin::retry_contended;
use crate::engine::Engine;
use crate::events as told;

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It was applied.
    Applied {
        /// Configs with a new revision.
        changed: Vec<ConfigName>,
        /// Configs that are deleted, since they were not in force.
        deleted: Vec<ConfigName>,
        /// Configs that the source has no more, and that are still in force.
        gone: Vec<ConfigName>,
    },
    /// It was refused whole.
    Refused,
}

/// Why a commit was not applied, although nothing is wrong with it.
#[derive(Debug)]
enum ApplyError {
    /// Somebody else made a revision at the same time.
    Raced,
    Store(StoreError),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl ApplyError {
    fn is_contended(&self) -> bool {
        match self {
            Self::Raced => true,
            Self::Store(error) => error.is_contended(),
        }
    }
}

/// What a commit comes to.
#[derive(Default)]
struct Work {
    made: Vec<(Revision, Option<RevisionHead>)>,
    deleted: Vec<ConfigName>,
    gone: Vec<ConfigName>,
}

impl Engine {
    /// Applies a commit of the source, or refuses it: its configs become revisions where they differ from the newest, and
    /// configs that it has no more are deleted, or noted where they are in force. No agent changes.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was applied, and nothing refused.
    pub async fn take_commit(
        &self,
        source: &ConfigSource,
        commit: &NewCommit,
        now: Timestamp,
    ) -> Result<Taken, StoreError> {
        let checked = match &commit.documents {
            Ok(documents) => self.check_documents(commit, documents).await,
            Err(findings) => Err(findings.clone()),
        };
        let taken = retry_contended!(self.try_take(source, commit, &checked, now));
        taken.map_err(|error| match error {
            ApplyError::Store(error) => error,
            ApplyError::Raced => StoreError::Corrupt {
                what: "revision numbers of a config source",
            },
        })
    }

    async fn check_documents<'a>(
        &self,
        commit: &NewCommit,
        documents: &'a [SourceConfig],
    ) -> Result<Vec<Checked<'a>>, Vec<SourceFinding>> {
        let subject = commit.record().message;
        let (mut checked, mut findings) = (Vec::new(), Vec::new());
        for config in documents {
            let from = (Origin::Git(commit.id()), &*subject);
            match Checked::of(config, from, &self.options().limits.desired) {
                Ok(document) => checked.push(document),
                Err(finding) => findings.push(finding),
            }
            // Each takes a while, and agents are served on the same threads.
            tokio::task::yield_now().await;
        }
        if findings.is_empty() {
            // Rows are locked in one order, by whomever.
            checked.sort_by(|a, b| a.config.name.cmp(&b.config.name));
            Ok(checked)
        } else {
            Err(findings)
        }
    }

    async fn try_take(
        &self,
        source: &ConfigSource,
        commit: &NewCommit,
        checked: &Result<Vec<Checked<'_>>, Vec<SourceFinding>>,
        now: Timestamp,
    ) -> Result<Taken, ApplyError> {
        let mut tx = self.db().begin().await?;
        let record = sources::lock(&mut tx, &source.fresh()).await?;
        let mut record = if source.is_of(&record) {
            record
        } else {
            SourceRecord {
                releases: record.releases,
                ..source.fresh()
            }
        };
        if record.has_applied(&commit.id().to_string()) {
            // Another node was faster.
            return Ok(Taken::Applied {
                changed: Vec::new(),
                deleted: Vec::new(),
                gone: Vec::new(),
            });
        }
        let findings = match checked {
            Err(findings) => findings.clone(),
            Ok(checked) => taken_names(&mut tx, source, checked).await?,
        };
        let Ok(checked) = checked else {
            self.refuse_in(tx, (source, record), commit, findings, now)
                .await?;
            return Ok(Taken::Refused);
        };
        if !findings.is_empty() {
            self.refuse_in(tx, (source, record), commit, findings, now)
                .await?;
            return Ok(Taken::Refused);
        }
        let mut work = Work::default();
        for document in checked {
            if let Some(made) = revise(&mut tx, source, commit, document, now).await? {
                work.made.push(made);
            }
        }
        take_away(&mut tx, source, checked, &mut work, now).await?;
        update(&mut record, source, commit, &work, now);
        sources::save(&mut tx, &record).await?;
        let last = note(&mut tx, source, commit, &work, now).await?;
        tx.commit().await?;
        last.into_iter().for_each(|event| self.announce(event));
        told::source_commit_applied(&commit.id().to_string(), work.made.len());
        Ok(Taken::Applied {
            changed: work.made.into_iter().map(|(made, _)| made.config).collect(),
            deleted: work.deleted,
            gone: work.gone,
        })
    }
}

/// Names that belong to others, or to configs of another kind. A config whose newest revision came from a source may be taken again.
async fn taken_names(
    tx: &mut Tx,
    source: &ConfigSource,
    checked: &[Checked<'_>],
) -> Result<Vec<SourceFinding>, StoreError> {
    let mut findings = Vec::new();
    for Checked { config, .. } in checked {
        let found = standing(configs::lock(tx, &source.namespace, &config.name).await?);
        let newest = newest(tx, &source.namespace, &config.name).await?;
        let kind = check_kind(found.as_ref(), newest.as_ref(), config.kind.as_str());
        if found.is_some_and(|found| found.source.is_none())
            && newest.is_none_or(|newest| !newest.origin.starts_with(GIT_ORIGIN))
        {
            findings.push(taken(config));
        } else if let Err(error) = kind {
            findings.push(of_revision(config, &error));
        }
    }
    Ok(findings)
}

/// A name that the source may not have.
fn taken(config: &SourceConfig) -> SourceFinding {
    let problem = format!(
        "the config {} was made through the API, and a source takes none over: give this one another name, or delete that one",
        config.name
    );
    finding(&config.place, finding::NAME_TAKEN, problem)
}

/// Makes a document's revision, unless the newest is just that.
async fn revise(
    tx: &mut Tx,
    source: &ConfigSource,
    commit: &NewCommit,
    document: &Checked<'_>,
    now: Timestamp,
) -> Result<Option<(Revision, Option<RevisionHead>)>, ApplyError> {
    let (namespace, name) = (&source.namespace, &document.config.name);
    let stands = standing(configs::find(tx, namespace, name).await?).is_some();
    let before = newest(tx, namespace, name).await?;
    let is_known = |before: &RevisionHead| stands && is_same(before, &document.new);
    if before.as_ref().is_some_and(is_known) {
        configs::set_owner(tx, namespace, name, &source.repository).await?;
        return Ok(None);
    }
    let caller = Caller::git(namespace);
    let new = (&document.new, document.read.clone());
    let revision = revision_of(&caller, name, new, before.as_ref(), now).map_err(unexpected)?;
    let revision = Revision {
        author: commit.actor(),
        ..revision
    };
    if !configs::add_revision(tx, &revision).await? {
        return Err(ApplyError::Raced);
    }
    configs::set_owner(tx, namespace, name, &source.repository).await?;
    Ok(Some((revision, before)))
}

/// A checked revision of the counted version can be made, but for the database.
fn unexpected(error: PutConfigError) -> ApplyError {
    match error {
        PutConfigError::Store(error) => ApplyError::Store(error),
        _ => ApplyError::Raced,
    }
}

/// Deletes what the source has no more; what is in force only loses its agents by a rollout.
async fn take_away(
    tx: &mut Tx,
    source: &ConfigSource,
    checked: &[Checked<'_>],
    work: &mut Work,
    now: Timestamp,
) -> Result<(), StoreError> {
    let namespace = &source.namespace;
    let kept: BTreeSet<&ConfigName> = checked.iter().map(|checked| &checked.config.name).collect();
    let owned = configs::owned(tx, namespace).await?;
    let names = owned.into_iter().map(|owned| owned.config.name);
    for name in names.filter(|name| !kept.contains(name)) {
        // Whoever puts it in force locks it, too: what is read after this holds.
        configs::lock(tx, namespace, &name).await?;
        if configs::baseline(tx, namespace, &name).await?.is_some() {
            if configs::mark_gone(tx, namespace, &name, now).await? {
                work.gone.push(name);
            }
        } else if configs::mark_deleted(tx, namespace, &name, now).await? {
            work.deleted.push(name);
        }
    }
    Ok(())
}

/// What is to be kept of the source from now on. A new commit is a new reason to try what could not be released.
fn update(
    record: &mut SourceRecord,
    source: &ConfigSource,
    commit: &NewCommit,
    work: &Work,
    now: Timestamp,
) {
    record.seen = commit.id().to_string();
    record.applied = Some(AppliedCommit {
        commit: commit.record(),
        at: now,
        forced: commit.forced,
    });
    record.refused = None;
    let made = work.made.iter().map(|(made, _)| made.config.to_string());
    let gone = work.gone.iter().map(ToString::to_string);
    let earlier = record.releases.iter().map(|release| release.config.clone());
    let due: BTreeSet<String> = match source.release {
        ReleaseBy::Person => BTreeSet::new(),
        ReleaseBy::AllAtOnce => earlier.chain(made).chain(gone).collect(),
    };
    let release = |config| SourceRelease {
        config,
        refused: None,
    };
    record.releases = due.into_iter().map(release).collect();
}

/// Writes the events and audit entries of a commit.
async fn note(
    tx: &mut Tx,
    source: &ConfigSource,
    commit: &NewCommit,
    work: &Work,
    now: Timestamp,
) -> Result<Option<domain::EventId>, StoreError> {
    let record = commit.record();
    let mut detail = BTreeMap::from([
        ("commit".to_owned(), record.id.clone()),
        ("author".to_owned(), record.author),
        ("message".to_owned(), record.message),
        ("revisions".to_owned(), work.made.len().to_string()),
        ("deleted".to_owned(), work.deleted.len().to_string()),
        ("gone".to_owned(), work.gone.len().to_string()),
    ]);
    if commit.forced {
        detail.insert("forced".to_owned(), "true".to_owned());
    }
    let applied = source.event(EventKind::ConfigSourceApplied, now, detail.clone());
    let made = work.made.iter().map(|(revision, _)| created(revision, now));
    let deletions = work
        .deleted
        .iter()
        .map(|name| deleted(&source.namespace, name, now));
    let events: Vec<NewEvent> = made.chain(deletions).chain([applied]).collect();
    let last = events::append(tx, &events).await?;
    let caller = Caller::git(&source.namespace);
    for (revision, before) in &work.made {
        let act = creation(revision, before.as_ref());
        act.done(tx, &caller, now).await?;
    }
    for name in &work.deleted {
        deletion(name).done(tx, &caller, now).await?;
    }
    let resource = format!("config-source/commits/{}", record.id);
    Act::new("config_source.applied", "apply", resource)
        .new_value(serde_json::json!(detail))
        .done(tx, &caller, now)
        .await?;
    Ok(last)
}
