//! The real program: its token, its metrics, its logs, and how it stops.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use testkit::fleet::{wait_until_all_run, wait_until_connected};
use testkit::{Api, ServerProcess, TestServer, wait_until};

use crate::FIRST;

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");

#[tokio::test]
async fn the_names_that_dashboards_rely_on_exist_from_the_start() {
    let process = ServerProcess::start(PROGRAM, "").await;
    let text = process.api().get("/metrics").await.text;
    for name in [
        "opamp_server_connected_agents",
        "opamp_server_agent_disconnected_total",
        "opamp_server_config_sent_total",
        "opamp_server_config_applied_total",
        "opamp_server_config_failed_total",
        "opamp_server_request_duration_seconds_count",
        "opamp_server_errors_total",
        "opamp_server_convergence_seconds_count",
    ] {
        assert!(
            text.lines().any(|line| line == format!("{name} 0")),
            "{name} is not there at 0:\n{text}"
        );
    }
    for name in [
        "opamp_server_db_connections_in_use ",
        "opamp_server_db_connections_max ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name} is not there:\n{text}"
        );
    }
}

#[tokio::test]
async fn counts_are_per_agent_and_offer() {
    let process = ServerProcess::start(PROGRAM, "").await;
    let fleet = fleet_of(&process, 5).await;
    process.api().release("base", "", FIRST).await;
    wait_until_all_run(&fleet, FIRST).await;
    let metric = async |name: &str| {
        let text = process.api().get("/metrics").await.text;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
        line.expect("the metric")
    };
    wait_until("five applied configs", async || {
        metric("opamp_server_config_applied_total").await == "5"
    })
    .await;
    assert_eq!(metric("opamp_server_config_sent_total").await, "5");
    assert_eq!(metric("opamp_server_config_failed_total").await, "0");
    assert_eq!(metric("opamp_server_convergence_seconds_count").await, "5");
    assert_eq!(metric("opamp_server_connected_agents").await, "5");
}

async fn fleet_of(process: &ServerProcess, agents: usize) -> testkit::Fleet {
    let endpoint = format!("ws://{}/v1/opamp", process.agent_addr())
        .parse()
        .expect("an endpoint");
    let mut options = fleetsim::Options::new(endpoint, agents);
    testkit::fleet::quick(&mut options);
    let fleet = testkit::Fleet::start(options).await.expect("a fleet");
    wait_until_connected(&fleet).await;
    fleet
}

#[tokio::test]
async fn sigterm_stops_it_in_good_order() {
    let mut process = ServerProcess::start(PROGRAM, "").await;
    let fleet = fleet_of(&process, 5).await;
    wait_until("the fleet to be listed", async || {
        process.api().agents("").await.len() == 5
    })
    .await;
    assert_eq!(process.terminate().await, 0, "{}", process.log());
    let log = process.log();
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect();
    let has = |event: &str| events.iter().any(|line| line["event"] == event);
    for event in [
        "server_started",
        "server_stopping",
        "drain_started",
        "drain_finished",
        "server_stopped",
    ] {
        assert!(has(event), "{event} is not in the log:\n{log}");
    }
    for line in &events {
        assert_eq!(line["component"], "opamp-server");
        assert!(
            line["timestamp"].is_string() && line["level"].is_string(),
            "{line}"
        );
    }
    process.spawn();
    process.wait_until_ready().await;
    wait_until("the fleet to be back", async || {
        process.api().fleet().await.connected == 5
    })
    .await;
    assert_eq!(fleet.agents().len(), 5);
}

#[tokio::test]
async fn without_a_configured_token_one_is_made_and_kept_for_its_user_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = testkit::TestDatabase::create().await;
    let text = format!(
        "server: {{ listen: {{ grpc: '127.0.0.1:0', http: '127.0.0.1:0' }} }}\ndata_dir: '{}'\n{}",
        directory.path().join("data").display(),
        database.section()
    );
    let start = async || {
        let settings =
            server::config::Settings::parse("c.yaml", &text, &runtime::Environment::default())
                .expect("good");
        server::Server::start(settings, std::sync::Arc::new(runtime::SystemClock))
            .await
            .expect("a server")
    };
    let first = start().await;
    let file = directory.path().join("data/admin-token");
    let token = std::fs::read_to_string(&file)
        .expect("a token")
        .trim()
        .to_owned();
    assert!(
        token.starts_with("opamp_adm_"),
        "the token has another form"
    );
    assert_eq!(
        std::fs::metadata(&file)
            .expect("a file")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let api = |server: &server::Server| {
        Api::new(
            format!("http://{}", server.admin_addr()),
            Some(token.clone()),
        )
    };
    assert!(api(&first).get("/api/v1/fleet").await.status.is_success());
    first.stop().await.expect("a good end");
    let second = start().await;
    assert_eq!(
        std::fs::read_to_string(&file).expect("a token").trim(),
        token
    );
    assert!(api(&second).get("/api/v1/fleet").await.status.is_success());
    second.stop().await.expect("a good end");
}

#[tokio::test]
async fn a_draining_server_is_not_ready() {
    let mut server = TestServer::builder()
        .config("timing: { drain: 1s, commit_interval: 20ms }\n")
        .start()
        .await;
    let fleet = server.fleet(3, |_| {}).await;
    wait_until_connected(&fleet).await;
    let api = server.api();
    assert_eq!(api.get("/ready").await.status.as_u16(), 200);
    let watch = tokio::spawn(async move {
        // The plane ends a moment later; until then it must say 503 and never 200 again.
        let mut seen = Vec::new();
        while let Some(answer) = api
            .try_send(api.request(reqwest::Method::GET, "/ready"))
            .await
        {
            seen.push(answer.status.as_u16());
        }
        seen
    });
    server.stop().await;
    let seen = watch.await.expect("the watch");
    let first_503 = seen
        .iter()
        .position(|status| *status == 503)
        .unwrap_or(seen.len());
    assert!(
        seen[first_503..].iter().all(|status| *status == 503),
        "{seen:?}"
    );
    wait_until("the fleet to be closed", async || {
        fleet.agents().iter().all(|agent| !agent.connected)
    })
    .await;
}

#[tokio::test]
async fn tr_03_without_a_word_agents_dial_port_4320() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config.yaml");
    std::fs::write(&file, "").expect("a file");
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_opamp-server"))
        .arg("check-config")
        .arg(&file)
        .output()
        .await
        .expect("an answer");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("agent plane: 127.0.0.1:4320"), "{text}");
}
