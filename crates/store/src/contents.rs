//! Contents: large values stored once per (namespace, kind, SHA-256), compressed.

use domain::{ContentHash, Namespace};
use jiff::Timestamp;

use crate::{Conn, StoreError, Tx};

/// What a content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentKind {
    /// An agent's effective config.
    Effective,
    /// An agent's description.
    Description,
    /// An agent's component inventory.
    Components,
    /// What agents should run.
    Desired,
    /// The body of a revision.
    Revision,
}

/// Stores a content and gives the SHA-256 it is found by. What is there already is kept and counts as new again.
///
/// # Errors
/// [`StoreError`].
pub async fn put(
    _tx: &mut Tx,
    _ns: &Namespace,
    _kind: ContentKind,
    _bytes: &[u8],
    _at: Timestamp,
) -> Result<ContentHash, StoreError> {
    unimplemented!()
}

/// A stored content.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    _conn: &mut Conn,
    _ns: &Namespace,
    _kind: ContentKind,
    _hash: &ContentHash,
) -> Result<Option<Vec<u8>>, StoreError> {
    unimplemented!()
}
