//! Tokens of agents and of administrators: only their SHA-256 is stored.

use domain::model::InstanceUid;
use domain::{Actor, ContentHash, Labels, Namespace, TokenId};
use jiff::Timestamp;

use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, Tx, codec};

/// Whom a token lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenKind {
    /// An agent, on the agent plane.
    Agent,
    /// An administrator, on the admin plane.
    Admin,
}

impl TokenKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Agent, Self::Admin]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
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

const COLUMNS: &str =
    "namespace, id, kind, name, hash, labels, uid, created_by, created_at, expires_at, revoked_at";

/// Adds a token.
///
/// # Errors
/// [`StoreError`].
pub async fn add(tx: &mut Tx, token: &TokenRecord) -> Result<(), StoreError> {
    query(
        "storing a token",
        "INSERT INTO tokens (namespace, id, kind, name, hash, labels, uid, created_by, created_at, expires_at,
             revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&token.namespace)
    .bind(token.id.as_bytes().as_slice())
    .bind(token.kind.as_str())
    .bind(token.name.as_str())
    .bind(&token.hash)
    .bind(codec::encode_labels(&token.labels))
    .bind(token.uid.as_ref().map(|uid| uid.as_bytes().as_slice()))
    .bind(token.created_by.as_str())
    .bind(token.created_at)
    .bind(token.expires_at)
    .bind(token.revoked_at)
    .run(tx)
    .await
    .map(drop)
}

fn read_token(row: &mut Columns<'_>) -> Result<TokenRecord, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "token" };
    Ok(TokenRecord {
        namespace: row.namespace()?,
        id: TokenId::from_slice(row.bytes()?).ok_or_else(corrupt)?,
        kind: TokenKind::parse(row.text()?).ok_or_else(corrupt)?,
        name: row.text()?.to_owned(),
        hash: row.hash()?,
        labels: codec::decode_labels(row.text()?)?,
        uid: row
            .opt_bytes()?
            .map(InstanceUid::from_slice)
            .transpose()
            .map_err(|_| corrupt())?,
        created_by: Actor::named(row.text()?),
        created_at: row.time()?,
        expires_at: row.opt_time()?,
        revoked_at: row.opt_time()?,
    })
}

/// The token of a kind with this hash, in whichever namespace, active or not.
///
/// # Errors
/// [`StoreError`].
pub async fn find_by_hash(
    conn: &mut Conn,
    kind: TokenKind,
    hash: &ContentHash,
) -> Result<Option<TokenRecord>, StoreError> {
    query_built(
        "reading a token",
        format!("SELECT {COLUMNS} FROM tokens WHERE hash = $1 AND kind = $2"),
    )
    .bind(hash)
    .bind(kind.as_str())
    .read_one(conn, read_token)
    .await
}

/// One token of a namespace.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: &mut Conn,
    ns: &Namespace,
    id: TokenId,
) -> Result<Option<TokenRecord>, StoreError> {
    query_built(
        "reading a token",
        format!("SELECT {COLUMNS} FROM tokens WHERE namespace = $1 AND id = $2"),
    )
    .bind(ns)
    .bind(id.as_bytes().as_slice())
    .read_one(conn, read_token)
    .await
}

/// The tokens of a kind in a namespace, by id, after one if it is named; revoked ones included.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: &mut Conn,
    ns: &Namespace,
    kind: TokenKind,
    after: Option<TokenId>,
    limit: u32,
) -> Result<Vec<TokenRecord>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM tokens WHERE namespace = $1 AND kind = $2 AND $3 < id ORDER BY id LIMIT $4"
    );
    query_built("listing tokens", text)
        .bind(ns)
        .bind(kind.as_str())
        .bind(
            after
                .unwrap_or(TokenId::from_bytes([0; 16]))
                .as_bytes()
                .as_slice(),
        )
        .bind(limit)
        .read(conn, read_token)
        .await
}

/// Every token of a kind in all namespaces that is neither revoked nor ended, to be checked in memory.
///
/// # Errors
/// [`StoreError`].
pub async fn load_active(
    conn: &mut Conn,
    kind: TokenKind,
    now: Timestamp,
) -> Result<Vec<TokenRecord>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM tokens WHERE kind = $1 AND revoked_at IS NULL AND ($2 < expires_at OR expires_at IS NULL)
         ORDER BY namespace, id"
    );
    query_built("loading tokens", text)
        .bind(kind.as_str())
        .bind(now)
        .read(conn, read_token)
        .await
}

/// Revokes a token; says whether there is such a token that was not revoked.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke(
    tx: &mut Tx,
    ns: &Namespace,
    id: TokenId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let text =
        "UPDATE tokens SET revoked_at = $3 WHERE namespace = $1 AND id = $2 AND revoked_at IS NULL";
    let revoked = query("revoking a token", text)
        .bind(ns)
        .bind(id.as_bytes().as_slice())
        .bind(at)
        .run(tx)
        .await?;
    Ok(revoked == 1)
}
