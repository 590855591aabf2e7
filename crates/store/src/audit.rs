//! The audit chain: entries in one order, each with the hash of the one before it.

use domain::{AuditEntry, ContentHash, Namespace};

use crate::{Conn, StoreError, Tx};

/// An entry in its place on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place, counted from 1 without gaps.
    pub sequence: u64,
    /// The hash of the entry before it; zeros for the first.
    pub previous: ContentHash,
    /// What happened.
    pub entry: AuditEntry,
    /// The hash of all of the above.
    pub hash: ContentHash,
}

/// Computes the hash of an entry from its place, the hash before it and itself.
///
/// Times are handed to it as they are stored, in microseconds, so that verification gets the same.
pub type ChainHash = fn(sequence: u64, previous: &ContentHash, entry: &AuditEntry) -> ContentHash;

/// Puts an entry on the chain, in the transaction of the write it records. Do it last: until the transaction ends,
/// no other can append.
///
/// # Errors
/// [`StoreError`].
pub async fn append(
    _tx: &mut Tx,
    _entry: &AuditEntry,
    _hash: ChainHash,
) -> Result<AuditRecord, StoreError> {
    unimplemented!()
}

/// Entries of a namespace, newest first, before a sequence number if one is named.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    _conn: &mut Conn,
    _ns: &Namespace,
    _before: Option<u64>,
    _limit: u32,
) -> Result<Vec<AuditRecord>, StoreError> {
    unimplemented!()
}

/// The chain itself, over all namespaces, after a sequence number (0: from the start), for verification.
///
/// # Errors
/// [`StoreError`].
pub async fn chain(
    _conn: &mut Conn,
    _after: u64,
    _limit: u32,
) -> Result<Vec<AuditRecord>, StoreError> {
    unimplemented!()
}
