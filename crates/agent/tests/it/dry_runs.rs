//! Configurations that are checked and not applied.

use std::fs;

use opamp::model::{DRY_RUN, DryRunOutcome};

use crate::harness::{Machine, until};
use crate::server::{APPLIED, Server};

async fn running(server: &Server, collector: &str) -> Machine {
    let mut machine = Machine::new(&server.endpoint());
    machine.collector = collector.to_owned();
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    machine.until_journal("start", "local").await;
    server.until("health", |seen| seen.is_healthy()).await;
    machine
}

fn refused(reason: &str) -> DryRunOutcome {
    DryRunOutcome::Refused(reason.to_owned())
}

/// What stands in the agent's own directory, but for logs.
fn state(machine: &Machine) -> Vec<(String, Option<Vec<u8>>)> {
    let entries = fs::read_dir(machine.path("state")).unwrap().flatten();
    let mut state: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).ok())
        })
        .filter(|(name, _)| !name.contains("log"))
        .collect();
    state.sort();
    state
}

#[tokio::test]
async fn what_is_checked_is_not_applied() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    let seen = server
        .until("the capability", |seen| {
            !seen.custom_capabilities.is_empty()
        })
        .await;
    assert!(seen.custom_capabilities.contains(&DRY_RUN.to_owned()));
    // The record of the process is written beside its start.
    let before = until("a state that is written", || {
        let names = state(&machine);
        let has = |wanted: &str| names.iter().any(|(name, _)| name == wanted);
        let is_written = has("process.json") && !has(".process.json.new");
        is_written.then_some(names)
    })
    .await
    .unwrap();
    let config = machine.config();
    let good = machine.stand_in_config("good", "");
    assert_eq!(server.dry_run(1, &good).await, DryRunOutcome::Accepted);
    let bad = good.replace("receivers: [otlp]", "receivers: [nope]");
    let reason = "service::pipelines::traces: references receiver \"nope\" which is not configured";
    assert_eq!(server.dry_run(2, &bad).await, refused(reason));
    let DryRunOutcome::Refused(reason) = server.dry_run(3, "just text").await else {
        panic!("it is no configuration")
    };
    assert!(reason.contains("line 1"), "{reason}");
    assert_eq!((machine.config(), state(&machine)), (config, before));
    assert_eq!(machine.journal().len(), 1, "neither reloaded nor restarted");
    assert!(server.seen().statuses.is_empty());
    assert_eq!(
        server.offer("bad", &good).await.status,
        APPLIED,
        "no hash is held against an offer"
    );
}

#[tokio::test]
async fn it_is_checked_with_all_that_the_collector_would_get() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    let base = machine.path("base.yaml");
    fs::write(&base, "receivers: { otlp: {} }\n").unwrap();
    machine.collector = format!("config_files: ['{}']", base.display());
    machine.env = vec![("API_TOKEN", "hunter22")];
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    machine.until_journal("start", "local").await;
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let rest = machine
        .stand_in_config("rest", "")
        .replace("receivers: { otlp: {} }\n", "");
    assert_eq!(server.dry_run(1, &rest).await, DryRunOutcome::Accepted);
    let telling = machine.stand_in_config("telling", "refuse: 'what is hunter22'");
    assert_eq!(
        server.dry_run(2, &telling).await,
        refused("what is [redacted]")
    );
    assert!(!machine.path("state/dry-run").exists());
}

#[tokio::test]
async fn it_works_while_the_collector_does_not_run() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let good = machine.stand_in_config("good", "");
    assert_eq!(server.dry_run(1, &good).await, DryRunOutcome::Accepted);
    assert_eq!(machine.collectors(), Vec::<i32>::new());
    assert!(!machine.config_path().exists());
}

#[tokio::test]
async fn what_cannot_be_checked_says_why() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.executable = machine.path("no-such-collector");
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let outcome = server.dry_run(1, &machine.stand_in_config("x", "")).await;
    let DryRunOutcome::Failed(reason) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("no-such-collector"), "{reason}");
}

#[tokio::test]
async fn one_is_checked_at_a_time_within_its_limit_and_offers_do_not_wait_for_it() {
    let server = Server::start().await;
    let machine = running(&server, "command_timeout: 2s").await;
    let endless = machine.stand_in_config("endless", "slow_validate_ms: 60000");
    for id in 1..=5 {
        server.ask(id, &endless);
    }
    let one = machine.stand_in_config("one", "");
    let offered = server.offer("h1", &one);
    assert_eq!(offered.await.status, APPLIED);
    let seen = server
        .until("five answers", |seen| seen.dry_runs.len() == 5)
        .await;
    let reason = |outcome: &DryRunOutcome| match outcome {
        DryRunOutcome::Failed(reason) => reason.clone(),
        other => panic!("{other:?}"),
    };
    let reasons: Vec<String> = seen
        .dry_runs
        .iter()
        .map(|answer| reason(&answer.outcome))
        .collect();
    let busy = reasons.iter().filter(|reason| reason.starts_with("busy"));
    // Whether the first was begun when the third came is a matter of luck.
    assert!((2..=3).contains(&busy.count()), "{reasons:?}");
    let slow = reasons
        .iter()
        .filter(|reason| reason.contains("within 2 s"));
    assert!((2..=3).contains(&slow.count()), "{reasons:?}");
}

#[tokio::test]
async fn se_03_a_server_that_may_not_configure_may_not_ask() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.capabilities = "accepts_remote_config: false".to_owned();
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server.ask(1, &machine.stand_in_config("x", ""));
    // The messages are read in order.
    server.assign([9; 16]);
    let seen = server
        .until("the new uid", |seen| seen.uid == [9; 16])
        .await;
    assert_eq!(seen.custom_capabilities, Vec::<String>::new());
    assert_eq!(seen.dry_runs, []);
    assert!(machine.events("dry_run").is_empty());
}
