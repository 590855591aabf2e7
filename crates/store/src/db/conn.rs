//! Connections as the rest of the crate sees them, whichever engine they go to.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    pub(super) commits: Arc<Commits>,
}

/// What became of commits, for [`crate::Db::lost_commits`].
#[derive(Debug, Default)]
pub(crate) struct Commits {
    lost: AtomicU64,
    /// What is to become of the next commit.
    #[cfg(feature = "testing")]
    pub(crate) next: parking_lot::Mutex<crate::testing::NextCommit>,
}

impl Commits {
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }
}

/// Counts a commit as lost unless its outcome becomes known: also when its caller goes away while it is under way.
struct Underway<'c>(Option<&'c Commits>);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if let Some(commits) = self.0 {
            commits.lost.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Tx {
    /// Commits; when it returns, what was written survives a crash.
    ///
    /// # Errors
    /// [`StoreError`]. If the database was lost meanwhile, it is not known whether the commit happened; it is then
    /// counted in [`crate::Db::lost_commits`].
    pub async fn commit(self) -> Result<(), StoreError> {
        let mut underway = Underway(Some(&self.commits));
        #[cfg(feature = "testing")]
        let mut staged = std::mem::take(&mut *self.commits.next.lock());
        #[cfg(feature = "testing")]
        staged.before().await?;
        let outcome = match self.conn.0 {
            Handle::SqliteTx(tx) => tx.commit().await,
            Handle::PostgresTx(tx) => tx.commit().await,
            // Invariant: a transaction is only ever made of the two above.
            Handle::Sqlite(_) | Handle::Postgres(_) => Ok(()),
        };
        #[cfg(feature = "testing")]
        let outcome = staged.after(outcome).await;
        let outcome = outcome.map_err(|error| StoreError::of("committing", error));
        // A transaction that lost against another one is known to be rolled back.
        if outcome
            .as_ref()
            .map_or_else(StoreError::is_contended, |()| true)
        {
            underway.0 = None;
        }
        outcome
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
