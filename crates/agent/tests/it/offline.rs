//! Without a server, and on bad ground: the collector comes first.

use std::fs;

use crate::harness::{Machine, free_port, is_alive};
use crate::server::{APPLIED, Server};

#[tokio::test]
async fn c06_the_local_configuration_runs_without_a_server_until_there_is_one() {
    let address = format!("127.0.0.1:{}", free_port());
    let mut machine = Machine::new(&format!("ws://{address}/v1/opamp"));
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    machine.until_journal("start", "local").await;
    machine.until_event("connect_failed", 1).await;
    let server = Server::start_on(address.parse().unwrap()).await;
    server
        .until("c12: the agent connects later", |seen| seen.is_healthy())
        .await;
}

#[tokio::test]
async fn c07_the_last_remote_configuration_runs_without_a_server() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server
        .offer("h1", &machine.stand_in_config("one", ""))
        .await;
    assert!(machine.stop().await.success());
    machine.until_journal("stop", "one").await;
    drop(server);
    machine.start();
    machine.until_journal("start", "one").await;
}

#[tokio::test]
async fn c24_the_status_of_the_last_offer_survives_a_restart() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server
        .offer("good", &machine.stand_in_config("good", ""))
        .await;
    let refused = server
        .offer("bad", &machine.stand_in_config("bad", "refuse: no"))
        .await;
    assert!(machine.stop().await.success());
    let again = Server::start().await;
    machine.endpoint = again.endpoint();
    machine.start();
    let seen = again
        .until("the status", |seen| !seen.statuses.is_empty())
        .await;
    assert_eq!(seen.statuses[0], refused);
    machine.until_journal("start", "good").await;
}

#[tokio::test]
async fn a_second_agent_on_the_directory_is_refused_with_the_name_of_the_first() {
    let mut machine = Machine::new("ws://127.0.0.1:1/v1/opamp");
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    machine.until_journal("start", "local").await;
    let second = machine.command().output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("in use by opamp-agent, process "), "{said}");
    assert_eq!(machine.collectors().len(), 1);
}

#[tokio::test]
async fn a_wrong_settings_file_is_refused_with_key_and_line() {
    let mut machine = Machine::new("ws://127.0.0.1:1/v1/opamp");
    machine.collector = "stop_timout: 5s".to_owned();
    let output = machine.command().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(
            "opamp.yaml:6: unknown key collector.stop_timout; did you mean stop_timeout?"
        ),
        "{said}"
    );
    machine.collector = String::new();
    let good = machine.command().arg("check-config").output().unwrap();
    assert!(good.status.success());
}

#[tokio::test]
async fn missing_certificates_delay_the_connection_and_not_the_collector() {
    let server = Server::start().await;
    let mut machine = Machine::new("");
    let ca = machine.path("ca.pem");
    // Read whatever the transport; the server speaks plain WebSocket and does not care what is in it.
    machine.endpoint = format!(
        "{}', tls: {{ ca_file: '{}' }}, polling_interval: '1s",
        server.endpoint(),
        ca.display()
    );
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    machine.until_journal("start", "local").await;
    let failed = machine.until_event("connect_failed", 1).await;
    let error = failed[0]["error"].as_str().unwrap();
    assert!(error.contains("ca.pem: "), "{error}");
    fs::write(&ca, "one").unwrap();
    server.until("health", |seen| seen.is_healthy()).await;
    // What is renewed on disk counts at the next dial.
    fs::write(&ca, "two").unwrap();
    let address = server.address;
    drop(server);
    machine.until_event("tls_files_changed", 1).await;
    let server = Server::start_on(address).await;
    server.until("health", |seen| seen.is_healthy()).await;
}

#[tokio::test]
async fn he_02_he_03_a_missing_program_is_told_and_tried_again() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.put_local(&machine.stand_in_config("local", ""));
    let program = machine.path("collector");
    let real = std::mem::replace(&mut machine.executable, program.clone());
    machine.start();
    let seen = server
        .until("unhealthy, with the reason", |seen| {
            seen.health
                .as_ref()
                .is_some_and(|health| health.last_error.contains("starting"))
        })
        .await;
    let health = seen.health.expect("the health");
    assert!(!health.healthy);
    assert_eq!(health.start_time_unix_nano, 0, "it does not run");
    fs::copy(real, program).unwrap();
    machine.until_journal("start", "local").await;
    server.until("health", |seen| seen.is_healthy()).await;
}

#[tokio::test]
async fn damaged_state_costs_neither_identity_nor_configuration() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.instance_id = String::new();
    machine.start();
    let uid = server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await
        .uid;
    server
        .offer("h1", &machine.stand_in_config("one", ""))
        .await;
    server
        .offer("h2", &machine.stand_in_config("two", ""))
        .await;
    assert!(machine.stop().await.success());
    for name in ["identity", "ledger", "process"] {
        let path = machine.path("state").join(format!("{name}.json"));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    }
    machine.start();
    let again = server
        .until("the second connection", |seen| {
            seen.connections == 2 && seen.is_healthy()
        })
        .await;
    assert_eq!(again.uid, uid);
    assert_eq!(machine.until_event("state_corrupt", 3).await.len(), 3);
    assert_eq!(
        server
            .offer("h3", &machine.stand_in_config("three", ""))
            .await
            .status,
        APPLIED
    );
    assert_eq!(machine.collectors().len(), 1);
}

#[tokio::test]
async fn a_stopped_agent_stops_its_collector_and_says_goodbye() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let pid = machine.until_journal("start", "local").await.pid;
    server.until("health", |seen| seen.is_healthy()).await;
    assert!(machine.stop().await.success());
    assert!(!is_alive(pid));
    server
        .until("dc_01 the goodbye", |seen| seen.goodbyes == 1)
        .await;
}
