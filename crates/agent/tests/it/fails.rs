//! Configurations that are bad, each in its own way: refused or undone, with the reason, and data flows on.

use crate::harness::{Machine, is_alive};
use crate::server::{APPLIED, FAILED, Server};

async fn running(server: &Server, collector: &str) -> Machine {
    let mut machine = Machine::new(&server.endpoint());
    machine.collector = collector.to_owned();
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    machine.until_journal("start", "local").await;
    server.until("health", |seen| seen.is_healthy()).await;
    machine
}

#[tokio::test]
async fn se_01_c37_what_validate_refuses_never_reaches_the_running_collector() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    let before = machine.config();
    let bad = machine
        .stand_in_config("bad", "")
        .replace("receivers: [otlp]", "receivers: [nope]");
    let status = server.offer("bad", &bad).await;
    assert_eq!(status.status, FAILED);
    assert_eq!(
        status.error_message,
        "service::pipelines::traces: references receiver \"nope\" which is not configured"
    );
    assert_eq!(machine.config(), before);
    assert_eq!(machine.journal().len(), 1, "neither reloaded nor restarted");
    assert_eq!(machine.events("config_failed")[0]["success"], false);
}

#[tokio::test]
async fn what_is_no_yaml_is_refused_with_line_and_column() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    for (hash, body) in [
        ("no-map", "just text"),
        ("torn", "receivers:\n  otlp: {\nexporters:\n"),
        ("garbage", "\u{1}\u{2}"),
    ] {
        let status = server.offer(hash, body).await;
        assert_eq!(status.status, FAILED, "{body}");
        assert!(
            status.error_message.contains("line ") && status.error_message.contains("column "),
            "{}",
            status.error_message
        );
    }
    assert_eq!(machine.journal().len(), 1);
}

#[tokio::test]
async fn what_failed_before_is_refused_again_with_the_first_reason_untried() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    let first = server
        .offer(
            "bad",
            &machine.stand_in_config("bad", "refuse: the first reason"),
        )
        .await;
    assert_eq!(first.error_message, "the first reason");
    assert_eq!(
        server
            .offer("good", &machine.stand_in_config("good", ""))
            .await
            .status,
        APPLIED
    );
    // Another body under the same hash shows that it is not tried again.
    let again = server
        .offer(
            "bad",
            &machine.stand_in_config("other", "refuse: another reason"),
        )
        .await;
    assert_eq!(
        (again.status, again.error_message.as_str()),
        (FAILED, "the first reason")
    );
    assert_eq!(
        server
            .offer("good", &machine.stand_in_config("good", ""))
            .await
            .status,
        APPLIED,
        "what runs is good"
    );
    assert_eq!(machine.journal().len(), 2);
}

#[tokio::test]
async fn what_failed_is_tried_again_in_other_surroundings() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    let local = machine.path("local.yaml");
    std::fs::write(
        &local,
        "extensions: { stand_in: { refuse: bad local file } }\n",
    )
    .unwrap();
    machine.collector = format!("config_files: ['{}']", local.display());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let body = machine.stand_in_config("one", "");
    assert_eq!(server.offer("h1", &body).await.status, FAILED);
    std::fs::write(&local, "{}\n").unwrap();
    let other = machine.stand_in_config("other", "");
    assert_eq!(server.offer("other", &other).await.status, APPLIED);
    assert_eq!(server.offer("h1", &body).await.status, APPLIED);
}

#[tokio::test]
async fn what_failed_is_tried_again_when_the_server_offers_it_again() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    let needed = machine.path("needed");
    let body = machine.stand_in_config("needy", &format!("needs_file: '{}'", needed.display()));
    let status = server.offer("h1", &body).await;
    assert_eq!(status.status, FAILED, "{}", status.error_message);
    std::fs::write(&needed, "").unwrap();
    // As an operator who asks again and again: the first time may come too soon after the failure.
    let from = server.seen().statuses.len();
    let asking = async {
        loop {
            server.push("h1", &body);
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        () = asking => {}
        status = server.verdict("h1", from) => assert_eq!(status.status, APPLIED, "{}", status.error_message),
    }
    machine.until_journal("reload", "needy").await;
}

#[tokio::test]
async fn c09_a_configuration_that_dies_at_the_reload_is_undone() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    server
        .offer("good", &machine.stand_in_config("good", ""))
        .await;
    let good = machine.config();
    let status = server
        .offer(
            "bad",
            &machine.stand_in_config("bad", "die_at_start: port 4317 is in use"),
        )
        .await;
    assert_eq!(status.status, FAILED);
    assert!(
        status.error_message.contains("exit code 1"),
        "{}",
        status.error_message
    );
    assert!(
        status
            .error_message
            .contains("cannot start pipelines: port 4317 is in use"),
        "c31: {}",
        status.error_message
    );
    // `good` was on trial itself, and the last one that is trusted is the local one.
    machine.until_journal("start", "local").await;
    assert_ne!(machine.config(), good);
    server
        .until("health of the old one", |seen| seen.is_healthy())
        .await;
}

#[tokio::test]
async fn a_rollback_goes_to_the_newest_configuration_that_passed_its_probation() {
    let server = Server::start().await;
    let machine = running(&server, "probation: 200ms").await;
    server
        .offer("good", &machine.stand_in_config("good", ""))
        .await;
    machine.until_event("config_trusted", 1).await;
    let status = server
        .offer("bad", &machine.stand_in_config("bad", "die_at_start: no"))
        .await;
    assert_eq!(status.status, FAILED);
    machine.until_journal("start", "good").await;
    assert_eq!(machine.config(), machine.stand_in_config("good", ""));
    assert_eq!(machine.collectors().len(), 1);
}

#[tokio::test]
async fn a_configuration_that_dies_in_its_probation_is_undone() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    let from = server.seen().statuses.len();
    let body = machine.stand_in_config("dies", "die_after_ms: 300");
    assert_eq!(server.offer("dies", &body).await.status, APPLIED);
    let failed = server
        .until("FAILED after APPLIED", |seen| {
            seen.statuses[from..]
                .iter()
                .any(|status| status.status == FAILED)
        })
        .await;
    let status = failed.statuses.last().unwrap();
    assert_eq!(status.last_remote_config_hash, b"dies");
    assert!(
        status.error_message.contains("exit code 3"),
        "{}",
        status.error_message
    );
    machine.until_journal("start", "local").await;
    let again = server
        .offer("other", &machine.stand_in_config("other", ""))
        .await;
    assert_eq!(again.status, APPLIED);
}

#[tokio::test]
async fn what_dies_after_its_probation_is_started_again() {
    let server = Server::start().await;
    let machine = running(&server, "probation: 1ms").await;
    let body = machine.stand_in_config("old", "die_after_ms: 6000");
    assert_eq!(server.offer("old", &body).await.status, APPLIED);
    machine.until_event("config_trusted", 1).await;
    machine.until_event("collector_restart_scheduled", 1).await;
    server
        .until("unhealthy, with the reason", |seen| {
            seen.health
                .as_ref()
                .is_some_and(|health| health.last_error.contains("exit code 3"))
        })
        .await;
    machine.until_journal("start", "old").await;
    assert_eq!(machine.config(), body);
    assert_eq!(server.seen().statuses.last().unwrap().status, APPLIED);
}

#[tokio::test]
async fn c10_a_rollback_target_that_fails_too_makes_no_tight_loop() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    server
        .offer("bad", &machine.stand_in_config("bad", "die_at_start: no"))
        .await;
    machine.until_event("rolled_back", 1).await;
    // The local one is trusted; when it dies, it is started again after growing pauses and never given up.
    for count in 1..=2 {
        let pid = *machine.collectors().first().expect("it runs");
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        let scheduled = machine
            .until_event("collector_restart_scheduled", count)
            .await;
        assert_eq!(scheduled[count - 1]["in_ms"], 1_000 << (count - 1));
        machine.until_event("collector_ready", 2 + count).await;
    }
}

#[tokio::test]
async fn a_collector_that_never_gets_ready_is_undone() {
    let server = Server::start().await;
    let machine = running(&server, "start_timeout: 500ms, stop_timeout: 500ms").await;
    let status = server
        .offer("bad", &machine.stand_in_config("bad", "never_ready: true"))
        .await;
    assert_eq!(status.status, FAILED);
    assert!(
        status
            .error_message
            .contains("did not say that it is ready"),
        "{}",
        status.error_message
    );
    machine.until_journal("start", "local").await;
}

#[tokio::test]
async fn a_trusted_collector_is_not_stopped_for_its_silence() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.collector = "start_timeout: 300ms".to_owned();
    machine.put_local(&machine.stand_in_config("local", "never_ready: true"));
    machine.start();
    let pid = machine.until_journal("start", "local").await.pid;
    machine.until_event("collector_silent", 1).await;
    server
        .until("health", |seen| {
            seen.is_healthy() && seen.pid() == Some(i64::from(pid))
        })
        .await;
    assert!(is_alive(pid));
}

#[tokio::test]
async fn silence_counts_for_nothing_where_no_messages_are_seen() {
    let server = Server::start().await;
    let machine = running(&server, "start_timeout: 300ms, reload: never").await;
    let status = server
        .offer("mute", &machine.stand_in_config("mute", "mute: true"))
        .await;
    assert_eq!(status.status, APPLIED, "{}", status.error_message);
    machine.until_event("collector_silent", 1).await;
    machine.until_journal("start", "mute").await;
}

#[tokio::test]
async fn a_collector_that_arguments_make_quiet_is_not_waited_for() {
    let server = Server::start().await;
    let machine = running(
        &server,
        "start_timeout: 300ms, args: ['--set=service.telemetry.logs.level=error']",
    )
    .await;
    let status = server
        .offer(
            "quiet",
            &machine.stand_in_config("quiet", "never_ready: true"),
        )
        .await;
    assert_eq!(status.status, APPLIED, "{}", status.error_message);
}

#[tokio::test]
async fn a_health_endpoint_vouches_for_a_silent_collector() {
    let server = Server::start().await;
    let machine = running(&server, "start_timeout: 300ms, stop_timeout: 300ms").await;
    let address = format!("127.0.0.1:{}", crate::harness::free_port());
    let body = machine
        .stand_in_config("vouched", "never_ready: true")
        .replace(
            "extensions: { stand_in",
            &format!("extensions: {{ health_check: {{ endpoint: '{address}' }}, stand_in"),
        )
        .replace(
            "extensions: [stand_in]",
            "extensions: [stand_in, health_check]",
        );
    let status = server.offer("vouched", &body).await;
    assert_eq!(status.status, APPLIED, "{}", status.error_message);
}

#[tokio::test]
async fn a_collector_that_ignores_the_stop_is_killed_with_its_children() {
    let server = Server::start().await;
    let mut machine = running(&server, "reload: never, stop_timeout: 300ms").await;
    assert_eq!(
        server
            .offer(
                "h1",
                &machine.stand_in_config("stubborn", "hang_on_stop: true, child: true")
            )
            .await
            .status,
        APPLIED
    );
    let pid = machine.until_journal("start", "stubborn").await.pid;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child: i32 = children.trim().parse().expect("one child");
    assert!(is_alive(child));
    assert!(machine.stop().await.success());
    assert!(!is_alive(pid) && !is_alive(child));
    assert_eq!(machine.events("collector_killed").len(), 1);
}

#[tokio::test]
async fn secrets_stay_on_the_machine() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.env = vec![("OPAMP_TOKEN", "agents-own-secret")];
    machine.collector = "env: { API_TOKEN: hunter2-and-more }".to_owned();
    machine.put_local(&machine.stand_in_config("local", "password: local-secret"));
    machine.start();
    machine.until_journal("start", "local").await;
    let seen = server
        .until("the effective configuration", |seen| {
            seen.is_healthy() && seen.effective_body("config.yaml").is_some()
        })
        .await;
    let local = seen.effective_body("config.yaml").unwrap();
    assert!(
        local.contains("label: local") && !local.contains("local-secret"),
        "{local}"
    );
    let refusal = "refuse: 'cannot log in with hunter2-and-more or agents-own-secret'";
    let status = server
        .offer("bad", &machine.stand_in_config("bad", refusal))
        .await;
    assert_eq!(
        status.error_message,
        "cannot log in with [redacted] or [redacted]"
    );
    assert!(!machine.log().contains("hunter2-and-more"));
    assert!(!machine.log().contains("agents-own-secret"));
}

#[tokio::test]
async fn a_flood_of_log_lines_does_not_hide_the_reason() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    let status = server
        .offer(
            "bad",
            &machine.stand_in_config("bad", "flood_lines: 20000, die_at_start: drowned"),
        )
        .await;
    assert!(
        status.error_message.contains("drowned"),
        "{}",
        status.error_message
    );
    assert!(status.error_message.len() < 5_000);
}

#[tokio::test]
async fn what_cannot_be_written_leaves_all_as_it_was_and_is_no_fault_of_the_offer() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    let local = machine.path("base.yaml");
    std::fs::write(&local, machine.stand_in_config("base", "")).unwrap();
    machine.collector = format!("config_files: ['{}']", local.display());
    machine.block_config();
    machine.start();
    let pid = machine.until_journal("start", "base").await.pid;
    server
        .until("health", |seen| seen.is_healthy() && seen.pid().is_some())
        .await;
    let body = machine.stand_in_config("one", "");
    let status = server.offer("h1", &body).await;
    assert_eq!(status.status, FAILED);
    assert!(
        status.error_message.contains("writing ") && status.error_message.contains("config.yaml"),
        "{}",
        status.error_message
    );
    assert!(is_alive(pid));
    assert_eq!(machine.journal().len(), 1);
    machine.unblock_config();
    server
        .offer("other", &machine.stand_in_config("other", ""))
        .await;
    assert_eq!(server.offer("h1", &body).await.status, APPLIED);
}

#[tokio::test]
async fn a_rollback_that_cannot_be_written_never_runs_what_was_given_up() {
    let server = Server::start().await;
    let machine = running(&server, "").await;
    let body = machine.stand_in_config("dies", "die_after_ms: 1000");
    assert_eq!(server.offer("dies", &body).await.status, APPLIED);
    machine.block_config();
    machine.until_event("config_failed", 1).await;
    // The first attempt comes with the rollback, the second with the restart after it.
    machine.until_event("config_not_in_place", 2).await;
    machine.unblock_config();
    machine.until_journal("start", "local").await;
    let events: Vec<String> = machine
        .journal()
        .iter()
        .map(|entry| format!("{} {}", entry.event, entry.label))
        .collect();
    assert_eq!(events, ["start local", "reload dies", "start local"]);
    assert_eq!(machine.config(), machine.stand_in_config("local", ""));
}

#[tokio::test]
async fn an_edited_configuration_is_put_right_at_the_next_start() {
    let server = Server::start().await;
    let machine = running(&server, "probation: 1ms").await;
    let body = machine.stand_in_config("good", "");
    assert_eq!(server.offer("good", &body).await.status, APPLIED);
    machine.until_event("config_trusted", 1).await;
    machine.put_local(&machine.stand_in_config("edited", ""));
    server.command_restart();
    machine.until_journal("start", "good").await;
    assert_eq!(machine.config(), body);
}
