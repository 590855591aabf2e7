//! What only this crate can make: files of other versions of the schema.

use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use super::*;

const FIRST: Migration = Migration {
    version: 1,
    text: "CREATE TABLE one (a {int} NOT NULL){table}; INSERT INTO one VALUES (1);",
};
const SECOND: Migration = Migration {
    version: 2,
    text: "ALTER TABLE one ADD COLUMN b TEXT; UPDATE one SET b = 'new';",
};

/// A file of a schema of these steps.
async fn file_of(steps: &[Migration]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("opamp.db");
    migrate_file(&file, steps).await.unwrap();
    (dir, file)
}

async fn migrate_file(file: &Path, steps: &[Migration]) -> Result<(), OpenError> {
    let pool = plain(file, SqliteConnectOptions::new());
    make_private(file).unwrap();
    let pool = pool.await.unwrap();
    let mut conn = sqlite_conn(&pool, file).await.unwrap();
    let target = Target {
        location: "here",
        file: Some(file),
    };
    let migrated = migrate(&mut conn, &target, steps, Timestamp::UNIX_EPOCH).await;
    drop(conn);
    pool.close().await;
    migrated
}

async fn column_b(file: &Path) -> Option<String> {
    let pool = plain(file, SqliteConnectOptions::new()).await.unwrap();
    let text = AssertSqlSafe("SELECT b FROM one");
    let found: Result<(String,), _> = sqlx::query_as(text).fetch_one(&pool).await;
    pool.close().await;
    found.ok().map(|(b,)| b)
}

#[tokio::test]
async fn an_older_schema_is_saved_as_it_is_and_passes_and_is_migrated_with_a_copy_kept() {
    let (dir, file) = file_of(&[FIRST]).await;
    let copy = dir.path().join("copy");
    save_sqlite(&file, &copy, &[FIRST, SECOND]).await.unwrap();
    check_against(&copy, &[FIRST, SECOND]).await.unwrap();
    assert_eq!(column_b(&copy).await, None);
    migrate_file(&copy, &[FIRST, SECOND]).await.unwrap();
    assert_eq!(column_b(&copy).await.as_deref(), Some("new"));
    let kept = dir.path().join("copy.v1-before-v2-0");
    check_against(&kept, &[FIRST]).await.unwrap();
    assert_eq!(column_b(&kept).await, None);
}

#[tokio::test]
async fn a_newer_schema_is_refused_both_ways() {
    let (dir, file) = file_of(&[FIRST, SECOND]).await;
    for error in [
        check_against(&file, &[FIRST]).await.unwrap_err(),
        save_sqlite(&file, &dir.path().join("copy"), &[FIRST])
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                BackupError::Open(OpenError::Newer {
                    found: 2,
                    known: 1,
                    ..
                })
            ),
            "{error:?}"
        );
    }
    assert!(!dir.path().join("copy").exists());
}

#[tokio::test]
async fn a_schema_of_another_build_is_refused() {
    let (_dir, file) = file_of(&[FIRST]).await;
    let edited = Migration {
        text: "CREATE TABLE other (a {int}){table};",
        ..FIRST
    };
    let error = check_against(&file, &[edited]).await.unwrap_err();
    assert!(
        matches!(
            error,
            BackupError::Open(OpenError::Foreign { version: 1, .. })
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn every_table_of_the_schema_can_be_copied() {
    let (_dir, file) = file_of(MIGRATIONS).await;
    let pool = plain(&file, SqliteConnectOptions::new()).await.unwrap();
    let mut conn = sqlite_conn(&pool, &file).await.unwrap();
    let tables = rows::tables(&mut conn).await.unwrap();
    let made: usize = MIGRATIONS
        .iter()
        .map(|step| step.text.matches("CREATE TABLE").count())
        .sum();
    assert_eq!(tables.len(), made);
    assert_eq!(rows::first_filled(&mut conn, &tables).await.unwrap(), None);
}
