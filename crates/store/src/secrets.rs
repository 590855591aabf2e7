//! Secrets that configs refer to: sealed values by name and version.

use std::collections::HashSet;

use domain::{Actor, Namespace, SecretName};
use jiff::Timestamp;

use crate::sql::{Columns, query};
use crate::{Conn, Db, StoreError, Tx, codec};

/// One version of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: SecretName,
    /// Its number, from 1.
    pub version: u32,
    /// Whether it is what is sent from now on.
    pub is_current: bool,
    /// The sealed value.
    pub sealed: Vec<u8>,
    /// Which key it is sealed with.
    pub key_id: String,
    /// Who gave it.
    pub created_by: Actor,
    /// When.
    pub created_at: Timestamp,
}

/// Adds a version, which is the current one from here on.
///
/// # Errors
/// [`StoreError`]; among them that another node has added it.
pub async fn add(tx: &mut Tx, secret: &SecretRecord) -> Result<(), StoreError> {
    retire(tx, &secret.namespace, &secret.name).await?;
    query(
        "storing a secret",
        "INSERT INTO secrets (namespace, name, version, is_current, sealed, key_id, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&secret.namespace)
    .bind(secret.name.as_str())
    .bind(secret.version)
    .bind(i64::from(secret.is_current))
    .bind(secret.sealed.as_slice())
    .bind(secret.key_id.as_str())
    .bind(secret.created_by.as_str())
    .bind(secret.created_at)
    .run(tx)
    .await
    .map(drop)
}

/// Leaves a secret without a current version; says whether it had one.
///
/// # Errors
/// [`StoreError`].
pub async fn retire(tx: &mut Tx, ns: &Namespace, name: &SecretName) -> Result<bool, StoreError> {
    let text =
        "UPDATE secrets SET is_current = 0 WHERE namespace = $1 AND name = $2 AND is_current = 1";
    let retired = query("retiring a secret", text)
        .bind(ns)
        .bind(name.as_str())
        .run(tx)
        .await?;
    Ok(0 < retired)
}

/// Every version of every secret, in all namespaces, by namespace, name and version.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(conn: &mut Conn) -> Result<Vec<SecretRecord>, StoreError> {
    let text = "SELECT namespace, name, version, is_current, sealed, key_id, created_by, created_at FROM secrets
         ORDER BY namespace, name, version";
    query("loading secrets", text).read(conn, read_secret).await
}

/// The newest version of a secret, current or not.
///
/// # Errors
/// [`StoreError`].
pub async fn newest(
    conn: &mut Conn,
    ns: &Namespace,
    name: &SecretName,
) -> Result<Option<SecretRecord>, StoreError> {
    let text = "SELECT namespace, name, version, is_current, sealed, key_id, created_by, created_at FROM secrets
         WHERE namespace = $1 AND name = $2 ORDER BY version DESC LIMIT 1";
    query("reading a secret", text)
        .bind(ns)
        .bind(name.as_str())
        .read_one(conn, read_secret)
        .await
}

/// Drops versions that are not current and that no desired content has. The newest of a secret stays, so that its number is
/// not given again, but for its value.
///
/// # Errors
/// [`StoreError`].
pub async fn sweep(db: &Db) -> Result<u64, StoreError> {
    let mut reader = db.read().await?;
    let past: Vec<SecretRecord> = load_all(&mut reader).await?;
    let past: Vec<_> = past
        .into_iter()
        .filter(|secret| !secret.is_current && !secret.sealed.is_empty())
        .collect();
    drop(reader);
    if past.is_empty() {
        return Ok(0);
    }
    let mut tx = db.begin().await?;
    let used = used_by_contents(&mut tx).await?;
    let mut dropped = 0;
    for secret in past {
        if used.contains(&(
            secret.namespace.clone(),
            secret.name.clone(),
            secret.version,
        )) {
            continue;
        }
        let text = "UPDATE secrets SET sealed = $4 WHERE namespace = $1 AND name = $2 AND version = $3 AND is_current = 0";
        dropped += query("dropping the value of an old secret", text)
            .bind(&secret.namespace)
            .bind(secret.name.as_str())
            .bind(secret.version)
            .bind([].as_slice())
            .run(&mut tx)
            .await?;
    }
    tx.commit().await?;
    Ok(dropped)
}

async fn used_by_contents(
    conn: &mut Conn,
) -> Result<HashSet<(Namespace, SecretName, u32)>, StoreError> {
    let text = "SELECT DISTINCT namespace, secrets FROM desired_contents WHERE secrets <> '[]'";
    let used = query("looking at the secrets of contents", text)
        .read(conn, |row| {
            Ok((row.namespace()?, codec::decode_secrets(row.text()?)?))
        })
        .await?;
    let each = used.into_iter().flat_map(|(ns, secrets)| {
        let named = move |(name, version)| (ns.clone(), name, version);
        secrets.into_iter().map(named)
    });
    Ok(each.collect())
}

fn read_secret(row: &mut Columns<'_>) -> Result<SecretRecord, StoreError> {
    Ok(SecretRecord {
        namespace: row.namespace()?,
        name: row.parsed("secret name")?,
        version: u32::try_from(row.count()?).map_err(|_| StoreError::Corrupt {
            what: "version of a secret",
        })?,
        is_current: row.count()? == 1,
        sealed: row.bytes()?.to_vec(),
        key_id: row.text()?.to_owned(),
        created_by: Actor::named(row.text()?),
        created_at: row.time()?,
    })
}
