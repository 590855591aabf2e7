//! Brings a database to this program's schema: embedded texts, in order, each in a transaction, under a lock.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

use super::conn::{Conn, Dialect, Raw};
use super::open::make_private;
use crate::error::is_read_only;
use crate::sql::query;
use crate::{OpenError, StoreError};

/// One step of the schema. Steps are appended, never changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) text: &'static str,
}

/// Every step there is, ascending.
pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    text: include_str!("../../migrations/0001_foundation.sql"),
}];

/// The key of PostgreSQL's advisory lock under which nodes migrate: "opamp" in bytes.
const LOCK_KEY: i64 = 0x6f_70_61_6d_70;

/// What is migrated, for messages and for the copy.
pub(super) struct Target<'a> {
    pub(super) location: &'a str,
    /// The SQLite file that is copied first.
    pub(super) file: Option<&'a Path>,
}

/// Applies the steps that are missing.
pub(super) async fn migrate(
    conn: &mut Conn,
    target: &Target<'_>,
    steps: &[Migration],
    now: Timestamp,
) -> Result<(), OpenError> {
    // SQLite needs no lock of its own: the caller holds the one on `data_dir`.
    if conn.dialect() == Dialect::Sqlite {
        return apply(conn, target, steps, now).await;
    }
    lock(conn, "SELECT 1 FROM pg_advisory_lock($1)")
        .await
        .map_err(|error| unusable(target, error))?;
    let applied = apply(conn, target, steps, now).await;
    let unlocked = lock(conn, "SELECT 1 FROM pg_advisory_unlock($1)").await;
    applied.and_then(|()| unlocked.map_err(|error| unusable(target, error)))
}

async fn lock(conn: &mut Conn, text: &'static str) -> Result<(), StoreError> {
    query("taking the lock for migrations", text)
        .bind(LOCK_KEY)
        .rows(conn)
        .await
        .map(drop)
}

async fn apply(
    conn: &mut Conn,
    target: &Target<'_>,
    steps: &[Migration],
    now: Timestamp,
) -> Result<(), OpenError> {
    let table = "CREATE TABLE IF NOT EXISTS schema_migrations (
        version {int} NOT NULL PRIMARY KEY, checksum {bytes} NOT NULL, applied_at {int} NOT NULL){table}";
    execute(conn, &for_dialect(conn.dialect(), table))
        .await
        .map_err(|source| refused(target, source))?;
    let found = applied_versions(conn)
        .await
        .map_err(|error| unusable(target, error))?;
    let missing = missing(target, steps, &found)?;
    if let (Some((from, _)), Some(to), Some(file)) = (found.last(), missing.last(), target.file) {
        copy(conn, file, *from, to.version, now).await?;
    }
    for step in missing {
        apply_step(conn, step, now)
            .await
            .map_err(|source| OpenError::Migrate {
                location: target.location.to_owned(),
                version: step.version,
                source,
            })?;
    }
    // A write that changes nothing: a database that cannot be written is noticed now and not at the first report.
    execute(
        conn,
        "UPDATE schema_migrations SET version = version WHERE version = 0",
    )
    .await
    .map_err(|source| refused(target, source))
}

/// The steps that were applied, ascending, with the checksums of their texts.
pub(super) async fn applied_versions(conn: &mut Conn) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    query(
        "reading the schema's version",
        "SELECT version, checksum FROM schema_migrations ORDER BY version",
    )
    .read(conn, |row| Ok((row.int()?, row.bytes()?.to_vec())))
    .await
}

/// The steps that are not applied yet, if those that are were ours.
pub(super) fn missing<'s>(
    target: &Target<'_>,
    steps: &'s [Migration],
    found: &[(i64, Vec<u8>)],
) -> Result<&'s [Migration], OpenError> {
    let known = steps.last().map_or(0, |step| step.version);
    if let Some((newer, _)) = found.last().filter(|(version, _)| known < *version) {
        return Err(OpenError::Newer {
            location: target.location.to_owned(),
            found: *newer,
            known,
        });
    }
    let foreign = found.iter().zip(steps).find(|((version, checksum), step)| {
        *version != step.version || checksum.as_slice() != Sha256::digest(step.text).as_slice()
    });
    if let Some(((version, _), _)) = foreign {
        return Err(OpenError::Foreign {
            location: target.location.to_owned(),
            version: *version,
        });
    }
    Ok(&steps[found.len()..])
}

async fn copy(
    conn: &mut Conn,
    file: &Path,
    from: i64,
    to: i64,
    now: Timestamp,
) -> Result<(), OpenError> {
    let copy = copy_path(file, from, to, now);
    if let Err(error) = make_private(&copy) {
        return Err(OpenError::Copy {
            to: copy,
            source: error.into(),
        });
    }
    let text = "VACUUM INTO $1";
    let copied = query("copying the database", text)
        .bind(copy.to_string_lossy().as_ref())
        .run(conn)
        .await;
    copied.map(drop).map_err(|error| OpenError::Copy {
        to: copy,
        source: error.into_source(),
    })
}

/// The copy stands beside the file: `opamp.db.v3-before-v4-1700000000`.
fn copy_path(file: &Path, from: i64, to: i64, now: Timestamp) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".v{from}-before-v{to}-{}", now.as_second()));
    file.with_file_name(name)
}

async fn apply_step(conn: &mut Conn, step: &Migration, now: Timestamp) -> Result<(), sqlx::Error> {
    execute(conn, "BEGIN").await?;
    let applied = match execute(conn, &for_dialect(conn.dialect(), step.text)).await {
        Ok(()) => record(conn, step, now).await,
        Err(error) => Err(error),
    };
    match applied {
        Ok(()) => execute(conn, "COMMIT").await,
        Err(error) => {
            // The first error tells more than one of the rollback, which a lost connection makes by itself.
            execute(conn, "ROLLBACK").await.unwrap_or_default();
            Err(error)
        }
    }
}

async fn record(conn: &mut Conn, step: &Migration, now: Timestamp) -> Result<(), sqlx::Error> {
    let text = "INSERT INTO schema_migrations (version, checksum, applied_at) VALUES ($1, $2, $3)";
    let recorded = query("recording a migration", text)
        .bind(step.version)
        .bind(Sha256::digest(step.text).as_slice())
        .bind(now)
        .run(conn)
        .await;
    recorded.map(drop).map_err(StoreError::into_source)
}

async fn execute(conn: &mut Conn, text: &str) -> Result<(), sqlx::Error> {
    let text = sqlx::raw_sql(AssertSqlSafe(text));
    match conn.raw() {
        Raw::Sqlite(conn) => text.execute(conn).await.map(drop),
        Raw::Postgres(conn) => text.execute(conn).await.map(drop),
    }
}

/// The text of a step as an engine wants it.
fn for_dialect(dialect: Dialect, text: &str) -> String {
    let (int, bytes, name, auto_id, table, clustered) = match dialect {
        Dialect::Sqlite => (
            "INTEGER",
            "BLOB",
            "TEXT",
            "INTEGER PRIMARY KEY",
            " STRICT",
            " STRICT, WITHOUT ROWID",
        ),
        Dialect::Postgres => (
            "BIGINT",
            "BYTEA",
            "TEXT COLLATE \"C\"",
            "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            "",
            "",
        ),
    };
    let text = text
        .replace("{int}", int)
        .replace("{bytes}", bytes)
        .replace("{name}", name)
        .replace("{auto_id}", auto_id)
        .replace("{table}", table)
        .replace("{clustered}", clustered);
    match dialect {
        Dialect::Sqlite => text,
        Dialect::Postgres => text.replace("\n-- postgres:", "\n"),
    }
}

fn unusable(target: &Target<'_>, error: StoreError) -> OpenError {
    refused(target, error.into_source())
}

fn refused(target: &Target<'_>, source: sqlx::Error) -> OpenError {
    let location = target.location.to_owned();
    if is_read_only(&source) {
        return OpenError::ReadOnly { location, source };
    }
    OpenError::Unreachable { location, source }
}

#[cfg(test)]
mod tests;
