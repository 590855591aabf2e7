//! What stands in the way of a start is named, by the key that would change it, and the program ends with a status.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use testkit::{TestDatabase, TestServer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");

/// Runs the program with this configuration, which it must refuse.
fn refused(directory: &Path, config: &str) -> (i32, String) {
    let file = directory.join("config.yaml");
    std::fs::write(&file, config).expect("a configuration");
    let output = Command::new(PROGRAM)
        .arg("--config")
        .arg(&file)
        .current_dir(directory)
        .output()
        .expect("ran");
    outcome(&output)
}

fn outcome(output: &Output) -> (i32, String) {
    (
        output.status.code().expect("an exit status"),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A configuration with free ports and this database.
fn config(directory: &Path, database: &str) -> String {
    format!(
        "server: {{ listen: {{ grpc: '127.0.0.1:0', http: '127.0.0.1:0' }} }}\ndata_dir: '{}'\n{database}",
        directory.join("data").display()
    )
}

#[test]
fn a_wrong_or_unknown_key_is_named_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let (status, message) = refused(
        directory.path(),
        "server:\n  listen: { htpp: '127.0.0.1:0' }\n",
    );
    assert_eq!(status, 2);
    assert!(
        message.contains("config.yaml:2: unknown key server.listen.htpp; did you mean http?"),
        "{message}"
    );
    let (status, message) = refused(
        directory.path(),
        "admin:\n  bootstrap_token: ${OPAMP_NOT_SET_ANYWHERE}\n",
    );
    assert_eq!(status, 2);
    assert!(message.contains("config.yaml:2: admin.bootstrap_token needs the environment variable OPAMP_NOT_SET_ANYWHERE"), "{message}");
    let (status, message) = refused(directory.path(), "timing: { ping_interval: soon }\n");
    assert_eq!(status, 2);
    assert!(
        message.contains("config.yaml:1: timing.ping_interval: "),
        "{message}"
    );
    assert!(
        !directory.path().join("data").exists(),
        "a refused configuration made a data directory"
    );
}

#[test]
fn check_config_says_what_a_file_amounts_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("c.yaml");
    std::fs::write(&file, "agents: { auth: token }\n").expect("written");
    let good = Command::new(PROGRAM)
        .arg("check-config")
        .arg(&file)
        .output()
        .expect("ran");
    assert!(good.status.success());
    let text = String::from_utf8_lossy(&good.stdout);
    assert!(
        text.contains("is good") && text.contains("127.0.0.1:4320"),
        "{text}"
    );
    std::fs::write(&file, "agents: { auth: tokn }\n").expect("written");
    let (status, message) = outcome(
        &Command::new(PROGRAM)
            .arg("check-config")
            .arg(&file)
            .output()
            .expect("ran"),
    );
    assert!(
        status == 2 && message.contains("c.yaml:1: agents.auth: "),
        "{message}"
    );
    let (status, message) = outcome(
        &Command::new(PROGRAM)
            .args(["check-config", "/no/such/file"])
            .output()
            .expect("ran"),
    );
    assert!(
        status == 2 && message.contains("reading /no/such/file"),
        "{message}"
    );
}

#[tokio::test]
async fn a_port_in_use_is_named_by_its_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let database = TestDatabase::create().await;
    for key in ["grpc", "http"] {
        let other = if key == "grpc" { "http" } else { "grpc" };
        let listen =
            format!("server: {{ listen: {{ {key}: '{address}', {other}: '127.0.0.1:0' }} }}\n");
        let data = format!(
            "data_dir: '{}'\n{}",
            directory.path().join(key).display(),
            database.section()
        );
        let (status, message) = refused(directory.path(), &format!("{listen}{data}"));
        assert_eq!(status, 1, "{message}");
        assert!(
            message.contains(&format!("server.listen.{key} is in use by another program")),
            "{message}"
        );
        assert!(message.contains(&address.to_string()), "{message}");
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let directory = tempfile::tempdir().expect("a directory");
    // Port 1 is nobody's.
    let section =
        "database: { type: postgresql, dsn: 'postgres://opamp:hunter2@127.0.0.1:1/opamp' }\n";
    let (status, message) = refused(directory.path(), &config(directory.path(), section));
    assert_eq!(status, 1, "{message}");
    assert!(
        message.contains("database: ") && message.contains("127.0.0.1"),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_database_file_that_is_none_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("notes.txt");
    std::fs::write(&file, "not a database, but somebody's notes\n".repeat(100)).expect("written");
    let before = std::fs::read(&file).expect("read");
    let section = format!("database: {{ dsn: '{}' }}\n", file.display());
    let (status, message) = refused(directory.path(), &config(directory.path(), &section));
    assert_eq!(status, 1, "{message}");
    assert!(
        message.contains("database: ") && message.contains("notes.txt"),
        "{message}"
    );
    assert_eq!(std::fs::read(&file).expect("read"), before);
}

#[tokio::test]
async fn a_read_only_database_is_refused_at_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let message = match TestDatabase::create().await {
        TestDatabase::Sqlite => {
            // A file that nobody may write, root included, is one on a read-only file system; a directory in its place is
            // the nearest that a test can make, and is refused as well.
            let file = directory.path().join("opamp.db");
            std::fs::create_dir(&file).expect("a directory");
            let section = format!("database: {{ dsn: '{}' }}\n", file.display());
            refused(directory.path(), &config(directory.path(), &section))
        }
        TestDatabase::Postgres(database) => {
            let address = format!(
                "{}?options=-c%20default_transaction_read_only%3Don",
                database.address()
            );
            let section = format!("database: {{ type: postgresql, dsn: '{address}' }}\n");
            refused(directory.path(), &config(directory.path(), &section))
        }
    };
    assert_eq!(message.0, 1, "{}", message.1);
    assert!(message.1.contains("database: "), "{}", message.1);
}

#[tokio::test]
async fn a_data_directory_that_another_server_holds_is_named_with_its_holder() {
    let server = TestServer::start().await;
    if !server.database().is_sqlite() {
        // On PostgreSQL nodes may share a directory: a second one starts.
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let text = format!(
        "server: {{ listen: {{ grpc: '127.0.0.1:0', http: '127.0.0.1:0' }} }}\ndata_dir: '{}'\n",
        server.data_dir().display()
    );
    let (status, message) = refused(directory.path(), &text);
    assert_eq!(status, 1, "{message}");
    let holder = format!(
        "is in use by another opamp-server (process {})",
        std::process::id()
    );
    assert!(message.contains(&holder), "{message}");
}

#[test]
fn wrong_arguments_are_refused_with_help() {
    let (status, message) = outcome(&Command::new(PROGRAM).arg("--confg").output().expect("ran"));
    assert!(status == 2 && message.contains("--config"), "{message}");
}
