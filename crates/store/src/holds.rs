//! Holds: the emergency brakes that are on.

use domain::{Actor, ContentHash, Hold, HoldScope, Namespace, Selector};
use sha2::{Digest, Sha256};

use crate::sql::{Columns, query};
use crate::{Conn, StoreError, Tx};

/// The columns namespace and selector. No namespace and no selector of one is empty, so that these are free for the
/// whole fleet and for every agent of a namespace.
fn key(scope: &HoldScope) -> (&str, String) {
    match scope {
        HoldScope::Fleet => ("", String::new()),
        HoldScope::Namespace(ns) => (ns.as_str(), String::new()),
        HoldScope::Selector(ns, selector) => (ns.as_str(), selector.to_string()),
    }
}

fn hash_of(selector: &str) -> ContentHash {
    ContentHash::from_bytes(Sha256::digest(selector).into())
}

/// Puts a hold on; one of the same scope is replaced. A selector that matches everything holds the namespace.
///
/// # Errors
/// [`StoreError`].
pub async fn set(tx: &mut Tx, hold: &Hold) -> Result<(), StoreError> {
    let (ns, selector) = key(&hold.scope);
    query(
        "storing a hold",
        "INSERT INTO holds (namespace, selector_hash, selector, reason, set_by, set_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (namespace, selector_hash) DO UPDATE
         SET reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at",
    )
    .bind(ns)
    .bind(&hash_of(&selector))
    .bind(selector)
    .bind(hold.reason.as_str())
    .bind(hold.set_by.as_str())
    .bind(hold.set_at)
    .run(tx)
    .await
    .map(drop)
}

/// Lifts a hold; says whether it was on.
///
/// # Errors
/// [`StoreError`].
pub async fn lift(tx: &mut Tx, scope: &HoldScope) -> Result<bool, StoreError> {
    let (ns, selector) = key(scope);
    let text = "DELETE FROM holds WHERE namespace = $1 AND selector_hash = $2";
    Ok(query("lifting a hold", text)
        .bind(ns)
        .bind(&hash_of(&selector))
        .run(tx)
        .await?
        == 1)
}

/// Every hold that is on, in all namespaces.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(conn: &mut Conn) -> Result<Vec<Hold>, StoreError> {
    let text = "SELECT namespace, selector, reason, set_by, set_at FROM holds ORDER BY namespace, selector";
    query("loading holds", text).read(conn, read_hold).await
}

fn read_hold(row: &mut Columns<'_>) -> Result<Hold, StoreError> {
    Ok(Hold {
        scope: read_scope(row)?,
        reason: row.text()?.to_owned(),
        set_by: Actor::named(row.text()?),
        set_at: row.time()?,
    })
}

fn read_scope(row: &mut Columns<'_>) -> Result<HoldScope, StoreError> {
    let (ns, selector) = (row.text()?, row.text()?);
    if ns.is_empty() {
        return Ok(HoldScope::Fleet);
    }
    let ns = Namespace::new(ns).map_err(|_| StoreError::Corrupt { what: "namespace" })?;
    if selector.is_empty() {
        return Ok(HoldScope::Namespace(ns));
    }
    let selector: Selector = selector
        .parse()
        .map_err(|_| StoreError::Corrupt { what: "selector" })?;
    Ok(HoldScope::Selector(ns, selector))
}
