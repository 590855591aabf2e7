//! A database of a test's own, on the engine that `TEST_DATABASE` names: `sqlite` (the default) or `postgresql`.
//!
//! On PostgreSQL each test makes a database on the server that `TEST_POSTGRES_URL` is the address of, and drops it.

use std::env;

use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

/// A database of a test's own.
#[derive(Debug)]
pub enum TestDatabase {
    /// A SQLite file in the server's data directory, gone with it.
    Sqlite,
    /// A database on a PostgreSQL server.
    Postgres(PostgresDatabase),
}

/// A database on a PostgreSQL server, dropped with this.
#[derive(Debug)]
pub struct PostgresDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    /// An empty database on the engine under test.
    ///
    /// # Panics
    /// When the engine is unknown or its server cannot be used.
    pub async fn create() -> Self {
        match env::var("TEST_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgresql") => Self::Postgres(PostgresDatabase::create().await),
            Ok(other) => panic!("TEST_DATABASE is {other}, neither sqlite nor postgresql"),
        }
    }

    /// The section `database` of a server's configuration.
    pub fn section(&self) -> String {
        match self {
            Self::Sqlite => "database: { type: sqlite }\n".to_owned(),
            Self::Postgres(database) => format!(
                "database: {{ type: postgresql, dsn: '{}', max_connections: 10, max_idle_connections: 2 }}\n",
                database.address()
            ),
        }
    }

    /// Whether this is SQLite, for the few tests that concern one engine's ways.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite)
    }
}

impl PostgresDatabase {
    async fn create() -> Self {
        let server = env::var("TEST_POSTGRES_URL")
            .expect("TEST_POSTGRES_URL is the address of a PostgreSQL server");
        Self::create_on(server).await
    }

    /// An empty database on a PostgreSQL server.
    ///
    /// # Panics
    /// When the server cannot be used.
    pub async fn create_on(server: String) -> Self {
        let name = format!("t_{}", Uuid::new_v4().simple());
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        Self { server, name }
    }

    /// Its address.
    pub fn address(&self) -> String {
        let (place, query) = match self.server.split_once('?') {
            Some((place, query)) => (place, format!("?{query}")),
            None => (self.server.as_str(), String::new()),
        };
        let (base, _) = place
            .rsplit_once('/')
            .expect("the address of a server ends with a database's name");
        format!("{base}/{}{query}", self.name)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A runtime of its own: this may run in one that is about to end.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(execute(
                &server,
                &format!("DROP DATABASE {name} WITH (FORCE)"),
            ));
        });
        // A database that stays behind is no reason to fail; the server is thrown away.
        drop(dropper.join());
    }
}

/// Another program that has the database's write lock, until it is dropped: what a disk that has stopped looks like.
#[derive(Debug)]
pub struct WriteLock(#[expect(dead_code, reason = "its connection holds the lock")] LockHolder);

#[derive(Debug)]
enum LockHolder {
    Sqlite(#[expect(dead_code, reason = "held")] sqlx::SqliteConnection),
    Postgres(#[expect(dead_code, reason = "held")] PgConnection),
}

impl TestDatabase {
    /// Takes the lock that every write waits for; reads go on. `data_dir` is the server's.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn lock_writes(&self, data_dir: &std::path::Path) -> WriteLock {
        WriteLock(match self {
            Self::Sqlite => {
                let options = sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(data_dir.join("opamp.db"))
                    .busy_timeout(crate::wait::DEADLINE);
                let mut connection = sqlx::SqliteConnection::connect_with(&options)
                    .await
                    .expect("the server's file");
                connection
                    .execute("BEGIN IMMEDIATE")
                    .await
                    .expect("the write lock");
                LockHolder::Sqlite(connection)
            }
            Self::Postgres(database) => {
                let mut connection = PgConnection::connect(&database.address())
                    .await
                    .expect("a PostgreSQL server");
                let lock = "BEGIN; LOCK TABLE agents, agent_status, agent_liveness, contents, counters, configs IN EXCLUSIVE MODE";
                sqlx::raw_sql(lock)
                    .execute(&mut connection)
                    .await
                    .expect("the locks");
                LockHolder::Postgres(connection)
            }
        })
    }

    /// Has PostgreSQL refuse every write from now on, as a standby does, or take them again; every connection is cut.
    ///
    /// # Panics
    /// On SQLite, or when the server cannot be told.
    pub async fn set_read_only(&self, read_only: bool) {
        let Self::Postgres(database) = self else {
            panic!("SQLite has no such setting")
        };
        let name = &database.name;
        let setting = if read_only { "on" } else { "off" };
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {setting}");
        execute(&database.server, &set).await;
        let cut = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        execute(&database.server, &cut).await;
    }
}

/// Runs statements on a SQLite file that no server has open, behind everybody's back.
///
/// # Panics
/// When they fail.
pub async fn change_file(file: &std::path::Path, statements: &str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = sqlx::SqliteConnection::connect_with(&options)
        .await
        .expect("a SQLite file");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
        .execute(&mut connection)
        .await
        .expect("good statements");
    connection.close().await.expect("an end");
}

async fn execute(server: &str, statement: &str) {
    let mut connection = PgConnection::connect(server)
        .await
        .expect("a PostgreSQL server");
    connection
        .execute(sqlx::AssertSqlSafe(statement.to_owned()))
        .await
        .expect("a statement without parameters");
    connection.close().await.expect("an end");
}
