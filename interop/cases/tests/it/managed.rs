//! Case (e): `opamp-agent` with the real collector against the real server. What an operator pushes changes what comes
//! out of the collector, in the same process; what is broken is refused, and data flows on.

use std::time::{Duration, Instant};

use api_types::ProblemKind;
use api_types::agents::{Agent as AgentView, ApplyStatus, ConfigState};
use api_types::dry_runs::DryRunOutcome;
use api_types::plans::{Plan, PlanOutcome};
use api_types::rollouts::StartedRollout;
use serde_json::json;
use testkit::Api;
use testkit::TestServer;
use testkit::wait_until_some;

use crate::harness::{Agent, collector};
use crate::telemetry::Pipeline;

/// So long may pass between the API's answer and the new behavior.
const IN_FORCE: Duration = Duration::from_secs(10);

pub async fn until_agent(api: &Api, what: &str, is_so: impl Fn(&AgentView) -> bool) -> AgentView {
    wait_until_some(what, async || {
        let id = api.agents("").await.first()?.id.to_string();
        Some(api.agent(&id).await).filter(&is_so)
    })
    .await
}

/// Releases `body` and waits until the agent has answered for it, which must not take long.
pub async fn push(api: &Api, body: &str) -> AgentView {
    api.release("edge", "env=prod", body).await;
    let released = Instant::now();
    let agent = answered(api, body).await;
    assert!(released.elapsed() < IN_FORCE, "{:?}", released.elapsed());
    agent
}

/// Waits until the agent has said what became of `body`.
pub async fn answered(api: &Api, body: &str) -> AgentView {
    let hash = trust::hex(&trust::sha256(body.as_bytes()));
    until_agent(api, "the agent's answer", |agent| {
        agent.config.reported.as_ref().is_some_and(|reported| {
            reported.hash == hash
                && matches!(reported.status, ApplyStatus::Applied | ApplyStatus::Failed)
        })
    })
    .await
}

fn pid(agent: &AgentView) -> serde_json::Value {
    agent
        .health
        .as_ref()
        .map(|health| health.attributes["process.pid"].clone())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn e_a_pushed_configuration_changes_what_comes_out_in_the_same_process() {
    let Some(collector) = collector() else { return };
    let server = TestServer::start().await;
    let api = server.api();
    let agent = Agent::start(
        &collector,
        &format!("ws://{}/v1/opamp", server.agent_addr()),
    );
    let pipeline = Pipeline::new(agent.directory.path().join("out.json"));
    until_agent(&api, "the agent", |agent| agent.summary.connected).await;

    let first = push(&api, &pipeline.config(100, "red")).await;
    assert_eq!(first.config.state, ConfigState::Applied);
    let running = until_agent(&api, "the collector's process", |agent| {
        agent.summary.healthy == Some(true) && pid(agent).is_i64()
    })
    .await;
    pipeline.send("before", 200).await;
    assert_eq!(pipeline.teams("before", 200).await, ["red"; 200]);

    let second = push(&api, &pipeline.config(25, "blue")).await;
    assert_eq!(second.config.state, ConfigState::Applied);
    assert_eq!(agent.config(), pipeline.config(25, "blue"), "byte for byte");
    pipeline.send("after", 400).await;
    let teams = pipeline.teams("after", 50).await;
    assert!(
        (50..=150).contains(&teams.len()),
        "{} of 400 at 25 %",
        teams.len()
    );
    assert!(teams.iter().all(|team| team == "blue"));
    assert_eq!(pid(&second), pid(&running), "the same process");

    let broken = pipeline
        .config(100, "green")
        .replace("sampling_percentage: 100", "sampling_percentage: many");
    let third = push(&api, &broken).await;
    assert_eq!(third.config.state, ConfigState::Failed);
    let reason = third.config.reported.expect("a report").error;
    assert!(reason.contains("sampling_percentage"), "{reason}");
    pipeline.send("broken", 400).await;
    let teams = pipeline.teams("broken", 50).await;
    assert!(
        teams.len() <= 150 && teams.iter().all(|team| team == "blue"),
        "the old configuration is in force: {teams:?}"
    );
    assert_eq!(agent.config(), pipeline.config(25, "blue"));

    let fourth = push(&api, &pipeline.config(100, "green")).await;
    assert_eq!(fourth.config.state, ConfigState::Applied, "roll forward");
    pipeline.send("forward", 100).await;
    assert_eq!(pipeline.teams("forward", 100).await, ["green"; 100]);
    let last = until_agent(&api, "health", |agent| agent.summary.healthy == Some(true)).await;
    assert_eq!(pid(&last), pid(&running), "still the same process");
    for phrase in [
        "Received remote config, hash: ",
        "Applied config successfully",
        "reload",
    ] {
        assert!(agent.log().contains(phrase), "{phrase}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e_over_plain_http_and_grpc_it_is_the_same() {
    let Some(collector) = collector() else { return };
    for scheme in ["http", "grpc"] {
        let server = TestServer::start().await;
        let api = server.api();
        let agent = Agent::start(
            &collector,
            &format!("{scheme}://{}/v1/opamp", server.agent_addr()),
        );
        let pipeline = Pipeline::new(agent.directory.path().join("out.json"));
        until_agent(&api, "the agent", |agent| agent.description.is_some()).await;
        assert_eq!(
            push(&api, &pipeline.config(100, "red")).await.config.state,
            ConfigState::Applied,
            "{scheme}"
        );
        pipeline.send("spans", 10).await;
        assert_eq!(pipeline.teams("spans", 10).await, ["red"; 10]);
        let broken = pipeline
            .config(100, "green")
            .replace("sampling_percentage: 100", "sampling_percentage: many");
        assert_eq!(
            push(&api, &broken).await.config.state,
            ConfigState::Failed,
            "{scheme}"
        );
        assert_eq!(agent.config(), pipeline.config(100, "red"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e_a_restart_from_the_api_gives_a_new_process() {
    let Some(collector) = collector() else { return };
    let server = TestServer::start().await;
    let api = server.api();
    let agent = Agent::start(
        &collector,
        &format!("ws://{}/v1/opamp", server.agent_addr()),
    );
    let pipeline = Pipeline::new(agent.directory.path().join("out.json"));
    until_agent(&api, "the agent", |agent| agent.summary.connected).await;
    push(&api, &pipeline.config(100, "red")).await;
    let before = until_agent(&api, "the process", |agent| pid(agent).is_i64()).await;
    let answer = api
        .post(
            &format!("/api/v1/agents/{}/restart", before.summary.id),
            &serde_json::json!({}),
        )
        .await;
    assert!(
        answer.status.is_success(),
        "{} {}",
        answer.status,
        answer.text
    );
    until_agent(&api, "another process, ready", |agent| {
        let is_ready = agent.summary.healthy == Some(true);
        is_ready && pid(agent).is_i64() && pid(agent) != pid(&before)
    })
    .await;
    pipeline.send("restarted", 10).await;
    assert_eq!(pipeline.teams("restarted", 10).await, ["red"; 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn e_the_real_collector_is_asked_before_anything_is_released() {
    let Some(collector) = collector() else { return };
    let server = TestServer::start().await;
    let api = server.api();
    let agent = Agent::start(
        &collector,
        &format!("ws://{}/v1/opamp", server.agent_addr()),
    );
    let pipeline = Pipeline::new(agent.directory.path().join("out.json"));
    until_agent(&api, "the agent", |agent| agent.summary.connected).await;
    let good = pipeline.config(100, "red");
    let first = push(&api, &good).await;
    let running = until_agent(&api, "the process", |agent| pid(agent).is_i64()).await;

    let (plan, start) = ("/api/v1/configs/edge/plan", "/api/v1/configs/edge/rollouts");
    let misspelled = pipeline
        .config(100, "green")
        .replace("sampling_percentage", "sampling_percentag");
    api.put_config("edge", "env=prod", &misspelled).await;
    let planned: Plan = api.post(plan, &json!({ "dry_run": true })).await.ok();
    assert!(planned.blocked, "{planned:?}");
    let group = &planned.groups[0];
    assert_eq!(group.outcome, PlanOutcome::RefusedByAgent);
    let asked = &group.dry_runs[0];
    assert_eq!(asked.outcome, DryRunOutcome::Refused);
    let reason = asked.reason.as_ref().expect("its own words");
    assert!(reason.contains("sampling_percentag"), "{reason}");
    let required = json!({ "require_dry_run": true });
    let refusal = api.post(start, &required).await.problem(422);
    assert!(refusal.is(ProblemKind::RefusedByAgent), "{refusal:?}");
    let now = until_agent(&api, "the agent", |_| true).await;
    assert_eq!(now.config.desired, first.config.desired);
    assert_eq!(agent.config(), good, "nothing was applied");
    assert!(!agent.directory.path().join("state/dry-run").exists());

    let better = pipeline.config(100, "blue");
    api.put_config("edge", "env=prod", &better).await;
    let started: StartedRollout = api.post(start, &required).await.ok();
    let counts = started.dry_run.expect("it was required");
    assert_eq!((counts.asked, counts.accepted), (1, 1));
    let second = answered(&api, &better).await;
    assert_eq!(second.config.state, ConfigState::Applied);
    pipeline.send("asked", 10).await;
    assert_eq!(pipeline.teams("asked", 10).await, ["blue"; 10]);
    assert_eq!(pid(&second), pid(&running), "the same process");
}
