//! Opens a database: where it is, how its connections are set up, and what is checked before anything starts.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::conn::{Conn, Handle};
use super::gate::Gate;
use super::migrate::{MIGRATIONS, Target, migrate};
use super::{Db, Engine, Inner, SqliteEngine, SqliteOthers};
use crate::OpenError;
use crate::contents::Known;

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file, made if it is not there; one process at a time (the caller holds the lock on `data_dir`).
    Sqlite(PathBuf),
    /// A SQLite database that lives as long as the [`Db`]. One connection serves everything: reading while a
    /// transaction is open waits until it ends. For tests.
    SqliteMemory,
    /// A PostgreSQL server: `postgres://user:password@host/database`.
    Postgres(String),
}

/// How to open the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbOptions {
    /// Where it is.
    pub location: Location,
    /// The most connections at once; SQLite has two and at most 8 for reading.
    pub max_connections: u32,
    /// The most connections kept while idle.
    pub max_idle_connections: u32,
    /// How long a caller waits for a connection.
    pub acquire_timeout: Duration,
}

/// More readers of a SQLite file gain nothing: each is a thread with its own cache.
const MAX_SQLITE_READERS: u32 = 8;
/// SQLite's writer keeps this many KiB of pages; the operating system's cache has the rest.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
const READER_CACHE_KIB: u32 = 1024;
/// So many pages of log make the writer copy it into the file itself. Usually the checkpointer was there before.
const LOG_PAGES: u32 = 64 * 1024;
/// How many statements a connection keeps prepared.
const PREPARED_STATEMENTS: usize = 256;
/// How many rows a connection's thread reads ahead of whoever takes them: more than a page has, so that on a busy machine a
/// page does not wait for the two to take turns.
const ROWS_AT_ONCE: usize = 512;
/// How long a SQLite connection waits for the lock of another; ours never hold it for long.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What PostgreSQL shows of who a connection belongs to.
pub(super) const APPLICATION: &str = "opamp-server";

impl DbOptions {
    /// The default sizes for a place.
    #[must_use]
    pub fn new(location: Location) -> Self {
        let acquire_timeout = Duration::from_secs(10);
        Self {
            location,
            max_connections: 100,
            max_idle_connections: 10,
            acquire_timeout,
        }
    }
}

impl Db {
    /// Opens the database and migrates it.
    ///
    /// # Errors
    /// [`OpenError`] says why it cannot be used.
    pub async fn open(options: &DbOptions, now: Timestamp) -> Result<Self, OpenError> {
        match &options.location {
            Location::Sqlite(file) => open_sqlite(options, Some(file), Some(file), now).await,
            Location::SqliteMemory => open_sqlite(options, None, None, now).await,
            Location::Postgres(url) => open_postgres(options, url, now).await,
        }
    }
}

/// Opens a SQLite file; `copied` is the one that is copied before it is migrated.
pub(super) async fn open_sqlite(
    options: &DbOptions,
    file: Option<&Path>,
    copied: Option<&Path>,
    now: Timestamp,
) -> Result<Db, OpenError> {
    let location = file.map_or_else(|| "in memory".to_owned(), |file| file.display().to_string());
    let unreachable = |source| OpenError::Unreachable {
        location: location.clone(),
        source,
    };
    if let Some(file) = file {
        make_private(file).map_err(|source| unreachable(source.into()))?;
    }
    let in_memory = file.is_none();
    // A pool of one that never closes its connection: the writer's pragmas and statements stay.
    let single = || {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        pool.test_before_acquire(false)
            .acquire_timeout(options.acquire_timeout)
    };
    let writer_syncs = Arc::new(AtomicBool::new(true));
    let syncs_again = Arc::clone(&writer_syncs);
    let writer = single()
        .after_connect(move |_, _| {
            syncs_again.store(true, Ordering::Relaxed);
            Box::pin(std::future::ready(Ok(())))
        })
        // A full disk makes SQLite roll back by itself; the driver then counts a transaction that is no more, and
        // begins no other on that connection. (In memory the connection is the database, and there is no disk.)
        .before_acquire(move |conn, _| {
            let usable = in_memory || !conn.is_in_transaction();
            Box::pin(std::future::ready(Ok(usable)))
        })
        .connect_with(sqlite_options(file, WRITER_CACHE_KIB))
        .await
        .map_err(unreachable)?;
    let mut conn = writer
        .acquire()
        .await
        .map(|conn| Conn(Handle::Sqlite(conn)))
        .map_err(unreachable)?;
    migrate(
        &mut conn,
        &Target {
            location: &location,
            file: copied,
        },
        MIGRATIONS,
        now,
    )
    .await?;
    drop(conn);
    let max_readers = options.max_connections.clamp(1, MAX_SQLITE_READERS);
    let others = file.map(|file| SqliteOthers {
        readers: SqlitePoolOptions::new()
            .max_connections(max_readers)
            .test_before_acquire(false)
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(
                sqlite_options(Some(file), READER_CACHE_KIB).pragma("query_only", "ON"),
            ),
        checkpointer: single().connect_lazy_with(sqlite_options(Some(file), READER_CACHE_KIB)),
        commits_since_checkpoint: AtomicU32::new(0),
    });
    let max_connections = if others.is_some() { max_readers + 2 } else { 1 };
    let engine = SqliteEngine {
        gate: Gate::default(),
        writer,
        writer_syncs,
        others,
    };
    let inner = Inner {
        engine: Engine::Sqlite(engine),
        max_connections,
        known_contents: Known::default(),
        commits: Arc::default(),
    };
    Ok(Db {
        inner: Arc::new(inner),
    })
}

/// Makes a file that its user alone can read, unless it is there. SQLite would let everybody read it; its log and index
/// take after the file.
pub(super) fn make_private(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn sqlite_options(file: Option<&Path>, cache_kib: u32) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(PREPARED_STATEMENTS)
        .row_buffer_size(ROWS_AT_ONCE)
        .pragma("cache_size", format!("-{cache_kib}"))
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    match file {
        None => options.in_memory(true),
        Some(file) => options
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", LOG_PAGES.to_string()),
    }
}

async fn open_postgres(options: &DbOptions, url: &str, now: Timestamp) -> Result<Db, OpenError> {
    let connect = postgres_options(url)?;
    let location = postgres_location(&connect);
    let unreachable = |source| OpenError::Unreachable {
        location: location.clone(),
        source,
    };
    // The pool would try again and again until its deadline: one connection by hand tells at once.
    let first = tokio::time::timeout(
        options.acquire_timeout,
        PgConnection::connect_with(&connect),
    )
    .await;
    let first = first
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(unreachable)?;
    first.close().await.map_err(unreachable)?;

    let itself = Arc::new(OnceLock::<Weak<Inner>>::new());
    let pool = postgres_pool(options, Arc::clone(&itself)).connect_lazy_with(connect);
    let mut conn = pool
        .acquire()
        .await
        .map(|conn| Conn(Handle::Postgres(conn)))
        .map_err(unreachable)?;
    migrate(
        &mut conn,
        &Target {
            location: &location,
            file: None,
        },
        MIGRATIONS,
        now,
    )
    .await?;
    drop(conn);
    let inner = Arc::new(Inner {
        engine: Engine::Postgres(pool),
        max_connections: options.max_connections.max(1),
        known_contents: Known::default(),
        commits: Arc::default(),
    });
    itself.get_or_init(|| Arc::downgrade(&inner));
    Ok(Db { inner })
}

/// How to reach a server; its connections carry the name that [`super::backup`] looks for.
pub(super) fn postgres_options(url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| OpenError::Address {
        reason: error.to_string(),
    })?;
    Ok(options
        .application_name(APPLICATION)
        .statement_cache_capacity(PREPARED_STATEMENTS)
        .disable_statement_logging())
}

/// A pool that closes what comes back beyond the idle connections it may keep, which sqlx has no setting for.
fn postgres_pool(options: &DbOptions, itself: Arc<OnceLock<Weak<Inner>>>) -> PgPoolOptions {
    let max_idle = usize::try_from(options.max_idle_connections).unwrap_or(usize::MAX);
    PgPoolOptions::new()
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(options.acquire_timeout)
        .after_release(move |_, _| {
            let inner = itself.get().and_then(Weak::upgrade);
            let idle = match inner.as_deref().map(|inner| &inner.engine) {
                Some(Engine::Postgres(pool)) => pool.num_idle(),
                _ => 0,
            };
            Box::pin(std::future::ready(Ok(idle < max_idle)))
        })
}

/// Where a server is, without the password.
pub(super) fn postgres_location(options: &PgConnectOptions) -> String {
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let database = options.get_database().unwrap_or(options.get_username());
    format!("postgres://{place}/{database}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_new_file_is_readable_by_its_user_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("opamp.db");
        let options = DbOptions::new(Location::Sqlite(file));
        let db = Db::open(&options, Timestamp::UNIX_EPOCH).await.unwrap();
        let mut seen = 0;
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.path());
            seen += 1;
        }
        assert!(2 <= seen, "the file and its log");
        db.close().await;
    }

    #[test]
    fn a_location_never_shows_the_password() {
        let options =
            PgConnectOptions::from_str("postgres://me:secret@db.example:5433/fleet").unwrap();
        assert_eq!(
            postgres_location(&options),
            "postgres://db.example:5433/fleet"
        );
    }
}
