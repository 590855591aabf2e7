//! A PostgreSQL of the test's own that stops: frozen where it is (SIGSTOP: nothing answers, nothing is refused), and killed and
//! started again. Agents are answered all the while, writes are refused or wait, and it goes on by itself.
//!
//! Each for some heartbeats of the fleet; `FAULT_SECONDS=60` makes it a minute.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::database::PostgresDatabase;
use testkit::fleet::{quick, wait_until_all_run, wait_until_connected};
use testkit::{Fleet, ServerProcess, TestDatabase, wait_until};

use crate::{FIRST, SECOND, labels};

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");
const AGENTS: usize = 4;
/// PostgreSQL's programs are not installed.
const NOT_INSTALLED: i32 = 3;

/// A PostgreSQL server; ended when it is dropped.
struct Postgres {
    directory: tempfile::TempDir,
}

impl Postgres {
    /// Starts one, with its address. `None` where PostgreSQL is not installed and need not be.
    fn start() -> Option<(Self, String)> {
        let directory = tempfile::tempdir().expect("a directory");
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), readable).expect("our own directory");
        let postgres = Self { directory };
        let started = postgres.run("start");
        let required = std::env::var("REQUIRE_ALL").is_ok_and(|required| required == "1");
        if started.status.code() == Some(NOT_INSTALLED) && !required {
            eprintln!("skipped: PostgreSQL is not installed");
            return None;
        }
        assert!(started.status.success(), "{started:?}");
        let address = String::from_utf8(started.stdout).expect("an address");
        Some((postgres, address.trim().to_owned()))
    }

    fn run(&self, command: &str) -> Output {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres");
        let mut run = Command::new(script);
        run.arg(command).arg(self.directory.path().join("postgres"));
        run.output().expect("ran")
    }

    fn order(&self, command: &str) {
        let ordered = self.run(command);
        assert!(ordered.status.success(), "{command}: {ordered:?}");
    }
}

/// A PostgreSQL that stands still, until this is dropped: also where a test fails meanwhile, whose end needs PostgreSQL.
struct Frozen<'a>(&'a Postgres);

impl Postgres {
    fn freeze(&self) -> Frozen<'_> {
        self.order("freeze");
        Frozen(self)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.order("thaw");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.run("stop"));
    }
}

/// Has every agent say something new, and waits until it and some heartbeats are answered.
async fn is_answered(fleet: &Fleet) {
    let before = fleet.stats();
    let least: u64 = std::env::var("FAULT_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let began = Instant::now();
    (0..AGENTS).for_each(|index| fleet.agent(index).flip_health());
    while began.elapsed() < Duration::from_secs(least) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    wait_until("agents to be answered", async || {
        3 * AGENTS as u64 <= fleet.stats().since(&before).received
    })
    .await;
    let since = fleet.stats().since(&before);
    assert_eq!(
        (since.lost, since.refused, since.unavailable),
        (0, 0, 0),
        "{since:?}"
    );
}

async fn ready(server: &ServerProcess) -> Value {
    let answer = server.api().get("/ready").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn is_well(server: &ServerProcess, fleet: &Fleet) -> bool {
    let request = server
        .api()
        .request(Method::GET, "/api/v1/agents?limit=100");
    let Some(answer) = server
        .api()
        .try_send(request)
        .await
        .filter(|answer| answer.status.is_success())
    else {
        return false;
    };
    let page: Value = answer.json();
    let own = fleet.agents();
    let agents = page["items"].as_array().expect("a list");
    ready(server).await["status"] == "ok"
        && agents.len() == AGENTS
        && agents.iter().all(|seen| {
            let own = own
                .iter()
                .find(|own| seen["instance_uid"] == *own.uid)
                .expect("an agent of ours");
            seen["connected"] == true && seen["healthy"] == own.healthy && seen["in_sync"] == true
        })
}

async fn start(address: String) -> (ServerProcess, Fleet) {
    let database = TestDatabase::Postgres(PostgresDatabase::create_on(address).await);
    let server = ServerProcess::start_on(database, PROGRAM, "").await;
    let endpoint = format!("ws://{}/v1/opamp", server.agent_addr()).parse();
    let mut options = fleetsim::Options::new(endpoint.expect("an endpoint"), AGENTS);
    quick(&mut options);
    options.labels = labels(&["env=prod"]);
    let fleet = Fleet::start(options).await.expect("a fleet");
    wait_until_connected(&fleet).await;
    server.api().release("base", "env=prod", FIRST).await;
    wait_until_all_run(&fleet, FIRST).await;
    wait_until("the server to have stored it", async || {
        is_well(&server, &fleet).await
    })
    .await;
    (server, fleet)
}

fn is_wanted() -> bool {
    // It has a server of its own; once is enough where the suite runs on both engines.
    std::env::var("TEST_DATABASE").is_ok_and(|database| database == "postgresql")
}

#[tokio::test]
async fn a_postgresql_that_stands_still_and_goes_on_keeps_no_agent_waiting() {
    let Some((postgres, address)) = is_wanted().then(Postgres::start).flatten() else {
        return;
    };
    let (server, fleet) = start(address).await;
    let frozen = postgres.freeze();
    let api = server.api();
    let revision =
        json!({"kind": "collector", "selector": "env=prod", "body": SECOND, "message": "late"});
    let write = tokio::spawn(async move {
        let request = api
            .request(Method::PUT, "/api/v1/configs/base")
            .json(&revision);
        api.try_send(request).await.map(|answer| answer.status)
    });
    is_answered(&fleet).await;
    // Whoever asks for health waits for no database.
    ready(&server).await;
    assert_eq!(server.api().get("/health").await.status, StatusCode::OK);
    drop(frozen);
    if let Some(status) = write.await.expect("an end") {
        assert!(
            status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE,
            "{status}"
        );
    }
    wait_until("the server to be well again", async || {
        is_well(&server, &fleet).await
    })
    .await;
    server.api().release("base", "env=prod", SECOND).await;
    wait_until_all_run(&fleet, SECOND).await;
    let verified: Value = server.api().get("/api/v1/audit/verify").await.ok();
    assert_eq!(verified["intact"], true);
}

#[tokio::test]
async fn a_postgresql_that_is_killed_and_started_again_loses_no_agent() {
    let Some((postgres, address)) = is_wanted().then(Postgres::start).flatten() else {
        return;
    };
    let (server, fleet) = start(address).await;
    postgres.order("crash");
    is_answered(&fleet).await;
    wait_until("the server to say so", async || {
        ready(&server).await["status"] == "degraded"
    })
    .await;
    let revision =
        json!({"kind": "collector", "selector": "env=prod", "body": SECOND, "message": "no"});
    let answer = server.api().put("/api/v1/configs/base", &revision).await;
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        answer.text
    );
    postgres.order("again");
    wait_until("the server to be well again", async || {
        is_well(&server, &fleet).await
    })
    .await;
    let revisions: Value = server
        .api()
        .get("/api/v1/configs/base/revisions")
        .await
        .ok();
    assert_eq!(
        revisions["items"].as_array().map(Vec::len),
        Some(1),
        "{revisions}"
    );
    server.api().release("base", "env=prod", SECOND).await;
    wait_until_all_run(&fleet, SECOND).await;
    let verified: Value = server.api().get("/api/v1/audit/verify").await.ok();
    assert_eq!(verified["intact"], true);
}
