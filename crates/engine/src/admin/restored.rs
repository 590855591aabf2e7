//! A database that was restored from a backup: checked, and put on hold before any server works on it.

use domain::{Hold, HoldScope};
use jiff::Timestamp;
use store::{Db, StoreError, agents, holds};
use trust::{Secret, TokenHash};

use super::access::{self, Caller};
use super::audit::{self, Act, Verification};
use super::fleet;

/// What is to be known about a restore, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the backup was.
    pub from: String,
    /// The SHA-256 of the backup, in hexadecimal digits.
    pub sha256: String,
}

/// Verifies the audit chain of a database that no server has opened.
///
/// # Errors
/// [`StoreError`].
pub async fn verify(db: &Db) -> Result<Verification, StoreError> {
    audit::verify(db).await
}

/// Marks a database as restored: no agent is attached, what they run is asked for anew, and the whole fleet is on hold, so that yesterday's desired state
/// never goes out by itself. Gives the reason that the hold has.
///
/// # Errors
/// [`StoreError`].
pub async fn take_over(
    db: &Db,
    restored: &Restored,
    audited: &Verification,
    now: Timestamp,
) -> Result<String, StoreError> {
    let caller = Caller::server();
    let hold = Hold {
        scope: HoldScope::Fleet,
        reason: format!(
            "restored from {} at {}: look at what is released, then lift this hold",
            restored.from,
            at_seconds(now)
        ),
        set_by: caller.actor.clone(),
        set_at: now,
    };
    let mut tx = db.begin().await?;
    agents::forget_sessions(&mut tx, now, "database_restored").await?;
    holds::set(&mut tx, &hold).await?;
    let value = serde_json::json!({
        "file": restored.from,
        "sha256": restored.sha256,
        "audit_entries": audited.entries,
        "audit_head": audited.head.to_string(),
        "audit_broken_at": audited.broken.as_ref().map(|found| found.sequence),
    });
    Act::new("database.restored", "restore", "database")
        .new_value(value)
        .done(&mut tx, &caller, now)
        .await?;
    fleet::note(&mut tx, &caller, &hold.scope, Some(&hold.reason), now).await?;
    tx.commit().await?;
    Ok(hold.reason)
}

fn at_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Whether a text is the administrator's first token as a database knows it.
///
/// # Errors
/// [`StoreError`].
pub async fn knows_admin_token(db: &Db, token: &Secret) -> Result<bool, StoreError> {
    let mut conn = db.read().await?;
    let standing = access::bootstrap_hash(&mut conn).await?;
    Ok(standing == Some(TokenHash::of(token.expose())))
}
