//! Configs, their revisions, and what of them is in force: baselines and exceptions.

use std::collections::BTreeMap;

use domain::{
    Actor, AgentId, BaselineRecord, ConfigName, ConfigRecord, ContentHash, Exception, Kind,
    Namespace, Revision, RevisionNumber, Selector,
};
use jiff::Timestamp;

use crate::{Conn, StoreError, Tx};

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
    /// Values for its template.
    pub variables: BTreeMap<String, String>,
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

/// A config beside its newest revision and the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigOverview {
    /// The config.
    pub config: ConfigRecord,
    /// Its newest revision.
    pub latest: RevisionHead,
    /// The revision in force.
    pub baseline: Option<RevisionNumber>,
}

/// A config, deleted ones included.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    _conn: &mut Conn,
    _ns: &Namespace,
    _name: &ConfigName,
) -> Result<Option<ConfigRecord>, StoreError> {
    unimplemented!()
}

/// A config, deleted ones included, that nobody else changes until the transaction ends: read, decide, write.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(
    _tx: &mut Tx,
    _ns: &Namespace,
    _name: &ConfigName,
) -> Result<Option<ConfigRecord>, StoreError> {
    unimplemented!()
}

/// The configs of a namespace that are not deleted, by name, after one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    _conn: &mut Conn,
    _ns: &Namespace,
    _after: Option<&ConfigName>,
    _limit: u32,
) -> Result<Vec<ConfigOverview>, StoreError> {
    unimplemented!()
}

/// Adds a revision whose number is one more than the config's newest (1 for a new config), and revives a deleted
/// config. Says whether it did: `false` means that somebody else added that number first.
///
/// # Errors
/// [`StoreError`].
pub async fn add_revision(_tx: &mut Tx, _revision: &Revision) -> Result<bool, StoreError> {
    unimplemented!()
}

/// One revision with its body.
///
/// # Errors
/// [`StoreError`].
pub async fn revision(
    _conn: &mut Conn,
    _ns: &Namespace,
    _config: &ConfigName,
    _number: RevisionNumber,
) -> Result<Option<Revision>, StoreError> {
    unimplemented!()
}

/// A config's revisions, newest first, before one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn revisions(
    _conn: &mut Conn,
    _ns: &Namespace,
    _config: &ConfigName,
    _before: Option<RevisionNumber>,
    _limit: u32,
) -> Result<Vec<RevisionHead>, StoreError> {
    unimplemented!()
}

/// Marks a config as deleted; says whether there was one that was not. Its revisions stay until retention drops them.
///
/// # Errors
/// [`StoreError`].
pub async fn mark_deleted(
    _tx: &mut Tx,
    _ns: &Namespace,
    _name: &ConfigName,
    _at: Timestamp,
) -> Result<bool, StoreError> {
    unimplemented!()
}

/// Puts a revision in force.
///
/// # Errors
/// [`StoreError`].
pub async fn set_baseline(_tx: &mut Tx, _baseline: &BaselineRecord) -> Result<(), StoreError> {
    unimplemented!()
}

/// Leaves no revision of a config in force; says whether one was.
///
/// # Errors
/// [`StoreError`].
pub async fn clear_baseline(
    _tx: &mut Tx,
    _ns: &Namespace,
    _config: &ConfigName,
) -> Result<bool, StoreError> {
    unimplemented!()
}

/// The revision of a config that is in force.
///
/// # Errors
/// [`StoreError`].
pub async fn baseline(
    _conn: &mut Conn,
    _ns: &Namespace,
    _config: &ConfigName,
) -> Result<Option<BaselineRecord>, StoreError> {
    unimplemented!()
}

/// Lets an agent go its own way for one config.
///
/// # Errors
/// [`StoreError`].
pub async fn set_exception(_tx: &mut Tx, _exception: &Exception) -> Result<(), StoreError> {
    unimplemented!()
}

/// Ends an exception; says whether there was one.
///
/// # Errors
/// [`StoreError`].
pub async fn clear_exception(
    _tx: &mut Tx,
    _ns: &Namespace,
    _agent: AgentId,
    _config: &ConfigName,
) -> Result<bool, StoreError> {
    unimplemented!()
}

/// The exceptions of one agent.
///
/// # Errors
/// [`StoreError`].
pub async fn exceptions_of(
    _conn: &mut Conn,
    _ns: &Namespace,
    _agent: AgentId,
) -> Result<Vec<Exception>, StoreError> {
    unimplemented!()
}
