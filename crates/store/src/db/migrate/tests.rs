//! Migrations on a SQLite file: the copy before, the rollback of a step that fails, read-only files.

use std::path::PathBuf;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tempfile::TempDir;

use super::super::conn::Handle;
use super::*;

const FIRST: Migration = Migration {
    version: 1,
    text: "CREATE TABLE one (a {int} NOT NULL){table};",
};
const SECOND: Migration = Migration {
    version: 2,
    text: "CREATE TABLE two (a {bytes}){table};",
};
const BROKEN: Migration = Migration {
    version: 2,
    text: "CREATE TABLE two (a {int}){table}; INSERT INTO none VALUES (1);",
};

struct Place {
    dir: TempDir,
    options: SqliteConnectOptions,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("opamp.db"))
            .create_if_missing(true);
        Self { dir, options }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("opamp.db")
    }

    async fn migrate(&self, steps: &[Migration]) -> Result<(), OpenError> {
        self.migrate_as(self.options.clone(), steps).await
    }

    async fn migrate_as(
        &self,
        options: SqliteConnectOptions,
        steps: &[Migration],
    ) -> Result<(), OpenError> {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .unwrap();
        let mut conn = Conn(Handle::Sqlite(pool.acquire().await.unwrap()));
        let file = self.file();
        let target = Target {
            location: "here",
            file: Some(&file),
        };
        let migrated = migrate(
            &mut conn,
            &target,
            steps,
            Timestamp::from_second(1_700_000_000).unwrap(),
        )
        .await;
        drop(conn);
        pool.close().await;
        migrated
    }

    async fn tables(&self, file: PathBuf) -> Vec<String> {
        let pool = SqlitePoolOptions::new()
            .connect_with(SqliteConnectOptions::new().filename(file))
            .await
            .unwrap();
        let text = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
        let tables: Vec<(String,)> = sqlx::query_as(text).fetch_all(&pool).await.unwrap();
        pool.close().await;
        tables.into_iter().map(|(name,)| name).collect()
    }

    fn copies(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.to_string_lossy().contains("-before-"))
            .collect()
    }
}

#[tokio::test]
async fn a_new_file_is_migrated_without_a_copy() {
    let place = Place::new();
    place.migrate(&[FIRST, SECOND]).await.unwrap();
    assert_eq!(
        place.tables(place.file()).await,
        ["one", "schema_migrations", "two"]
    );
    assert!(place.copies().is_empty());
}

#[tokio::test]
async fn a_file_is_copied_before_it_is_migrated() {
    let place = Place::new();
    place.migrate(&[FIRST]).await.unwrap();
    place.migrate(&[FIRST]).await.unwrap();
    assert!(
        place.copies().is_empty(),
        "nothing to migrate, nothing to copy"
    );
    place.migrate(&[FIRST, SECOND]).await.unwrap();
    let copies = place.copies();
    assert_eq!(
        copies,
        [place.dir.path().join("opamp.db.v1-before-v2-1700000000")]
    );
    assert_eq!(
        place.tables(copies[0].clone()).await,
        ["one", "schema_migrations"]
    );
    assert_eq!(
        place.tables(place.file()).await,
        ["one", "schema_migrations", "two"]
    );
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_and_is_named() {
    let place = Place::new();
    place.migrate(&[FIRST]).await.unwrap();
    let error = place.migrate(&[FIRST, BROKEN]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "migrating the database here to version 2"
    );
    assert_eq!(
        place.tables(place.file()).await,
        ["one", "schema_migrations"]
    );
    std::fs::remove_file(&place.copies()[0]).unwrap();
    place.migrate(&[FIRST, SECOND]).await.unwrap();
}

#[tokio::test]
async fn a_copy_that_cannot_be_made_stops_the_migration() {
    let place = Place::new();
    place.migrate(&[FIRST]).await.unwrap();
    std::fs::write(
        place.dir.path().join("opamp.db.v1-before-v2-1700000000"),
        "in the way",
    )
    .unwrap();
    let error = place.migrate(&[FIRST, SECOND]).await.unwrap_err();
    assert!(matches!(error, OpenError::Copy { .. }), "{error:?}");
    assert_eq!(
        place.tables(place.file()).await,
        ["one", "schema_migrations"]
    );
}

#[tokio::test]
async fn a_read_only_file_is_told_apart() {
    let place = Place::new();
    place.migrate(&[FIRST]).await.unwrap();
    let error = place
        .migrate_as(place.options.clone().read_only(true), &[FIRST])
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    assert_eq!(error.to_string(), "the database here is read-only");
}

#[test]
fn steps_are_numbered_without_gaps() {
    assert!(
        MIGRATIONS
            .iter()
            .map(|step| step.version)
            .eq(1..=i64::try_from(MIGRATIONS.len()).unwrap())
    );
}

#[test]
fn no_placeholder_is_left_in_any_step() {
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        for step in MIGRATIONS {
            let text = for_dialect(dialect, step.text);
            let statements = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("--"));
            assert!(
                statements.into_iter().all(|line| !line.contains('{')),
                "{dialect:?}"
            );
        }
    }
}
