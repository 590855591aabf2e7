//! Connections as the rest of the crate sees them, whichever engine they go to.

use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

use super::gate::Turn;
use crate::StoreError;

/// A connection: what every function of this crate works on.
pub struct Conn(pub(super) Handle);

pub(super) enum Handle {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTx(Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTx(Transaction<'static, Postgres>),
}

/// The driver's connection.
pub(crate) enum Raw<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// The language of an engine, for the few statements that need a text of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Conn {
    pub(crate) fn raw(&mut self) -> Raw<'_> {
        match &mut self.0 {
            Handle::Sqlite(conn) => Raw::Sqlite(conn),
            Handle::SqliteTx(conn) => Raw::Sqlite(conn),
            Handle::Postgres(conn) => Raw::Postgres(conn),
            Handle::PostgresTx(conn) => Raw::Postgres(conn),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.0 {
            Handle::Sqlite(_) | Handle::SqliteTx(_) => Dialect::Sqlite,
            Handle::Postgres(_) | Handle::PostgresTx(_) => Dialect::Postgres,
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conn({:?})", self.dialect())
    }
}

/// A connection for reading. Each statement sees what is committed by then.
#[derive(Debug)]
pub struct Reader(pub(super) Conn);

/// A transaction that writes; dropped without [`Tx::commit`], nothing of it stays.
#[derive(Debug)]
pub struct Tx {
    // Invariant: dropped before the turn, so that the next in line finds the writer's transaction ended or ending.
    pub(super) conn: Conn,
    pub(super) _turn: Option<Turn>,
}

impl Tx {
    /// Commits; when it returns, what was written survives a crash.
    ///
    /// # Errors
    /// [`StoreError`]. If the database was lost meanwhile, it is not known whether the commit happened.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.conn.0 {
            Handle::SqliteTx(tx) => tx.commit().await,
            Handle::PostgresTx(tx) => tx.commit().await,
            // Invariant: a transaction is only ever made of the two above.
            Handle::Sqlite(_) | Handle::Postgres(_) => Ok(()),
        }
        .map_err(|error| StoreError::of("committing", error))
    }
}

impl Deref for Reader {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}
