//! Revisions of configs: immutable, numbered one after the other; retention may leave gaps.

use std::sync::Arc;

use domain::{
    Actor, ConfigName, ContentHash, Kind, Namespace, Revision, RevisionNumber, Selector, Template,
    Variables,
};
use jiff::Timestamp;

use crate::contents::{self, ContentKind};
use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, Tx, codec};

/// A revision without its body, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionHead {
    /// Its number.
    pub number: RevisionNumber,
    /// Its semantic version.
    pub version: String,
    /// What the body is.
    pub kind: Kind,
    /// The agents it is for.
    pub selector: Selector,
    /// Its place among the layers of an agent.
    pub priority: i64,
    /// What makes its body a template.
    pub template: Option<Template>,
    /// What its body says, if it is a set of variables.
    pub variables: Option<Arc<Variables>>,
    /// The SHA-256 of its body.
    pub sha256: ContentHash,
    /// The size of its body.
    pub body_bytes: u64,
    /// Who made it.
    pub author: Actor,
    /// Why.
    pub message: String,
    /// When.
    pub created_at: Timestamp,
    /// Where it came from.
    pub origin: String,
}

/// The columns of [`RevisionHead`], of a table named `r`.
pub(super) const HEAD: &str =
    "r.number, r.version, r.kind, r.selector, r.priority, r.template, r.variables, r.sha256,
    r.body_bytes, r.author, r.message, r.created_at, r.origin";

pub(super) fn read_head(row: &mut Columns<'_>) -> Result<RevisionHead, StoreError> {
    Ok(RevisionHead {
        number: RevisionNumber(row.count()?),
        version: row.text()?.to_owned(),
        kind: Kind::parse(row.text()?).ok_or(StoreError::Corrupt {
            what: "config kind",
        })?,
        selector: row.parsed("selector")?,
        priority: row.int()?,
        template: row.opt_text()?.map(codec::decode_template).transpose()?,
        variables: row
            .opt_text()?
            .map(codec::decode_variables)
            .transpose()?
            .map(Arc::new),
        sha256: row.hash()?,
        body_bytes: row.count()?,
        author: Actor::named(row.text()?),
        message: row.text()?.to_owned(),
        created_at: row.time()?,
        origin: row.text()?.to_owned(),
    })
}

impl RevisionHead {
    fn with_body(self, ns: &Namespace, config: &ConfigName, body: Vec<u8>) -> Revision {
        Revision {
            namespace: ns.clone(),
            config: config.clone(),
            number: self.number,
            version: self.version,
            kind: self.kind,
            selector: self.selector,
            priority: self.priority,
            template: self.template,
            variables: self.variables,
            body: body.into(),
            sha256: self.sha256,
            author: self.author,
            message: self.message,
            created_at: self.created_at,
            origin: self.origin,
        }
    }
}

/// Adds a revision whose number is one more than the config's newest (1 for a new config), and revives a deleted
/// config. Says whether it did: `false` means that somebody else added that number first.
///
/// # Errors
/// [`StoreError`].
pub async fn add_revision(tx: &mut Tx, revision: &Revision) -> Result<bool, StoreError> {
    if !claim_number(tx, revision).await? {
        return Ok(false);
    }
    let at = revision.created_at;
    let stored = contents::put(
        tx,
        &revision.namespace,
        ContentKind::Revision,
        &revision.body,
        at,
    )
    .await?;
    query(
        "storing a revision",
        "INSERT INTO revisions (namespace, config, number, version, kind, selector, priority, template, variables,
             sha256, body_bytes, author, message, created_at, origin)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(&revision.namespace)
    .bind(revision.config.as_str())
    .bind(revision.number.0)
    .bind(revision.version.as_str())
    .bind(revision.kind.as_str())
    .bind(revision.selector.to_string())
    .bind(revision.priority)
    .bind(revision.template.as_ref().map(codec::encode_template))
    .bind(
        revision
            .variables
            .as_deref()
            .map(codec::encode_variables),
    )
    .bind(&stored)
    .bind(revision.body.len() as u64)
    .bind(revision.author.as_str())
    .bind(revision.message.as_str())
    .bind(at)
    .bind(revision.origin.as_str())
    .run(tx)
    .await?;
    Ok(true)
}

/// Moves the config's newest number on by one, or makes the config.
async fn claim_number(tx: &mut Tx, revision: &Revision) -> Result<bool, StoreError> {
    let text = if revision.number == RevisionNumber(1) {
        "INSERT INTO configs (namespace, name, latest, version, created_at) VALUES ($1, $2, $3, 1, $4)
         ON CONFLICT DO NOTHING"
    } else {
        "UPDATE configs SET latest = $3, version = version + 1, deleted_at = NULL,
             created_at = CASE WHEN deleted_at IS NULL THEN created_at ELSE $4 END
         WHERE namespace = $1 AND name = $2 AND latest = $3 - 1"
    };
    let claimed = query("numbering a revision", text)
        .bind(&revision.namespace)
        .bind(revision.config.as_str())
        .bind(revision.number.0)
        .bind(revision.created_at)
        .run(tx)
        .await?;
    Ok(claimed == 1)
}

/// One revision with its body.
///
/// # Errors
/// [`StoreError`].
pub async fn revision(
    conn: &mut Conn,
    ns: &Namespace,
    config: &ConfigName,
    number: RevisionNumber,
) -> Result<Option<Revision>, StoreError> {
    let text = format!(
        "SELECT {HEAD} FROM revisions r WHERE r.namespace = $1 AND r.config = $2 AND r.number = $3"
    );
    let head = query_built("reading a revision", text)
        .bind(ns)
        .bind(config.as_str())
        .bind(number.0)
        .read_one(conn, read_head)
        .await?;
    let Some(head) = head else { return Ok(None) };
    let body = contents::get(conn, ns, ContentKind::Revision, &head.sha256).await?;
    Ok(Some(head.with_body(ns, config, body)))
}

/// A config's revisions, newest first, before one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn revisions(
    conn: &mut Conn,
    ns: &Namespace,
    config: &ConfigName,
    before: Option<RevisionNumber>,
    limit: u32,
) -> Result<Vec<RevisionHead>, StoreError> {
    let text = format!(
        "SELECT {HEAD} FROM revisions r WHERE r.namespace = $1 AND r.config = $2 AND r.number < $3
         ORDER BY r.number DESC LIMIT $4"
    );
    query_built("listing revisions", text)
        .bind(ns)
        .bind(config.as_str())
        .bind(before.map_or(i64::MAX.cast_unsigned(), |before| before.0))
        .bind(limit)
        .read(conn, read_head)
        .await
}
