//! Tokens of agents and of administrators: only their SHA-256 is stored.

use domain::model::InstanceUid;
use domain::{Actor, ContentHash, Labels, Namespace, TokenId};
use jiff::Timestamp;

use crate::{Conn, StoreError, Tx};

/// Whom a token lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenKind {
    /// An agent, on the agent plane.
    Agent,
    /// An administrator, on the admin plane.
    Admin,
}

/// A token without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id, which is no secret.
    pub id: TokenId,
    /// The namespace it acts in.
    pub namespace: Namespace,
    /// Whom it lets in.
    pub kind: TokenKind,
    /// Its name, for people.
    pub name: String,
    /// The SHA-256 of its text.
    pub hash: ContentHash,
    /// The labels that an agent gets from it.
    pub labels: Labels,
    /// The one uid it is for, if it is bound.
    pub uid: Option<InstanceUid>,
    /// Who made it.
    pub created_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRecord {
    /// Whether it lets anybody in at a time.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Adds a token.
///
/// # Errors
/// [`StoreError`].
pub async fn add(_tx: &mut Tx, _token: &TokenRecord) -> Result<(), StoreError> {
    unimplemented!()
}

/// The token of a kind with this hash, in whichever namespace, active or not.
///
/// # Errors
/// [`StoreError`].
pub async fn find_by_hash(
    _conn: &mut Conn,
    _kind: TokenKind,
    _hash: &ContentHash,
) -> Result<Option<TokenRecord>, StoreError> {
    unimplemented!()
}

/// One token of a namespace.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    _conn: &mut Conn,
    _ns: &Namespace,
    _id: TokenId,
) -> Result<Option<TokenRecord>, StoreError> {
    unimplemented!()
}

/// The tokens of a kind in a namespace, by id, after one if it is named; revoked ones included.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    _conn: &mut Conn,
    _ns: &Namespace,
    _kind: TokenKind,
    _after: Option<TokenId>,
    _limit: u32,
) -> Result<Vec<TokenRecord>, StoreError> {
    unimplemented!()
}

/// Every token of a kind in all namespaces that is neither revoked nor ended, to be checked in memory.
///
/// # Errors
/// [`StoreError`].
pub async fn load_active(
    _conn: &mut Conn,
    _kind: TokenKind,
    _now: Timestamp,
) -> Result<Vec<TokenRecord>, StoreError> {
    unimplemented!()
}

/// Revokes a token; says whether there is such a token that was not revoked.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke(
    _tx: &mut Tx,
    _ns: &Namespace,
    _id: TokenId,
    _at: Timestamp,
) -> Result<bool, StoreError> {
    unimplemented!()
}
