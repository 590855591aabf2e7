//! The database: one small type over SQLite and PostgreSQL.

pub mod backup;
mod conn;
mod gate;
mod migrate;
mod open;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use sqlx::{PgPool, SqlitePool};

pub use conn::{Conn, Reader, Tx};
pub(crate) use conn::{Dialect, Raw};
pub use open::{DbOptions, Location};

use crate::StoreError;
use crate::contents::Known;
use crate::sql::answered;
use conn::{Commits, Handle};
use gate::{Gate, Lane};

/// An open, migrated database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    max_connections: u32,
    known_contents: Known,
    commits: Arc<Commits>,
}

#[derive(Debug)]
enum Engine {
    Sqlite(SqliteEngine),
    Postgres(PgPool),
}

/// SQLite's connections: one writer with a line before it, readers apart, one that copies the log into the file.
#[derive(Debug)]
struct SqliteEngine {
    gate: Gate,
    writer: SqlitePool,
    /// Whether the writer syncs each commit just now.
    writer_syncs: Arc<AtomicBool>,
    /// `None`: the database is in memory, where the writer is the only connection.
    others: Option<SqliteOthers>,
}

#[derive(Debug)]
struct SqliteOthers {
    readers: SqlitePool,
    checkpointer: SqlitePool,
    commits_since_checkpoint: AtomicU32,
}

/// How many connections are in use, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections at work.
    pub in_use: u32,
    /// The most there can be.
    pub max: u32,
}

/// After so many batches of reports the log is copied into the file, apart from the writer: pages that changed
/// again and again are then copied once.
const BATCHES_PER_CHECKPOINT: u32 = 16;

impl Db {
    /// A connection for reading; each statement sees what is committed by then.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if none is to be had.
    pub async fn read(&self) -> Result<Reader, StoreError> {
        let conn = match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.readers().acquire().await.map(Handle::Sqlite),
            Engine::Postgres(pool) => pool.acquire().await.map(Handle::Postgres),
        };
        conn.map(|conn| Reader(Conn(conn)))
            .map_err(|error| StoreError::of("getting a connection", error))
    }

    /// A transaction whose commit is on disk when it returns. It goes before agents' reports.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if none is to be had.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_in(Lane::Api).await
    }

    /// A transaction for what agents will report again if a crash loses it: synced less strictly.
    pub(crate) async fn begin_reports(&self) -> Result<Tx, StoreError> {
        self.begin_in(Lane::Reports).await
    }

    async fn begin_in(&self, lane: Lane) -> Result<Tx, StoreError> {
        let failed = |error| StoreError::of("beginning a transaction", error);
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.begin(lane, &self.inner.commits).await,
            Engine::Postgres(pool) => begin_postgres(pool, lane, &self.inner.commits).await,
        }
        .map_err(failed)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut conn = self.read().await?;
        crate::sql::query("asking whether the database answers", "SELECT 1")
            .rows(&mut conn)
            .await
            .map(drop)
    }

    /// How many connections are in use.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        let busy =
            |size: u32, idle: usize| size.saturating_sub(u32::try_from(idle).unwrap_or(u32::MAX));
        let in_use = match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite
                .pools()
                .map(|pool| busy(pool.size(), pool.num_idle()))
                .sum(),
            Engine::Postgres(pool) => busy(pool.size(), pool.num_idle()),
        };
        PoolUse {
            in_use,
            max: self.inner.max_connections,
        }
    }

    /// Closes every connection, after what is under way.
    pub async fn close(&self) {
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => {
                for pool in sqlite.pools() {
                    pool.close().await;
                }
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }

    /// How many commits ended without anybody knowing whether they happened: the connection was lost, or the caller
    /// went away. Whoever keeps in memory what it commits compares this with the last time, and reads again.
    #[must_use]
    pub fn lost_commits(&self) -> u64 {
        self.inner.commits.lost()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn commits(&self) -> &Commits {
        &self.inner.commits
    }

    /// Has SQLite's writer refuse to write, or write again.
    #[cfg(feature = "testing")]
    pub(crate) async fn set_query_only(&self, on: bool) {
        let Engine::Sqlite(sqlite) = &self.inner.engine else {
            panic!("PostgreSQL is told otherwise")
        };
        let text = if on {
            "PRAGMA query_only = ON"
        } else {
            "PRAGMA query_only = OFF"
        };
        let told = sqlx::query(text).execute(&sqlite.writer).await;
        told.expect("the writer is there");
    }

    /// The contents that are known to be stored.
    pub(crate) fn known_contents(&self) -> &Known {
        &self.inner.known_contents
    }

    /// Copies SQLite's log into its file once in a while. To be called after a batch of reports, outside of it.
    pub(crate) async fn checkpoint_if_due(&self) -> Result<(), StoreError> {
        let Engine::Sqlite(SqliteEngine {
            others: Some(others),
            ..
        }) = &self.inner.engine
        else {
            return Ok(());
        };
        if others
            .commits_since_checkpoint
            .fetch_add(1, Ordering::Relaxed)
            + 1
            < BATCHES_PER_CHECKPOINT
        {
            return Ok(());
        }
        others.commits_since_checkpoint.store(0, Ordering::Relaxed);
        let copied = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .execute(&others.checkpointer)
            .await;
        copied
            .map(drop)
            .map_err(|error| StoreError::of("copying the log into the database", error))
    }
}

impl SqliteEngine {
    fn readers(&self) -> &SqlitePool {
        self.others
            .as_ref()
            .map_or(&self.writer, |others| &others.readers)
    }

    /// Readers first: the last connection to close copies the log into the file.
    fn pools(&self) -> impl Iterator<Item = &SqlitePool> {
        let others = self
            .others
            .iter()
            .flat_map(|others| [&others.readers, &others.checkpointer]);
        others.chain([&self.writer])
    }

    async fn begin(&self, lane: Lane, commits: &Arc<Commits>) -> Result<Tx, sqlx::Error> {
        let turn = self
            .gate
            .enter(lane)
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?;
        let syncs = lane == Lane::Api;
        if self.writer_syncs.load(Ordering::Relaxed) != syncs {
            let text = if syncs {
                "PRAGMA synchronous = FULL"
            } else {
                "PRAGMA synchronous = NORMAL"
            };
            sqlx::query(text).execute(&self.writer).await?;
            self.writer_syncs.store(syncs, Ordering::Relaxed);
        }
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Tx {
            conn: Conn(Handle::SqliteTx(tx, lane)),
            _turn: Some(turn),
            commits: Arc::clone(commits),
        })
    }
}

async fn begin_postgres(
    pool: &PgPool,
    lane: Lane,
    commits: &Arc<Commits>,
) -> Result<Tx, sqlx::Error> {
    let mut tx = answered(pool.begin()).await?;
    if lane == Lane::Reports {
        answered(sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *tx)).await?;
    }
    Ok(Tx {
        conn: Conn(Handle::PostgresTx(tx, lane)),
        _turn: None,
        commits: Arc::clone(commits),
    })
}

#[cfg(test)]
mod tests {
    use crate::sql;
    use crate::testing::TestDb;

    #[tokio::test]
    async fn a_transaction_that_sqlite_rolled_back_by_itself_blocks_nothing() {
        let test = TestDb::sqlite().await;
        for _ in 0..2 {
            let mut tx = test.db.begin_reports().await.unwrap();
            // As a full disk does: behind the driver's back.
            sql::query("rolling back", "ROLLBACK")
                .run(&mut tx)
                .await
                .unwrap();
            drop(tx);
        }
        test.db.begin().await.unwrap().commit().await.unwrap();
    }
}
