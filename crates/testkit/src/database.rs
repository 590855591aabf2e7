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
