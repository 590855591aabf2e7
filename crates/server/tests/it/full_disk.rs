//! A disk that fills up while the server runs: writes are refused and say so, agents stay, and room is all it takes to go on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::fleet::{quick, wait_until_all_run, wait_until_connected};
use testkit::{Fleet, ServerProcess, wait_until};

use crate::{FIRST, SECOND, labels};

/// Starts the program with SIGXFSZ ignored, so that a write beyond the limit is an error, as on a full disk.
fn program(directory: &tempfile::TempDir) -> PathBuf {
    let script = directory.path().join("opamp-server");
    let text = format!(
        "#!/bin/sh\ntrap '' XFSZ\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_opamp-server")
    );
    std::fs::write(&script, text).expect("a script");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&script, executable).expect("a script");
    script
}

/// Files below this hold nothing that the server writes while the disk is full, and everything else is larger.
const ROOM_BYTES: u64 = 16 * 1024;

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room_and_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = ServerProcess::start(program(&directory), "log: { level: warn }\n").await;
    let endpoint = format!("ws://{}/v1/opamp", server.agent_addr())
        .parse()
        .expect("an endpoint");
    let mut options = fleetsim::Options::new(endpoint, 3);
    quick(&mut options);
    options.labels = labels(&["env=prod"]);
    let fleet = Fleet::start(options).await.expect("a fleet");
    wait_until_connected(&fleet).await;
    let api = server.api();
    api.release("base", "env=prod", FIRST).await;
    wait_until_all_run(&fleet, FIRST).await;

    server.limit_file_size(Some(ROOM_BYTES));
    let body =
        json!({"kind": "collector", "selector": "env=prod", "body": SECOND, "message": "too much"});
    if server.writes_files() {
        for _ in 0..3 {
            let revision = api.request(Method::PUT, "/api/v1/configs/base").json(&body);
            let rollout = api
                .request(Method::POST, "/api/v1/configs/base/rollouts")
                .json(&json!({"revision": 1}));
            for request in [revision, rollout] {
                let answer = api.try_send(request).await.expect("an answer");
                assert_eq!(
                    answer.status,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "{}",
                    answer.text
                );
                let problem: Value = answer.json();
                assert!(
                    problem["type"]
                        .as_str()
                        .is_some_and(|kind| kind.ends_with("database-unavailable")),
                    "{problem}"
                );
            }
        }
    }
    assert!(fleet.agents().iter().all(|agent| agent.connected));
    // What was refused is known not to have happened: the fleet is not read again for each refusal.
    assert!(!server.log().contains("memory_reread"), "{}", server.log());

    server.limit_file_size(None);
    let revisions: Value = api.get("/api/v1/configs/base/revisions").await.ok();
    assert_eq!(
        revisions["items"].as_array().map(Vec::len),
        Some(1),
        "{revisions}"
    );
    api.release("base", "env=prod", SECOND).await;
    wait_until_all_run(&fleet, SECOND).await;
    wait_until("what agents said meanwhile to be stored", async || {
        let ready: Value = api.get("/ready").await.ok();
        ready["status"] == "ok"
    })
    .await;
    let verified: Value = api.get("/api/v1/audit/verify").await.ok();
    assert_eq!(verified["intact"], true);
}
