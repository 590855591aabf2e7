//! A copy of the database in one file, whichever engine it is of, and the way back.
//!
//! The file is a SQLite database of the same schema: on SQLite a snapshot, on PostgreSQL the rows as one transaction
//! sees them. So what was saved from one engine can be loaded into the other.
//!
//! Left out: where files are put and what becomes of those that stand there (`server`), and what a restored fleet may
//! do (`engine`).

mod rows;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool};

use super::conn::{Conn, Dialect, Handle};
use super::gate::Gate;
use super::migrate::{MIGRATIONS, Migration, Target, applied_versions, migrate, missing};
use super::open::{
    APPLICATION, BUSY_TIMEOUT, Location, make_private, open_sqlite, postgres_location,
    postgres_options,
};
use super::{Db, DbOptions, Engine, Inner, SqliteEngine};
use crate::contents::Known;
use crate::error::{is_damaged, is_no_database};
use crate::sql::query;
use crate::{OpenError, StoreError};

/// Why a database was not saved, or a copy of one is not to be had back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be used, or is of another version of this program.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing to save.
    #[error("there is no database {}", file.display())]
    Missing {
        /// Where it was looked for.
        file: PathBuf,
    },
    /// The file is something else.
    #[error("{} is no database", file.display())]
    NoDatabase {
        /// Which.
        file: PathBuf,
    },
    /// The file is a database of somebody else.
    #[error("{location} is a database, but not one of opamp-server")]
    NotOurs {
        /// Which.
        location: String,
    },
    /// The file is not whole, or was changed.
    #[error("{} is damaged: {finding}", file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What does not fit.
        finding: String,
    },
    /// The copy could not be written.
    #[error("writing {}", file.display())]
    Write {
        /// Where it was to go.
        file: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The database could not be read or written.
    #[error("the database {location}")]
    Store {
        /// Where it is; never with a password.
        location: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A server works on the database.
    #[error("the database {location} is in use by another opamp-server{holder}; stop it first")]
    InUse {
        /// Where it is.
        location: String,
        /// Where that one is, where it is known.
        holder: String,
    },
    /// There is something in the database already.
    #[error(
        "the database {location} is not empty (there are rows in {table}): it stays as it is; make a new database and name it in database.dsn"
    )]
    NotEmpty {
        /// Where it is.
        location: String,
        /// A table with rows.
        table: String,
    },
}

/// Writes the whole database as it is at one moment into a file, which is made; servers go on meanwhile.
///
/// # Errors
/// [`BackupError`]; the file may then be there in part.
pub async fn save(location: &Location, to: &Path, now: Timestamp) -> Result<(), BackupError> {
    match location {
        Location::Sqlite(file) => save_sqlite(file, to, MIGRATIONS).await,
        Location::SqliteMemory => Err(BackupError::Missing {
            file: "memory".into(),
        }),
        Location::Postgres(url) => save_postgres(url, to, now).await,
    }
}

/// Makes sure that a file is a database of this program, whole, and of a version that it knows.
///
/// # Errors
/// [`BackupError`] says what the file is instead.
pub async fn check(file: &Path) -> Result<(), BackupError> {
    check_against(file, MIGRATIONS).await
}

/// Opens a file that is itself a copy: it is migrated without another copy being made.
///
/// # Errors
/// [`OpenError`].
pub async fn open_copy(file: &Path, now: Timestamp) -> Result<Db, OpenError> {
    let options = DbOptions {
        max_connections: 1,
        ..DbOptions::new(Location::Sqlite(file.to_path_buf()))
    };
    open_sqlite(&options, Some(file), None, now).await
}

/// Opens a file that [`check`] found to be good for reading alone: it stays as it is, of whichever version.
///
/// # Errors
/// [`BackupError`].
pub async fn read_copy(file: &Path) -> Result<Db, BackupError> {
    let writer = plain(file, SqliteConnectOptions::new().pragma("query_only", "ON")).await?;
    let engine = SqliteEngine {
        gate: Gate::default(),
        writer,
        writer_syncs: Arc::default(),
        others: None,
    };
    Ok(Db {
        inner: Arc::new(Inner {
            engine: Engine::Sqlite(engine),
            max_connections: 1,
            known_contents: Known::default(),
            commits: Arc::default(),
        }),
    })
}

/// Loads a copy, which is of the newest schema, into an empty database on PostgreSQL: all of it or nothing.
///
/// # Errors
/// [`BackupError`].
pub async fn load(from: &Path, url: &str, now: Timestamp) -> Result<(), BackupError> {
    let source = plain(from, SqliteConnectOptions::new()).await?;
    let loaded = match sqlite_conn(&source, from).await {
        Ok(mut conn) => load_from(&mut conn, url, now).await,
        Err(error) => Err(error),
    };
    source.close().await;
    loaded
}

async fn save_sqlite(file: &Path, to: &Path, steps: &[Migration]) -> Result<(), BackupError> {
    if !file.exists() {
        return Err(BackupError::Missing {
            file: file.to_path_buf(),
        });
    }
    let pool = plain(file, SqliteConnectOptions::new()).await?;
    let saved = async {
        let mut conn = sqlite_conn(&pool, file).await?;
        known_version(&mut conn, file, steps).await?;
        let copied = query("copying the database", "VACUUM INTO $1")
            .bind(to.to_string_lossy().as_ref())
            .run(&mut conn)
            .await;
        copied.map(drop).map_err(|source| writing(to, source))
    };
    let saved = saved.await;
    pool.close().await;
    saved
}

async fn check_against(file: &Path, steps: &[Migration]) -> Result<(), BackupError> {
    let pool = plain(file, SqliteConnectOptions::new()).await?;
    let checked = async {
        let mut conn = sqlite_conn(&pool, file).await?;
        known_version(&mut conn, file, steps).await?;
        let findings = query("checking the file", "PRAGMA integrity_check(1)")
            .read(&mut conn, |row| Ok(row.text()?.to_owned()))
            .await
            .map_err(|error| unreadable(file, error))?;
        match findings.into_iter().find(|finding| finding != "ok") {
            None => Ok(()),
            Some(finding) => Err(BackupError::Damaged {
                file: file.to_path_buf(),
                finding,
            }),
        }
    };
    let checked = checked.await;
    pool.close().await;
    checked
}

/// The version of a file of ours, which is not newer than this program.
async fn known_version(
    conn: &mut Conn,
    file: &Path,
    steps: &[Migration],
) -> Result<usize, BackupError> {
    let location = file.display().to_string();
    version(conn, &location, steps)
        .await?
        .map_err(|error| unreadable(file, error))
}

async fn version(
    conn: &mut Conn,
    location: &str,
    steps: &[Migration],
) -> Result<Result<usize, StoreError>, BackupError> {
    let text = match conn.dialect() {
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'"
        }
        Dialect::Postgres => {
            "SELECT tablename::text FROM pg_tables
             WHERE schemaname = current_schema() AND tablename = 'schema_migrations'"
        }
    };
    let table = match query("looking for the schema", text).row(conn).await {
        Ok(table) => table,
        Err(error) => return Ok(Err(error)),
    };
    let found = match table {
        None => Vec::new(),
        Some(_) => match applied_versions(conn).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        },
    };
    if found.is_empty() {
        return Err(BackupError::NotOurs {
            location: location.to_owned(),
        });
    }
    missing(
        &Target {
            location,
            file: None,
        },
        steps,
        &found,
    )?;
    Ok(Ok(found.len()))
}

async fn save_postgres(url: &str, to: &Path, now: Timestamp) -> Result<(), BackupError> {
    let options = postgres_options(url)?;
    let location = postgres_location(&options);
    let failed = |source| BackupError::Store {
        location: location.clone(),
        source,
    };
    let (pool, mut from) = postgres(options, &location).await?;
    query(
        "beginning to read",
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    )
    .run(&mut from)
    .await
    .map_err(failed)?;
    let version = version(&mut from, &location, MIGRATIONS)
        .await?
        .map_err(failed)?;
    make_private(to)
        .map_err(|source| writing(to, StoreError::of("making the file", source.into())))?;
    // Nobody else opens the file before it is whole, and one that is not whole is thrown away.
    let quick = SqliteConnectOptions::new()
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off);
    let copy = plain(to, quick).await?;
    let saved = async {
        let mut conn = sqlite_conn(&copy, to).await?;
        let target = Target {
            location: "of the copy",
            file: None,
        };
        migrate(&mut conn, &target, &MIGRATIONS[..version], now)
            .await
            .map_err(|error| unmade(to, error))?;
        let tables = rows::tables(&mut conn)
            .await
            .map_err(|source| writing(to, source))?;
        rows::clear(&mut conn, &tables)
            .await
            .map_err(|source| writing(to, source))?;
        rows::copy(&mut from, &mut conn, &tables)
            .await
            .map_err(|error| match error {
                rows::CopyError::Read(source) => failed(source),
                rows::CopyError::Write(source) => writing(to, source),
            })
    };
    let saved = saved.await;
    copy.close().await;
    drop(from);
    pool.close().await;
    saved
}

async fn load_from(from: &mut Conn, url: &str, now: Timestamp) -> Result<(), BackupError> {
    let options = postgres_options(url)?;
    let location = postgres_location(&options);
    let (pool, mut to) = postgres(options, &location).await?;
    let failed = |source| BackupError::Store {
        location: location.clone(),
        source,
    };
    let loaded = async {
        if let Some(holder) = other_server(&mut to).await.map_err(failed)? {
            return Err(BackupError::InUse {
                location: location.clone(),
                holder,
            });
        }
        migrate(
            &mut to,
            &Target {
                location: &location,
                file: None,
            },
            MIGRATIONS,
            now,
        )
        .await?;
        let tables = rows::tables(from).await.map_err(failed)?;
        if let Some(table) = rows::first_filled(&mut to, &tables).await.map_err(failed)? {
            return Err(BackupError::NotEmpty {
                location: location.clone(),
                table,
            });
        }
        let whole = async {
            query("beginning to load", "BEGIN").run(&mut to).await?;
            rows::clear(&mut to, &tables).await?;
            rows::copy(from, &mut to, &tables)
                .await
                .map_err(rows::CopyError::into_inner)?;
            rows::count_on(&mut to).await?;
            query("committing what was loaded", "COMMIT")
                .run(&mut to)
                .await
        };
        whole.await.map(drop).map_err(failed)
    };
    // Where it failed, the connection is closed with its transaction open, which rolls it back.
    let loaded = loaded.await;
    drop(to);
    pool.close().await;
    loaded
}

/// How long the connections of a server that has ended may still be listed.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_STEP: Duration = Duration::from_millis(50);

/// Where another server is that keeps this database open.
async fn other_server(conn: &mut Conn) -> Result<Option<String>, StoreError> {
    let deadline = Instant::now() + LINGER;
    loop {
        let found = open_elsewhere(conn).await?;
        if found.is_none() || deadline < Instant::now() {
            return Ok(found);
        }
        tokio::time::sleep(LINGER_STEP).await;
    }
}

async fn open_elsewhere(conn: &mut Conn) -> Result<Option<String>, StoreError> {
    let text = "SELECT COALESCE(host(client_addr), 'this machine') FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()";
    query("looking for other servers", text)
        .bind(APPLICATION)
        .read_one(conn, |row| Ok(format!(" (on {})", row.text()?)))
        .await
}

/// A SQLite file as it is: no pragma changes it.
async fn plain(file: &Path, options: SqliteConnectOptions) -> Result<SqlitePool, BackupError> {
    let options = options
        .filename(file)
        .create_if_missing(false)
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("temp_store", "MEMORY");
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false);
    let opened = pool.connect_with(options).await;
    opened.map_err(|error| unreadable(file, StoreError::of("opening the file", error)))
}

async fn sqlite_conn(pool: &SqlitePool, file: &Path) -> Result<Conn, BackupError> {
    let conn = pool.acquire().await;
    conn.map(|conn| Conn(Handle::Sqlite(conn)))
        .map_err(|error| unreadable(file, StoreError::of("opening the file", error)))
}

async fn postgres(
    options: PgConnectOptions,
    location: &str,
) -> Result<(PgPool, Conn), BackupError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(DbOptions::new(Location::SqliteMemory).acquire_timeout)
        .connect_lazy_with(options);
    match pool.acquire().await {
        Ok(conn) => Ok((pool, Conn(Handle::Postgres(conn)))),
        Err(source) => Err(OpenError::Unreachable {
            location: location.to_owned(),
            source,
        }
        .into()),
    }
}

/// What an error says about a file that was to be read.
fn unreadable(file: &Path, error: StoreError) -> BackupError {
    let path = file.to_path_buf();
    let source = error.into_source();
    if is_no_database(&source) {
        return BackupError::NoDatabase { file: path };
    }
    if is_damaged(&source) {
        return BackupError::Damaged {
            file: path,
            finding: source.to_string(),
        };
    }
    OpenError::Unreachable {
        location: file.display().to_string(),
        source,
    }
    .into()
}

/// What an error says about a copy whose tables were to be made.
fn unmade(file: &Path, error: OpenError) -> BackupError {
    match error {
        OpenError::Migrate { source, .. } | OpenError::Unreachable { source, .. } => {
            writing(file, StoreError::of("making its tables", source))
        }
        other => other.into(),
    }
}

fn writing(file: &Path, source: StoreError) -> BackupError {
    BackupError::Write {
        file: file.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests;
