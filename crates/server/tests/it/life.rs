//! The life of a database: saved while it works, restored with the fleet on hold, refused where it is not what it should be,
//! and swept as time goes by.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use api_types::fleet::{HoldScope, Holds};
use runtime::ManualClock;
use serde_json::{Value, json};
use testkit::database::change_file;
use testkit::fleet::{quick, runs, sha256_hex, wait_until_all_run, wait_until_connected};
use testkit::{Fleet, ServerProcess, TestServer, wait_until};

use crate::{FIRST, SECOND, labels};

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");

async fn fleet_of(server: &ServerProcess, agents: usize) -> Fleet {
    let endpoint = format!("ws://{}/v1/opamp", server.agent_addr()).parse();
    let mut options = fleetsim::Options::new(endpoint.expect("an endpoint"), agents);
    quick(&mut options);
    options.labels = labels(&["env=prod"]);
    let fleet = Fleet::start(options).await.expect("a fleet");
    wait_until_connected(&fleet).await;
    fleet
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What a command said that did what it should.
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

/// What a command said that came to nothing.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    said(output)
}

fn names_in(directory: &Path) -> Vec<String> {
    // On PostgreSQL a server may need none.
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file)
        .expect("a file")
        .permissions()
        .mode()
        & 0o777
}

/// The replaced databases beside the one in force, without their logs.
fn replaced(server: &ServerProcess) -> Vec<PathBuf> {
    let names = names_in(&server.data_dir());
    let is_one = |name: &&String| {
        name.contains(".replaced-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    names
        .iter()
        .filter(is_one)
        .map(|name| server.data_dir().join(name))
        .collect()
}

async fn metric(server: &ServerProcess, name: &str) -> f64 {
    let text = server.api().get("/metrics").await.text;
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line[name.len()..].trim().parse().expect("a number")
}

async fn lift_fleet_hold(server: &ServerProcess) {
    let body = json!({"scope": "fleet", "held": false});
    server
        .api()
        .put("/api/v1/fleet/hold", &body)
        .await
        .ok::<Value>();
}

async fn audit_is_intact(server: &ServerProcess) -> bool {
    let verified: Value = server.api().get("/api/v1/audit/verify").await.ok();
    verified["intact"] == true
}

#[tokio::test]
async fn a_backup_of_a_working_server_is_restored_with_the_fleet_on_hold() {
    let mut server = ServerProcess::start(PROGRAM, "").await;
    let fleet = fleet_of(&server, 3).await;
    server.api().release("base", "env=prod", FIRST).await;
    wait_until_all_run(&fleet, FIRST).await;
    let backup = server.directory().join("yesterday.db");
    let text = done(&server.command(&["backup", "yesterday.db"]).await);
    assert!(
        text.contains("saved yesterday.db") && text.contains("SHA-256"),
        "{text}"
    );
    assert_eq!(mode(&backup), 0o600);
    let sha256 = testkit::fleet::sha256_hex_of(&std::fs::read(&backup).expect("a backup"));
    assert!(text.contains(&sha256), "{text}");

    // Today goes on, and is lost by the restore.
    server.api().release("base", "env=prod", SECOND).await;
    wait_until_all_run(&fleet, SECOND).await;
    assert_eq!(server.terminate().await, 0);
    let before = std::fs::read(&backup).expect("a backup");
    if !server.writes_files() {
        let text = refused(&server.command(&["restore", "yesterday.db"]).await);
        assert!(
            text.contains("is not empty") && text.contains("database.dsn"),
            "{text}"
        );
        server.use_new_database().await;
    }
    let text = done(&server.command(&["restore", "yesterday.db"]).await);
    assert!(
        text.contains("restored yesterday.db") && text.contains("the whole fleet is on hold"),
        "{text}"
    );
    assert_eq!(
        std::fs::read(&backup).expect("a backup"),
        before,
        "the backup itself is left alone"
    );

    server.spawn();
    server.wait_until_ready().await;
    wait_until_connected(&fleet).await;
    // The server knows what each agent runs, and what it should run; it says why it does not offer it.
    wait_until("the server to know the fleet", async || {
        let mut known = 0;
        for own in fleet.agents() {
            let seen: Value = server
                .api()
                .get(&format!("/api/v1/agents/{}", own.uid))
                .await
                .json();
            let effective = &seen["config"]["effective"]["hash"];
            let waits = &seen["summary"]["waits_for"];
            known +=
                usize::from(effective == &json!(sha256_hex(SECOND)) && waits == &json!("hold"));
        }
        known == 3
    })
    .await;
    let holds: Holds = server.api().get("/api/v1/fleet/hold").await.ok();
    assert_eq!(holds.holds.len(), 1);
    assert_eq!(holds.holds[0].scope, HoldScope::Fleet);
    assert!(
        holds.holds[0]
            .reason
            .starts_with("restored from yesterday.db at "),
        "{holds:?}"
    );
    assert!(fleet.agents().iter().all(|agent| runs(agent, SECOND)));
    assert!(
        metric(&server, "opamp_server_config_sent_total")
            .await
            .abs()
            < f64::EPSILON
    );
    let audit: Value = server.api().get("/api/v1/audit?limit=500").await.ok();
    let entries = audit["items"].as_array().expect("a list");
    let restored = entries
        .iter()
        .find(|entry| entry["event"] == "database.restored");
    let restored = restored.unwrap_or_else(|| panic!("no entry of the restore in {audit}"));
    assert!(restored.to_string().contains(&sha256), "{restored}");
    assert!(audit_is_intact(&server).await);

    lift_fleet_hold(&server).await;
    wait_until_all_run(&fleet, FIRST).await;
    if server.writes_files() {
        // The database that was replaced is whole, and can be had back.
        let replaced = replaced(&server);
        let [replaced] = replaced.as_slice() else {
            panic!("{replaced:?}")
        };
        assert_eq!(mode(&server.data_dir().join("opamp.db")), 0o600);
        assert_eq!(server.terminate().await, 0);
        done(
            &server
                .command(&["restore", &replaced.to_string_lossy()])
                .await,
        );
        server.spawn();
        server.wait_until_ready().await;
        wait_until_connected(&fleet).await;
        lift_fleet_hold(&server).await;
        wait_until_all_run(&fleet, SECOND).await;
        assert!(audit_is_intact(&server).await);
    }
}

#[tokio::test]
async fn a_restore_while_a_server_works_is_refused_and_names_it() {
    let server = ServerProcess::start(PROGRAM, "").await;
    done(&server.command(&["backup", "copy.db"]).await);
    let text = refused(&server.command(&["restore", "copy.db"]).await);
    assert!(text.contains("is in use by another opamp-server"), "{text}");
    if server.writes_files() {
        assert!(
            text.contains(&format!("(process {})", server.id())),
            "{text}"
        );
    }
    assert!(replaced(&server).is_empty() || !server.writes_files());
    assert!(audit_is_intact(&server).await);
}

#[tokio::test]
async fn a_backup_never_replaces_anything_unasked() {
    let server = ServerProcess::start(PROGRAM, "").await;
    let file = server.directory().join("copy.db");
    std::fs::write(&file, "precious").expect("written");
    let text = refused(&server.command(&["backup", "copy.db"]).await);
    assert!(
        text.contains("copy.db is there already") && text.contains("--force"),
        "{text}"
    );
    assert_eq!(std::fs::read(&file).expect("read"), b"precious");
    done(&server.command(&["backup", "--force", "copy.db"]).await);
    assert!(
        std::fs::read(&file)
            .expect("read")
            .starts_with(b"SQLite format 3")
    );
    assert_eq!(mode(&file), 0o600);
    let text = refused(
        &server
            .command(&["backup", "no/such/directory/copy.db"])
            .await,
    );
    assert!(text.contains("writing no/such/directory/copy.db"), "{text}");
    if server.writes_files() {
        let text = refused(
            &server
                .command(&["backup", "--force", "data/opamp.db"])
                .await,
        );
        assert!(text.contains("is the database itself"), "{text}");
    }
    let mut left = names_in(server.directory());
    left.retain(|name| name != "data");
    assert_eq!(left, ["config.yaml", "copy.db", "server.log"]);
}

#[tokio::test]
async fn what_is_no_good_backup_is_refused_and_the_database_stays() {
    let mut server = ServerProcess::start(PROGRAM, "").await;
    server.api().release("base", "env=prod", FIRST).await;
    done(&server.command(&["backup", "good.db"]).await);
    server.terminate().await;
    let in_place = || std::fs::read(server.data_dir().join("opamp.db")).ok();
    let before = in_place();
    let at = |name: &str| server.directory().join(name);
    let good = std::fs::read(at("good.db")).expect("a backup");
    std::fs::write(
        at("notes.txt"),
        "no database, but somebody's notes\n".repeat(99),
    )
    .expect("written");
    std::fs::write(at("cut.db"), &good[..good.len() - 5000]).expect("written");
    std::fs::write(at("empty.db"), "").expect("written");
    for name in [
        "other.db",
        "newer.db",
        "foreign.db",
        "tampered.db",
        "live.db",
        "live.db-wal",
    ] {
        std::fs::write(
            at(name),
            if name == "other.db" {
                &[]
            } else {
                good.as_slice()
            },
        )
        .expect("written");
    }
    change_file(&at("other.db"), "CREATE TABLE songs (name TEXT)").await;
    change_file(
        &at("newer.db"),
        "INSERT INTO schema_migrations VALUES (99, x'00', 0)",
    )
    .await;
    change_file(
        &at("foreign.db"),
        "UPDATE schema_migrations SET checksum = x'00'",
    )
    .await;
    change_file(
        &at("tampered.db"),
        "UPDATE audit SET actor = 'nobody' WHERE sequence = 2",
    )
    .await;
    let cases = [
        ("nothing.db", "reading the backup nothing.db"),
        ("data", "it is no file"),
        ("notes.txt", "notes.txt is no database"),
        ("cut.db", "cut.db is damaged"),
        (
            "empty.db",
            "empty.db is a database, but not one of opamp-server",
        ),
        (
            "other.db",
            "other.db is a database, but not one of opamp-server",
        ),
        (
            "newer.db",
            "has schema version 99, this program knows versions up to 1: run the newer program",
        ),
        ("foreign.db", "was made by another build"),
        (
            "tampered.db",
            "the audit chain of the backup tampered.db is broken at entry 2",
        ),
        ("live.db", "it has a log beside it"),
    ];
    for (name, reason) in cases {
        let text = refused(&server.command(&["restore", name]).await);
        assert!(text.contains(reason), "{name}: {text}");
        assert_eq!(in_place(), before, "{name} changed the database");
    }
    let left = names_in(&server.data_dir());
    assert!(
        !left
            .iter()
            .any(|name| name.contains("restor") || name.contains("replaced")),
        "{left:?}"
    );
    if server.writes_files() {
        let text = refused(&server.command(&["restore", "data/opamp.db"]).await);
        assert!(text.contains("is the database itself"), "{text}");
    }

    // In need, one whose chain is broken is better than none; the break stays to be seen.
    server.use_new_database().await;
    done(&server.command(&["restore", "--force", "tampered.db"]).await);
    server.spawn();
    server.wait_until_ready().await;
    let verified: Value = server.api().get("/api/v1/audit/verify").await.ok();
    assert_eq!(verified["intact"], false, "{verified}");
    assert!(server.api().fleet().await.holds == 1);
}

/// Runs the program with files of at most some blocks of 512 bytes, as on a full disk.
fn in_little_room(server: &ServerProcess, blocks: u32, arguments: &str) -> Output {
    let script = format!(
        "trap '' XFSZ; ulimit -f {blocks}; exec {PROGRAM} --config config.yaml {arguments}"
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .current_dir(server.directory());
    command.output().expect("ran")
}

#[tokio::test]
async fn a_full_disk_leaves_neither_half_a_backup_nor_half_a_restore() {
    let mut server = ServerProcess::start(PROGRAM, "").await;
    let long = format!("receivers: {{}}\n# {}\n", "x".repeat(100_000));
    server.api().release("base", "env=prod", &long).await;
    let before = names_in(server.directory());
    let text = refused(&in_little_room(&server, 64, "backup copy.db"));
    assert!(text.contains("writing copy.db"), "{text}");
    assert_eq!(names_in(server.directory()), before);
    assert!(audit_is_intact(&server).await, "the server goes on");

    done(&server.command(&["backup", "copy.db"]).await);
    server.terminate().await;
    let (before, database) = (
        names_in(&server.data_dir()),
        server.data_dir().join("opamp.db"),
    );
    let bytes = std::fs::read(&database).ok();
    server.use_new_database().await;
    let text = refused(&in_little_room(&server, 64, "restore copy.db"));
    assert!(text.contains("File too large"), "{text}");
    assert_eq!(names_in(&server.data_dir()), before);
    assert_eq!(std::fs::read(&database).ok(), bytes);
    server.spawn();
    server.wait_until_ready().await;
    assert!(audit_is_intact(&server).await);
}

/// A restore is decided by one rename. Killed after it, whatever was left to do, the next start does.
#[tokio::test]
async fn a_restore_that_was_killed_is_ended_by_the_next_start() {
    let mut server = ServerProcess::start(PROGRAM, "").await;
    if !server.writes_files() {
        // PostgreSQL loads a backup in one transaction.
        return;
    }
    server.api().put_config("base", "env=prod", FIRST).await;
    done(&server.command(&["backup", "copy.db"]).await);
    server.api().put_config("base", "env=prod", SECOND).await;
    for already_moved in [false, true] {
        server.terminate().await;
        let data = server.data_dir();
        std::fs::copy(
            server.directory().join("copy.db"),
            data.join("opamp.db.restoring"),
        )
        .expect("copied");
        if already_moved {
            std::fs::rename(data.join("opamp.db"), data.join("opamp.db.replaced-half"))
                .expect("moved");
        }
        server.spawn();
        server.wait_until_ready().await;
        let config: Value = server.api().get("/api/v1/configs/base").await.ok();
        assert_eq!(config["latest"]["number"], 1, "{config}");
        assert!(
            !names_in(&data)
                .iter()
                .any(|name| name.contains("restoring"))
        );
    }
    assert!(server.log().contains("restore_finished"));
    let replaced = replaced(&server);
    assert_eq!(replaced.len(), 2, "{replaced:?}");
}

#[tokio::test]
async fn the_administrators_token_stays_where_it_is_and_a_restore_says_whether_it_fits() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |data: &str, arguments: &[&str]| {
        let text = format!(
            "data_dir: {data}\nserver: {{ listen: {{ grpc: '127.0.0.1:0', http: '127.0.0.1:0' }} }}\n"
        );
        std::fs::write(directory.path().join(format!("{data}.yaml")), text).expect("written");
        let mut command = Command::new(PROGRAM);
        command
            .arg("--config")
            .arg(format!("{data}.yaml"))
            .args(arguments);
        command.current_dir(directory.path());
        command
    };
    // A server that made its token itself.
    let start = async |data: &str| {
        let mut child = run(data, &[])
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("a process");
        let token = directory.path().join(data).join("admin-token");
        let file = directory.path().join(data).join("opamp.db");
        wait_until("a first start", async || {
            token.exists() && backup_works(&file).await
        })
        .await;
        child.kill().expect("killed");
        child.wait().expect("an end");
    };
    start("one").await;
    done(&run("one", &["backup", "copy.db"]).output().expect("ran"));
    let text = done(&run("one", &["restore", "copy.db"]).output().expect("ran"));
    assert!(!text.contains("token"), "{text}");
    start("two").await;
    let other = std::fs::read(directory.path().join("two/admin-token")).expect("a token");
    let text = done(&run("two", &["restore", "copy.db"]).output().expect("ran"));
    assert!(text.contains("put that file of its server there"), "{text}");
    assert_eq!(
        std::fs::read(directory.path().join("two/admin-token")).expect("a token"),
        other
    );
}

/// Whether the administrator's token is in a database.
async fn backup_works(file: &Path) -> bool {
    let Ok(copy) = store::backup::read_copy(file).await else {
        return false;
    };
    let Ok(mut conn) = copy.read().await else {
        return false;
    };
    let stands = store::meta::get(&mut conn, store::meta::ADMIN_TOKEN_HASH).await;
    drop(conn);
    copy.close().await;
    stands.is_ok_and(|token| token.is_some())
}

#[tokio::test]
async fn retention_runs_by_itself() {
    let clock = Arc::new(ManualClock::default());
    let timing = "timing: { commit_interval: 20ms, liveness_flush: 50ms, resync: 1s, sweep: 100ms, drain: 2s }\n";
    let server = TestServer::builder()
        .config(timing)
        .config("retention: { offline_agents: 24h, events: 48h }\n")
        .clock(clock.clone())
        .start()
        .await;
    let stays = server.fleet(2, |_| {}).await;
    let leaves = server.fleet(3, |options| options.seed = 99).await;
    wait_until_connected(&stays).await;
    wait_until_connected(&leaves).await;
    wait_until("all to be listed", async || {
        server.api().agents("").await.len() == 5
    })
    .await;
    let kinds = async |fleet: &Fleet| -> Vec<String> {
        let path = format!("/api/v1/agents/{}/events?limit=100", fleet.agents()[0].uid);
        let page: Value = server.api().get(&path).await.ok();
        let items = page["items"].as_array().expect("a list").iter();
        items
            .map(|event| event["kind"].as_str().expect("a kind").to_owned())
            .collect()
    };
    let is_new = |kinds: &[String]| kinds.iter().any(|kind| kind == "agent_created");
    wait_until("events of an agent", async || is_new(&kinds(&stays).await)).await;
    leaves.stop(Duration::from_secs(5)).await.expect("an end");
    wait_until("them to be gone", async || {
        server.api().fleet().await.connected == 2
    })
    .await;
    clock.advance(Duration::from_secs(23 * 3600));
    // What the sweeps of the next moments leave: all of them.
    let sweeps = server.server().engine().clone();
    sweeps
        .sweep(runtime::Clock::now(&clock))
        .await
        .expect("swept");
    assert_eq!(server.api().agents("").await.len(), 5);
    clock.advance(Duration::from_secs(2 * 3600));
    wait_until("them to be forgotten", async || {
        server.api().agents("").await.len() == 2
    })
    .await;
    assert!(stays.agents().iter().all(|agent| agent.connected));
    clock.advance(Duration::from_secs(48 * 3600));
    wait_until("old events to be dropped", async || {
        !is_new(&kinds(&stays).await)
    })
    .await;
    assert_eq!(server.api().agents("").await.len(), 2);
}
