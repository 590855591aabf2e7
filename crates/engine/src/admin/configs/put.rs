//! Making a revision.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use backends::git::CommitId;
use desired::BodyError;
use domain::{
    AgentId, ConfigName, ConfigRecord, ContentHash, EventKind, Kind, Namespace, NewEvent, Revision,
    RevisionNumber, Template, Variables,
};
use jiff::Timestamp;
use store::configs::RevisionHead;
use store::{StoreError, Tx, configs, events};

use super::template::read_set;
use super::version::{InvalidVersion, Version};
use super::{
    Aim, InvalidVariables, NewTemplate, OwnedBySource, Precondition, PreconditionFailed,
    UnknownKind, read_kind, standing,
};
use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::admin::retry_contended;
use crate::engine::Engine;

/// The longest message of a revision, in bytes.
pub(in crate::admin) const MESSAGE_MAX_BYTES: usize = 4096;

/// What stands in shown configs in place of secrets. A body that holds one was copied from such a display, and
/// releasing it would replace a secret by this text.
pub(super) const REDACTED_MARKS: [&str; 3] = ["[REDACTED", ":***@", "Bearer ***"];

/// What a new revision is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevision {
    /// The kind, as the caller wrote it.
    pub kind: String,
    /// Whom it is for and where it merges.
    pub aim: Aim,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// What makes it a template; `None`: it is sent as it is.
    pub template: Option<NewTemplate>,
    /// Why.
    pub message: String,
    /// The semantic version it is to have.
    pub version: Version,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a revision comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// Somebody wrote it.
    #[default]
    Api,
    /// It is this earlier revision again.
    Rollback(RevisionNumber),
    /// This agent ran it.
    Import(AgentId),
    /// This commit of the config source has it.
    Git(CommitId),
}

/// How the origin of revisions begins that come from a commit.
pub(in crate::admin) const GIT_ORIGIN: &str = "git ";

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api => f.write_str("api"),
            Self::Rollback(number) => write!(f, "rollback to {number}"),
            Self::Import(agent) => write!(f, "import from agent {agent}"),
            Self::Git(commit) => write!(f, "{GIT_ORIGIN}{commit}"),
        }
    }
}

/// What a put came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// A revision was made.
    Made {
        /// It.
        revision: Box<Revision>,
        /// The config's version, for the entity tag.
        version: u64,
    },
    /// The newest revision is just that; it stands, and nothing was made.
    Stands {
        /// It.
        revision: Box<Revision>,
        /// The config's version, for the entity tag.
        version: u64,
    },
}

/// Why a revision was not made.
#[derive(Debug, thiserror::Error)]
pub enum PutConfigError {
    /// The kind does not exist.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
    /// The body cannot be a config.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The variables of a template cannot be.
    #[error(transparent)]
    Variables(#[from] InvalidVariables),
    /// The body holds the mark that stands for secrets in what is shown.
    #[error(
        "line {line} holds {mark:?}, which stands for a secret that was not shown: put the secret, or a ${{env:NAME}} reference, in its place"
    )]
    Redacted {
        /// The line, from 1.
        line: usize,
        /// The mark.
        mark: &'static str,
    },
    /// A set of variables that is to be a template.
    #[error(
        "a set of variables is no template: its body is the map of their values; for other values for some agents make another set with their selector"
    )]
    SetIsTemplate,
    /// The config has another kind.
    #[error(
        "the config {config} is of kind {kind}, and stays so: give this one another name, or delete that one first"
    )]
    OtherKind {
        /// The config.
        config: ConfigName,
        /// Its kind.
        kind: Kind,
    },
    /// The message is too long.
    #[error("the message has {bytes} bytes, allowed are {MESSAGE_MAX_BYTES}")]
    MessageTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The version cannot be.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
    /// The caller's precondition does not hold.
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    /// The config comes from a config source, which alone changes it.
    #[error(transparent)]
    Owned(#[from] OwnedBySource),
    /// Others made revisions at the same time, again and again.
    #[error("others write this config at the same time")]
    Raced,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PutConfigError {
    fn is_contended(&self) -> bool {
        match self {
            Self::Raced => true,
            Self::Store(error) => error.is_contended(),
            _ => false,
        }
    }
}

impl Engine {
    /// Makes a revision of a config, unless the newest is just that. No agent changes.
    ///
    /// # Errors
    /// [`PutConfigError`].
    pub async fn put_config(
        &self,
        caller: &Caller,
        name: &ConfigName,
        new: &NewRevision,
        precondition: &Precondition,
        now: Timestamp,
    ) -> Result<Put, PutConfigError> {
        let read = self.check_new_revision(new)?;
        retry_contended!(self.try_put_config(caller, name, (new, &read), precondition, now))
    }

    /// [`check_new_revision`] within this engine's limits.
    pub(in crate::admin) fn check_new_revision(
        &self,
        new: &NewRevision,
    ) -> Result<ReadBody, PutConfigError> {
        check_new_revision(new, &self.options().limits.desired)
    }

    async fn try_put_config(
        &self,
        caller: &Caller,
        name: &ConfigName,
        (new, read): (&NewRevision, &ReadBody),
        precondition: &Precondition,
        now: Timestamp,
    ) -> Result<Put, PutConfigError> {
        let mut tx = self.db().begin().await?;
        let record = configs::lock(&mut tx, &caller.namespace, name).await?;
        let standing_config = standing(record);
        OwnedBySource::check(standing_config.as_ref())?;
        precondition.check(standing_config.as_ref())?;
        let before = newest(&mut tx, &caller.namespace, name).await?;
        check_kind(standing_config.as_ref(), before.as_ref(), &new.kind)?;
        if let (Some(config), Some(latest)) = (standing_config, &before)
            && is_same(latest, new)
        {
            let revision =
                configs::revision(&mut tx, &caller.namespace, name, latest.number).await?;
            let revision = Box::new(revision.ok_or(StoreError::Corrupt { what: "revision" })?);
            return Ok(Put::Stands {
                revision,
                version: config.version,
            });
        }
        let new = (new, read.clone());
        let revision = revision_of(caller, name, new, before.as_ref(), now)?;
        if !configs::add_revision(&mut tx, &revision).await? {
            return Err(PutConfigError::Raced);
        }
        let version = written_version(&mut tx, caller, name).await?;
        let event = created(&revision, now);
        let event = events::append(&mut tx, &[event]).await?;
        let act = creation(&revision, before.as_ref());
        act.done(&mut tx, caller, now).await?;
        tx.commit().await?;
        event.into_iter().for_each(|event| self.announce(event));
        Ok(Put::Made {
            revision: Box::new(revision),
            version,
        })
    }
}

/// What was found in a body when it was checked.
#[derive(Debug, Clone, Default)]
pub(in crate::admin) struct ReadBody {
    /// What makes it a template.
    pub template: Option<Template>,
    /// Its values, if it is a set of variables.
    pub variables: Option<Arc<Variables>>,
}

/// A config that stands keeps its kind: what it once was may be in force, or somebody may go back to it.
pub(in crate::admin) fn check_kind(
    standing: Option<&ConfigRecord>,
    before: Option<&RevisionHead>,
    kind: &str,
) -> Result<(), PutConfigError> {
    match (standing, before) {
        (Some(config), Some(before)) if before.kind.as_str() != kind => {
            Err(PutConfigError::OtherKind {
                config: config.name.clone(),
                kind: before.kind,
            })
        }
        _ => Ok(()),
    }
}

/// Checks what can be checked of a revision alone; of a template with the names that it uses.
pub(in crate::admin) fn check_new_revision(
    new: &NewRevision,
    limits: &desired::Limits,
) -> Result<ReadBody, PutConfigError> {
    let kind = read_kind(&new.kind)?;
    if MESSAGE_MAX_BYTES < new.message.len() {
        return Err(PutConfigError::MessageTooLong {
            bytes: new.message.len(),
        });
    }
    let mut read = ReadBody::default();
    match (kind, &new.template) {
        (Kind::Collector, Some(template)) => {
            template.check()?;
            let uses = desired::check_template_within(&new.body, template.sets(), limits)?;
            read.template = Some(template.using(uses));
        }
        (Kind::Collector, None) => desired::check_body_within(&new.body, limits)?,
        (Kind::Variables, Some(_)) => return Err(PutConfigError::SetIsTemplate),
        (Kind::Variables, None) => {
            read.variables = Some(Arc::new(read_set(&new.body, limits)?));
        }
    }
    match redacted_line(&new.body) {
        Some((line, mark)) => Err(PutConfigError::Redacted { line, mark }),
        None => Ok(read),
    }
}

/// The newest revision of a config, deleted ones included.
pub(in crate::admin) async fn newest(
    tx: &mut Tx,
    namespace: &Namespace,
    name: &ConfigName,
) -> Result<Option<RevisionHead>, StoreError> {
    Ok(configs::revisions(tx, namespace, name, None, 1)
        .await?
        .pop())
}

async fn written_version(
    tx: &mut Tx,
    caller: &Caller,
    name: &ConfigName,
) -> Result<u64, StoreError> {
    let written: Option<ConfigRecord> = configs::find(tx, &caller.namespace, name).await?;
    written
        .map(|config| config.version)
        .ok_or(StoreError::Corrupt { what: "config" })
}

/// Whether a revision says just what a new one would.
pub(in crate::admin) fn is_same(latest: &RevisionHead, new: &NewRevision) -> bool {
    latest.kind.as_str() == new.kind
        && latest.selector == new.aim.selector
        && latest.priority == new.aim.priority
        && match (&new.template, &latest.template) {
            (Some(new), Some(standing)) => new.is(standing),
            (new, standing) => new.is_none() && standing.is_none(),
        }
        && latest.sha256 == body_hash(new)
}

fn body_hash(new: &NewRevision) -> ContentHash {
    ContentHash::from_bytes(trust::sha256(&new.body))
}

/// The revision that a put makes after another.
pub(in crate::admin) fn revision_of(
    caller: &Caller,
    name: &ConfigName,
    (new, read): (&NewRevision, ReadBody),
    before: Option<&RevisionHead>,
    now: Timestamp,
) -> Result<Revision, PutConfigError> {
    Ok(Revision {
        namespace: caller.namespace.clone(),
        config: name.clone(),
        number: before.map_or(RevisionNumber(1), |before| before.number.next()),
        version: new.version.after(before, &new.aim)?.to_string(),
        kind: read_kind(&new.kind)?,
        selector: new.aim.selector.clone(),
        priority: new.aim.priority,
        template: read.template,
        variables: read.variables,
        body: Arc::from(new.body.as_slice()),
        sha256: body_hash(new),
        author: caller.actor.clone(),
        message: new.message.clone(),
        created_at: now,
        origin: new.origin.to_string(),
    })
}

/// The event of a revision that was made.
pub(in crate::admin) fn created(revision: &Revision, now: Timestamp) -> NewEvent {
    NewEvent {
        namespace: revision.namespace.clone(),
        agent: None,
        at: now,
        kind: EventKind::RevisionCreated,
        detail: BTreeMap::from([
            ("config".to_owned(), revision.config.to_string()),
            ("revision".to_owned(), revision.number.to_string()),
            ("author".to_owned(), revision.author.to_string()),
        ]),
    }
}

/// The audit entry of a revision that was made after another.
pub(in crate::admin) fn creation(revision: &Revision, before: Option<&RevisionHead>) -> Act {
    let act = Act::new(
        "config.revision_created",
        "put",
        format!("configs/{}", revision.config),
    )
    .new_value(shown(
        revision.number,
        &revision.selector.to_string(),
        revision.priority,
        &revision.sha256,
    ));
    let Some(before) = before else { return act };
    act.old(shown(
        before.number,
        &before.selector.to_string(),
        before.priority,
        &before.sha256,
    ))
}

/// A revision in the audit log: its body stands there by its hash only, so no secret does.
fn shown(
    number: RevisionNumber,
    selector: &str,
    priority: i64,
    sha256: &ContentHash,
) -> serde_json::Value {
    serde_json::json!({
        "revision": number.0, "selector": selector, "priority": priority, "sha256": sha256.to_string(),
    })
}

/// The first line that holds the mark of a redacted secret.
fn redacted_line(body: &[u8]) -> Option<(usize, &'static str)> {
    let text = String::from_utf8_lossy(body);
    let mark_in = |line: &str| REDACTED_MARKS.into_iter().find(|mark| line.contains(mark));
    text.lines()
        .enumerate()
        .find_map(|(index, line)| Some((index + 1, mark_in(line)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_copied_from_a_redacted_display_is_found() {
        let secret =
            "exporters:\n  otlp:\n    headers: {api-key: hunter2}\n    endpoint: https://a:b@c/\n";
        assert_eq!(redacted_line(secret.as_bytes()), None);
        let shown = crate::admin::agents::redacted_body(secret.as_bytes());
        assert_eq!(redacted_line(shown.as_bytes()), Some((3, "[REDACTED")));
        let url = crate::admin::agents::redacted_body(
            b"exporters:\n  otlp:\n    endpoint: https://a:b@c/\n",
        );
        assert!(redacted_line(url.as_bytes()).is_some(), "{url}");
    }
}
