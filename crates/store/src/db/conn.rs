//! Connections as the rest of the crate sees them, whichever engine they go to.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

use super::gate::{Lane, Turn};
use crate::sql::answered;
use crate::{StoreError, failpoint};

/// A connection: what every function of this crate works on.
pub struct Conn(pub(super) Handle);

pub(super) enum Handle {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTx(Transaction<'static, Sqlite>, Lane),
    Postgres(PoolConnection<Postgres>),
    PostgresTx(Transaction<'static, Postgres>, Lane),
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
            Handle::SqliteTx(conn, _) => Raw::Sqlite(conn),
            Handle::Postgres(conn) => Raw::Postgres(conn),
            Handle::PostgresTx(conn, _) => Raw::Postgres(conn),
        }
    }

    /// Whether it is a transaction whose commit somebody waits for.
    pub(crate) fn is_durable(&self) -> bool {
        matches!(
            self.0,
            Handle::SqliteTx(_, Lane::Api) | Handle::PostgresTx(_, Lane::Api)
        )
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.0 {
            Handle::Sqlite(_) | Handle::SqliteTx(..) => Dialect::Sqlite,
            Handle::Postgres(_) | Handle::PostgresTx(..) => Dialect::Postgres,
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
    /// How many were begun.
    #[cfg(feature = "testing")]
    pub(crate) begun: AtomicU64,
    /// What is to become of the next commit.
    #[cfg(feature = "testing")]
    pub(crate) next: parking_lot::Mutex<crate::testing::NextCommit>,
}

impl Commits {
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    #[cfg(feature = "testing")]
    fn begin(&self) -> crate::testing::NextCommit {
        self.begun.fetch_add(1, Ordering::AcqRel);
        std::mem::take(&mut *self.next.lock())
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
        let mut staged = self.commits.begin();
        #[cfg(feature = "testing")]
        staged.before().await?;
        let (durable, dialect) = (self.conn.is_durable(), self.conn.dialect());
        if durable {
            failpoint::pass("before the commit");
        }
        let outcome = match self.conn.0 {
            Handle::SqliteTx(tx, _) => tx.commit().await,
            Handle::PostgresTx(tx, _) => answered(tx.commit()).await,
            // Invariant: a transaction is only ever made of the two above.
            Handle::Sqlite(_) | Handle::Postgres(_) => Ok(()),
        };
        if durable {
            failpoint::pass("after the commit");
        }
        #[cfg(feature = "testing")]
        let outcome = staged.after(outcome).await;
        let outcome = outcome.map_err(|error| StoreError::of("committing", error));
        if outcome
            .as_ref()
            .map_or_else(|error| is_undone(error, dialect), |()| true)
        {
            underway.0 = None;
        }
        outcome
    }
}

/// Whether a failed commit is known not to have happened: the transaction lost against another one, or SQLite itself says
/// so, which never fails a commit that it has made. A server may have committed before its answer was lost.
fn is_undone(error: &StoreError, dialect: Dialect) -> bool {
    let says_so = matches!(
        error,
        StoreError::Lost {
            source: sqlx::Error::Database(_),
            ..
        }
    );
    error.is_contended() || (dialect == Dialect::Sqlite && says_so)
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
