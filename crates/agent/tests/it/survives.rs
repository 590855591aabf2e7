//! An agent that is killed: its collector runs on, and the next agent is never in its own way.

use std::time::Duration;

use crate::harness::{Machine, is_alive, until};
use crate::server::{APPLIED, APPLYING, Server};

#[tokio::test]
async fn a_killed_agent_leaves_its_collector_to_the_next_one_without_a_gap() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server
        .offer("h1", &machine.stand_in_config("one", "flood_lines: 10"))
        .await;
    let pid = machine.until_journal("start", "one").await.pid;
    machine.kill();
    assert!(is_alive(pid));
    machine.start();
    let adopted = machine.until_event("collector_adopted", 1).await;
    assert_eq!(adopted[0]["pid"], pid);
    server
        .until("its health", |seen| {
            seen.connections == 2 && seen.is_healthy() && seen.pid() == Some(i64::from(pid))
        })
        .await;
    // It is as much its own as the one before: it reloads, is restarted when it dies, and stops with the agent.
    assert_eq!(
        server
            .offer("h2", &machine.stand_in_config("two", ""))
            .await
            .status,
        APPLIED
    );
    assert_eq!(machine.until_journal("reload", "two").await.pid, pid);
    assert!(machine.stop().await.success());
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn the_death_of_an_adopted_collector_is_noticed() {
    let mut machine = Machine::new("ws://127.0.0.1:1/v1/opamp");
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let pid = machine.until_journal("start", "local").await.pid;
    machine.until_event("collector_ready", 1).await;
    machine.kill();
    machine.start();
    machine.until_event("collector_adopted", 1).await;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    machine.until_event("collector_ready", 2).await;
    assert_ne!(machine.until_journal("start", "local").await.pid, pid);
    assert_eq!(machine.collectors().len(), 1);
}

#[tokio::test]
async fn a_collector_that_runs_something_else_is_replaced() {
    let mut machine = Machine::new("ws://127.0.0.1:1/v1/opamp");
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let pid = machine.until_journal("start", "local").await.pid;
    machine.until_event("collector_ready", 1).await;
    machine.kill();
    machine.put_local(&machine.stand_in_config("edited", ""));
    machine.start();
    machine.until_journal("start", "edited").await;
    assert!(!is_alive(pid));
    assert_eq!(machine.collectors().len(), 1);
}

#[tokio::test]
async fn a_collector_without_a_record_is_found_by_its_mark() {
    let mut machine = Machine::new("ws://127.0.0.1:1/v1/opamp");
    machine.put_local(&machine.stand_in_config("local", "child: true"));
    machine.start();
    let pid = machine.until_journal("start", "local").await.pid;
    let child: i32 = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    machine.until_event("collector_ready", 1).await;
    machine.kill();
    for name in ["process.json", "process.json.prev"] {
        std::fs::remove_file(machine.path("state").join(name)).ok();
    }
    machine.start();
    machine.until_event("strays_stopped", 1).await;
    machine.until_event("collector_ready", 2).await;
    assert!(!is_alive(pid) && !is_alive(child));
    assert_eq!(machine.collectors().len(), 1);
}

#[tokio::test]
async fn a_collector_can_be_left_to_the_next_agent() {
    let mut machine = Machine::new("ws://127.0.0.1:1/v1/opamp");
    machine.collector = "on_agent_exit: leave".to_owned();
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let pid = machine.until_journal("start", "local").await.pid;
    machine.until_event("collector_ready", 1).await;
    assert!(machine.stop().await.success());
    assert!(is_alive(pid));
    machine.start();
    machine.until_event("collector_adopted", 1).await;
    assert_eq!(machine.collectors(), [pid]);
}

#[tokio::test]
async fn files_that_cannot_be_written_at_boot_are_written_later() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let body = machine.stand_in_config("one", "");
    assert_eq!(server.offer("h1", &body).await.status, APPLIED);
    assert!(machine.stop().await.success());
    machine.put_local("edited: while nobody looked\n");
    machine.block_config();
    machine.start();
    machine.until_event("config_not_in_place", 2).await;
    assert!(machine.collectors().is_empty());
    machine.unblock_config();
    machine.until_journal("start", "one").await;
    assert_eq!(machine.config(), body);
    assert!(
        machine.events("config_failed").is_empty(),
        "it was no fault of the configuration"
    );
}

#[tokio::test]
async fn what_runs_is_kept_while_its_files_cannot_be_written() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    server
        .offer("h1", &machine.stand_in_config("one", ""))
        .await;
    let pid = machine.until_journal("start", "one").await.pid;
    machine.kill();
    machine.put_local("edited: while nobody looked\n");
    machine.block_config();
    machine.start();
    machine.until_event("config_not_in_place", 2).await;
    assert!(is_alive(pid), "data first");
    machine.unblock_config();
    machine.until_event("collector_ready", 2).await;
    assert_ne!(machine.until_journal("start", "one").await.pid, pid);
    assert_eq!(machine.collectors().len(), 1);
}

/// Kills at moments spread over the whole way of an offer: before, while and after it is checked, written and taken over.
#[tokio::test]
async fn killed_at_any_moment_of_a_change_the_next_agent_runs_the_old_or_the_new() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.collector = "probation: 1ms".to_owned();
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let label = |n: u32| format!("c{n}");
    server
        .offer("h0", &machine.stand_in_config(&label(0), ""))
        .await;
    let mut old = label(0);
    for round in 1..=12_u32 {
        let new = label(round);
        let hash = format!("h{round}");
        let connections = server.seen().connections;
        server.push(
            &hash,
            &machine.stand_in_config(&new, "slow_validate_ms: 20, slow_start_ms: 20"),
        );
        if round % 3 == 0 {
            server
                .until("it is being tried", |seen| {
                    seen.statuses.last().is_some_and(|status| {
                        status.status == APPLYING
                            || status.last_remote_config_hash == hash.as_bytes()
                    })
                })
                .await;
        }
        tokio::time::sleep(Duration::from_millis(u64::from(round) * 7)).await;
        machine.kill();
        machine.start();
        server
            .until("the next agent and a running collector", |seen| {
                connections < seen.connections && seen.is_healthy() && seen.pid().is_some()
            })
            .await;
        let running = until("one collector", || {
            Some(machine.collectors()).filter(|all| all.len() == 1)
        })
        .await
        .unwrap();
        assert!(is_alive(running[0]));
        let last = machine
            .journal()
            .into_iter()
            .rev()
            .find(|entry| entry.event != "stop")
            .unwrap();
        assert!(
            last.label == old || last.label == new,
            "{last:?} in round {round}"
        );
        assert!(
            machine
                .config()
                .contains(&format!("label: {},", last.label)),
            "the file says what runs"
        );
        // Whatever came of the kill, the next offer finds the agent in order.
        let hash = format!("{hash}-again");
        assert_eq!(
            server
                .offer(&hash, &machine.stand_in_config(&format!("{new}b"), ""))
                .await
                .status,
            APPLIED
        );
        old = format!("{new}b");
    }
}
