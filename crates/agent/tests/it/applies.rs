//! Configurations that are good: taken over in the same process, byte for byte, reported.

use std::collections::BTreeMap;

use crate::harness::{Machine, install, is_alive};
use crate::server::{APPLIED, APPLYING, Server};

#[tokio::test]
async fn cf_06_c30_a_configuration_is_taken_over_by_the_same_process() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let first = machine.until_journal("start", "local").await;
    server.until("health", |seen| seen.is_healthy()).await;

    let body = format!(
        "# kept as it is  \r\n{}",
        machine.stand_in_config("one", "")
    );
    assert_eq!(server.offer("h1", &body).await.status, APPLIED);
    assert_eq!(machine.until_journal("reload", "one").await.pid, first.pid);
    assert_eq!(machine.config(), body);
    let seen = server
        .until("effective config", |seen| {
            seen.effective_body("config.yaml").as_deref() == Some(body.as_str())
        })
        .await;
    let states: Vec<i32> = seen.statuses.iter().map(|status| status.status).collect();
    assert_eq!(states, [APPLYING, APPLIED]);

    let log = machine.log();
    let hash = "6831";
    assert!(
        log.contains(&format!("Received remote config, hash: {hash}")),
        "{log}"
    );
    assert!(
        log.contains("Applied config successfully") && log.contains("reload"),
        "{log}"
    );
    assert_eq!(machine.events("config_applied")[0]["config_hash"], hash);
    assert_eq!(machine.events("config_applied")[0]["success"], true);
}

#[tokio::test]
async fn c02_the_first_configuration_starts_the_collector() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("c28: healthy without a collector", |seen| seen.is_healthy())
        .await;
    assert_eq!(machine.collectors(), Vec::<i32>::new());
    assert_eq!(
        server
            .offer("h1", &machine.stand_in_config("one", ""))
            .await
            .status,
        APPLIED
    );
    machine.until_journal("start", "one").await;
    server
        .until("the new process's health", |seen| {
            seen.is_healthy() && seen.pid().is_some()
        })
        .await;
}

#[tokio::test]
async fn without_reload_the_process_is_replaced() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.collector = "reload: never".to_owned();
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let first = machine.until_journal("start", "local").await;
    server.until("health", |seen| seen.is_healthy()).await;
    assert_eq!(
        server
            .offer("h1", &machine.stand_in_config("one", ""))
            .await
            .status,
        APPLIED
    );
    assert_ne!(machine.until_journal("start", "one").await.pid, first.pid);
    assert!(!is_alive(first.pid));
}

#[tokio::test]
async fn the_same_content_again_changes_nothing() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| {
            seen.connections == 1 && !seen.uid.is_empty()
        })
        .await;
    let body = machine.stand_in_config("one", "");
    server.offer("h1", &body).await;
    server.push("h1", &body);
    server
        .offer("h2", &machine.stand_in_config("two", ""))
        .await;
    let events: Vec<String> = machine
        .journal()
        .into_iter()
        .map(|entry| format!("{} {}", entry.event, entry.label))
        .collect();
    assert_eq!(events, ["start one", "reload two"]);
}

#[tokio::test]
async fn the_latest_of_several_offers_wins() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server.push(
        "slow",
        &machine.stand_in_config("slow", "slow_validate_ms: 60000"),
    );
    server
        .until("the first is being tried", |seen| {
            seen.statuses
                .last()
                .is_some_and(|status| status.status == APPLYING)
        })
        .await;
    assert_eq!(
        server
            .offer("fast", &machine.stand_in_config("fast", ""))
            .await
            .status,
        APPLIED
    );
    machine.until_journal("start", "fast").await;
    let verdicts: Vec<_> = server
        .seen()
        .statuses
        .into_iter()
        .filter(|status| status.status != APPLYING)
        .collect();
    assert!(
        verdicts
            .iter()
            .all(|status| status.last_remote_config_hash == b"fast"),
        "{verdicts:?}"
    );
    assert_eq!(machine.events("config_superseded").len(), 1);
}

#[tokio::test]
async fn several_entries_are_merged_in_the_order_of_their_names() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let file = |text: String| opamp::proto::AgentConfigFile {
        body: text.into_bytes(),
        content_type: String::new(),
    };
    let over = "extensions: { stand_in: { label: merged } }\n".to_owned();
    let map = BTreeMap::from([
        ("b".to_owned(), file(over)),
        ("a".to_owned(), file(machine.stand_in_config("one", ""))),
    ]);
    server.push_map("h1", map);
    assert_eq!(server.verdict("h1", 0).await.status, APPLIED);
    machine.until_journal("start", "merged").await;
}

#[tokio::test]
async fn an_empty_configuration_brings_back_what_stood_on_the_machine() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    let local = machine.stand_in_config("local", "");
    machine.put_local(&local);
    machine.start();
    machine.until_journal("start", "local").await;
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server
        .offer("h1", &machine.stand_in_config("one", ""))
        .await;
    assert_eq!(server.offer("h2", "").await.status, APPLIED);
    machine.until_journal("reload", "local").await;
    assert_eq!(machine.config(), local);
}

#[tokio::test]
async fn c28_an_empty_configuration_stops_a_collector_that_had_none_before() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server
        .offer("h1", &machine.stand_in_config("one", ""))
        .await;
    let from = server.seen().statuses.len();
    server.push_map("h2", BTreeMap::new());
    assert_eq!(server.verdict("h2", from).await.status, APPLIED);
    machine.until_journal("stop", "one").await;
    assert_eq!(machine.collectors(), Vec::<i32>::new());
    server
        .until("health without a process", |seen| {
            seen.is_healthy() && seen.pid().is_none()
        })
        .await;
}

#[tokio::test]
async fn c11_arguments_variables_and_local_files_are_passed_on() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    let local = machine.path("base.yaml");
    std::fs::write(
        &local,
        "extensions: { stand_in: { label: base } }\nprocessors: { batch: {} }\n",
    )
    .unwrap();
    machine.collector = format!(
        "args: ['--set=a=b'], env: {{ MARK: here }}, config_files: ['{}']",
        local.display()
    );
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server
        .offer("h1", &machine.stand_in_config("one", ""))
        .await;
    let pid = machine.until_journal("start", "one").await.pid;
    let read = |name: &str| {
        String::from_utf8(std::fs::read(format!("/proc/{pid}/{name}")).unwrap()).unwrap()
    };
    assert!(
        read("environ")
            .split('\0')
            .any(|variable| variable == "MARK=here")
    );
    let line = read("cmdline");
    let arguments: Vec<&str> = line.split('\0').collect();
    assert_eq!(
        arguments[1..4],
        ["--set=a=b", "--config", local.to_str().unwrap()]
    );
    let seen = server
        .until("the local file in the effective config", |seen| {
            seen.effective_body("local/0-base.yaml").is_some()
        })
        .await;
    assert!(
        seen.effective_body("opamp-agent.yaml")
            .unwrap()
            .contains("edge-1")
    );
}

#[tokio::test]
async fn a_program_that_was_replaced_is_started_and_not_told_to_reload() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    let program = machine.path("collector");
    let built = std::mem::replace(&mut machine.executable, program.clone());
    install(&built, &program);
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let one = machine.stand_in_config("one", "");
    assert_eq!(server.offer("h1", &one).await.status, APPLIED);
    let pid = machine.until_journal("start", "one").await.pid;
    install(&built, &program);
    let two = machine.stand_in_config("two", "");
    assert_eq!(server.offer("h2", &two).await.status, APPLIED);
    let started = machine.until_journal("start", "two").await;
    assert_ne!(started.pid, pid);
    let three = machine.stand_in_config("three", "");
    assert_eq!(server.offer("h3", &three).await.status, APPLIED);
    let reloaded = machine.until_journal("reload", "three").await;
    assert_eq!(reloaded.pid, started.pid);
}

#[tokio::test]
async fn the_death_of_the_old_process_is_no_fault_of_the_new_configuration() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let pid = machine.until_journal("start", "local").await.pid;
    server.until("health", |seen| seen.is_healthy()).await;
    let from = server.seen().statuses.len();
    server.push(
        "h1",
        &machine.stand_in_config("one", "slow_validate_ms: 1000"),
    );
    machine.until_event("config_received", 1).await;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let status = server.verdict("h1", from).await;
    assert_eq!(status.status, APPLIED, "{}", status.error_message);
    machine.until_journal("start", "one").await;
}
