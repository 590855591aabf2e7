//! Materialised desired state: one row per distinct inputs, never per agent.

use domain::model::ConfigMap;
use domain::{ConfigName, ContentHash, Namespace, RevisionNumber};
use jiff::Timestamp;

use crate::{Conn, StoreError, Tx};

/// The kind of desired state that is an agent's remote config.
pub const CONFIG: &str = "config";

/// What agents with certain inputs should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredContent {
    /// Its namespace.
    pub namespace: Namespace,
    /// The kind of offer it is for ([`CONFIG`]).
    pub kind: String,
    /// What distinguishes its inputs from others.
    pub inputs_key: Vec<u8>,
    /// The released revisions it comes from, in the order in which they merge.
    pub layers: Vec<(ConfigName, RevisionNumber)>,
    /// The hash agents know it by.
    pub hash: ContentHash,
    /// The content.
    pub files: ConfigMap,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Stores a desired content; for inputs that are there already, what stands is kept.
///
/// # Errors
/// [`StoreError`].
pub async fn put(_tx: &mut Tx, _content: &DesiredContent) -> Result<(), StoreError> {
    unimplemented!()
}

/// The desired content of certain inputs.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    _conn: &mut Conn,
    _ns: &Namespace,
    _kind: &str,
    _inputs_key: &[u8],
) -> Result<Option<DesiredContent>, StoreError> {
    unimplemented!()
}

/// A desired content by the hash agents know it by.
///
/// # Errors
/// [`StoreError`].
pub async fn find_by_hash(
    _conn: &mut Conn,
    _ns: &Namespace,
    _kind: &str,
    _hash: &ContentHash,
) -> Result<Option<DesiredContent>, StoreError> {
    unimplemented!()
}
