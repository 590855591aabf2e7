//! The database: one small type over SQLite and PostgreSQL.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::agents::{AgentReport, Applied, Liveness};
use crate::{OpenError, StoreError};

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file, made if it is not there; one process at a time (the caller holds the lock on `data_dir`).
    Sqlite(PathBuf),
    /// A SQLite database that lives as long as the [`Db`]; one connection serves everything. For tests.
    SqliteMemory,
    /// A PostgreSQL server: `postgres://user:password@host/database`.
    Postgres(String),
}

/// How to open the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbOptions {
    /// Where it is.
    pub location: Location,
    /// The most connections at once; on SQLite at most 8 of them are made.
    pub max_connections: u32,
    /// The most connections kept while idle.
    pub max_idle_connections: u32,
    /// How long a caller waits for a connection.
    pub acquire_timeout: Duration,
}

impl DbOptions {
    /// The default sizes for a place.
    #[must_use]
    pub fn new(location: Location) -> Self {
        Self {
            location,
            max_connections: 100,
            max_idle_connections: 10,
            acquire_timeout: Duration::from_secs(10),
        }
    }
}

/// An open, migrated database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {}

/// A connection: what every function of this crate works on.
#[derive(Debug)]
pub struct Conn {}

/// A connection for reading.
#[derive(Debug)]
pub struct Reader {
    conn: Conn,
}

/// A transaction that writes; dropped without [`Tx::commit`], nothing of it stays.
#[derive(Debug)]
pub struct Tx {
    conn: Conn,
}

/// How many connections are in use, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections at work.
    pub in_use: u32,
    /// The most there can be.
    pub max: u32,
}

impl Db {
    /// Opens the database and migrates it.
    ///
    /// # Errors
    /// [`OpenError`] says why it cannot be used.
    pub async fn open(_options: &DbOptions, _now: Timestamp) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// A connection for reading; each statement sees what is committed by then.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if none is to be had.
    pub async fn read(&self) -> Result<Reader, StoreError> {
        unimplemented!()
    }

    /// A transaction whose commit is on disk when it returns. It goes before agents' reports.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if none is to be had.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        unimplemented!()
    }

    /// Commits what many agents reported, in one transaction.
    ///
    /// Several reports of one agent count in their order. The reports are not consumed: after an error nothing of
    /// them is stored, and the caller may try again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply_reports(&self, _reports: &[AgentReport]) -> Result<Applied, StoreError> {
        unimplemented!()
    }

    /// Stores when agents were last seen and their sessions' state, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flush_liveness(&self, _rows: &[Liveness]) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// How many connections are in use.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        unimplemented!()
    }

    /// Closes every connection, after what is under way.
    pub async fn close(&self) {
        unimplemented!()
    }
}

impl std::ops::Deref for Reader {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl std::ops::DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

impl std::ops::Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

impl Tx {
    /// Commits; when it returns, what was written survives a crash.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was committed is then not known if the database was lost.
    pub async fn commit(self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
