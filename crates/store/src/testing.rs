//! Temporary databases for tests: SQLite in a directory, and PostgreSQL on a server that the tests start themselves.
//!
//! PostgreSQL: the server that `TEST_POSTGRES_URL` names, else one started from Debian's binaries on a Unix socket in
//! a temporary directory, one per test process, gone with it. Without either, tests on PostgreSQL are skipped, or
//! fail where `REQUIRE_ALL=1` is set.

#![expect(
    clippy::missing_panics_doc,
    reason = "a test that cannot have its database fails at once"
)]

mod commits;
mod server;

pub(crate) use commits::NextCommit;
pub use commits::{
    CommitStop, Stop, StopAt, commit_stop, commits_begun, lose_next_commit, refuse_next_commit,
    spare_next_commit, stop_next_commit,
};

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::model::InstanceUid;
use domain::{AgentId, Labels};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::{Conn, Db, DbOptions, Location, StoreError};

/// A database of its own for one test.
#[derive(Debug)]
pub struct TestDb {
    /// The open database.
    pub db: Db,
    /// How it was opened, to open it again.
    pub options: DbOptions,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Sqlite(#[expect(dead_code, reason = "held until the test ends")] TempDir),
    Postgres { server: String, name: String },
}

/// A time for tests: 2024-01-01T00:00:00Z plus so many seconds.
#[must_use]
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_704_067_200 + seconds).expect("a time of this century")
}

impl TestDb {
    /// A SQLite file in a temporary directory.
    pub async fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("opamp.db");
        Self::open(Location::Sqlite(file), Place::Sqlite(dir)).await
    }

    /// A database on PostgreSQL; `None` where there is no PostgreSQL.
    pub async fn postgres() -> Option<Self> {
        let server = server::url()?;
        let name = unique_name();
        on_server(&server, format!("CREATE DATABASE {name}")).await;
        let url = server::with_database(&server, &name);
        Some(Self::open(Location::Postgres(url), Place::Postgres { server, name }).await)
    }

    async fn open(location: Location, place: Place) -> Self {
        let options = DbOptions {
            max_connections: 4,
            ..DbOptions::new(location)
        };
        let db = Db::open(&options, at(0))
            .await
            .expect("a new database opens");
        Self { db, options, place }
    }

    /// The SQLite file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match &self.options.location {
            Location::Sqlite(file) => Some(file.clone()),
            Location::SqliteMemory | Location::Postgres(_) => None,
        }
    }

    /// Whether it is on PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Postgres { .. })
    }

    /// Runs a statement behind the store's back.
    pub async fn execute(&self, text: &str) {
        match &self.options.location {
            Location::Postgres(url) => on_server(url, text.to_owned()).await,
            Location::Sqlite(file) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
                let mut conn = sqlx::SqliteConnection::connect_with(&options)
                    .await
                    .expect("the file opens");
                sqlx::raw_sql(AssertSqlSafe(text))
                    .execute(&mut conn)
                    .await
                    .expect("the statement runs");
                conn.close().await.expect("the connection closes");
            }
            Location::SqliteMemory => panic!("a database in memory has one connection"),
        }
    }

    /// Closes it and opens it again.
    pub async fn reopened(self) -> Self {
        self.db.close().await;
        let db = Db::open(&self.options, at(0)).await;
        Self {
            db: db.expect("the database opens again"),
            ..self
        }
    }

    /// Closes and removes it.
    pub async fn close(self) {
        self.db.close().await;
        if let Place::Postgres { server, name } = &self.place {
            on_server(server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

/// What agents say of themselves, as it is stored: id, uid and the labels that come from it.
///
/// # Errors
/// [`StoreError`].
pub async fn self_descriptions(
    conn: &mut Conn,
) -> Result<Vec<(AgentId, InstanceUid, Labels)>, StoreError> {
    let text = "SELECT id, uid, labels_reported FROM agents";
    crate::sql::query("reading what agents say of themselves", text)
        .read(conn, |row| {
            let id = row.agent()?;
            let uid = InstanceUid::from_slice(row.bytes()?).map_err(|_| StoreError::Corrupt {
                what: "instance uid",
            })?;
            Ok((id, uid, crate::codec::decode_labels(row.text()?)?))
        })
        .await
}

/// Lets a SQLite database grow no further, as on a full disk.
pub async fn forbid_growth(tx: &mut crate::Tx) {
    crate::sql::query("limiting the size", "PRAGMA max_page_count = 1")
        .rows(tx)
        .await
        .expect("a limit is set");
}

/// Has SQLite refuse every write of its one writer from now on, as it does on a read-only disk, or take them again.
pub async fn set_read_only(db: &Db, read_only: bool) {
    db.set_query_only(read_only).await;
}

/// From this transaction's commit on, a table cannot be used: statements that need it fail.
pub async fn hide_table(tx: &mut crate::Tx, table: &str) {
    rename(tx, table, &format!("hidden_{table}")).await;
}

/// Ends what [`hide_table`] began.
pub async fn show_table(tx: &mut crate::Tx, table: &str) {
    rename(tx, &format!("hidden_{table}"), table).await;
}

async fn rename(tx: &mut crate::Tx, from: &str, to: &str) {
    crate::sql::query_built(
        "renaming a table",
        format!("ALTER TABLE {from} RENAME TO {to}"),
    )
    .run(tx)
    .await
    .expect("a table is renamed");
}

/// A name that no other test has, also where several processes share a server.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "test_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

async fn on_server(url: &str, text: String) {
    let mut conn = PgConnection::connect(url)
        .await
        .expect("the PostgreSQL server answers");
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(&mut conn)
        .await
        .expect("the statement runs");
    conn.close().await.expect("the connection closes");
}
