//! Remote configuration to a selected part of the fleet: released, late joiners, moved by labels, held, taken away.

use api_types::agents::{Agent, ApplyStatus, ConfigState, WaitsFor};
use serde_json::{Value, json};
use testkit::fleet::{runs, sha256_hex, wait_until_all_run, wait_until_connected};
use testkit::{ConfigStatus, Fleet, TestServer, wait_until};

use crate::{FIRST, SECOND, labels};

/// Waits until the API says of the first agent of `fleet` what `condition` asks for.
async fn wait_for_agent(
    server: &TestServer,
    fleet: &Fleet,
    what: &str,
    condition: impl Fn(&Agent) -> bool,
) -> Agent {
    let uid = fleet.agents()[0].uid.clone();
    testkit::wait_until_some(what, async || {
        let answer = server.api().get(&format!("/api/v1/agents/{uid}")).await;
        let agent: Agent = answer.status.is_success().then(|| answer.json())?;
        condition(&agent).then_some(agent)
    })
    .await
}

fn has_state(state: ConfigState) -> impl Fn(&Agent) -> bool {
    move |agent| agent.summary.config_state == state
}

#[tokio::test]
async fn saving_a_revision_changes_no_agent_and_releasing_it_does() {
    let server = TestServer::start().await;
    let fleet = server.fleet(2, |_| {}).await;
    wait_until_connected(&fleet).await;
    let number = server.api().put_config("base", "", FIRST).await;
    assert_eq!(number, 1);
    let agent = wait_for_agent(&server, &fleet, "the agent to be listed", |_| true).await;
    assert_eq!(agent.summary.config_state, ConfigState::Unassigned);
    assert_eq!(fleet.agents()[0].offered_hash, "");
    let rollout = server.api().start_rollout("base").await;
    assert_eq!(rollout.affected, 2);
    wait_until_all_run(&fleet, FIRST).await;
    let agent = wait_for_agent(&server, &fleet, "the agent to have applied it", |agent| {
        agent.summary.config_state == ConfigState::Applied && agent.config.offered.is_some()
    })
    .await;
    let hash = sha256_hex(FIRST);
    assert_eq!(agent.summary.desired_hash.as_deref(), Some(hash.as_str()));
    assert_eq!(
        agent.config.offered.map(|offered| offered.hash),
        Some(hash.clone())
    );
    let reported = agent.config.reported.expect("an answer");
    assert_eq!(
        (reported.hash, reported.status),
        (hash, ApplyStatus::Applied)
    );
}

#[tokio::test]
async fn a_config_reaches_the_agents_that_its_selector_matches_and_no_others() {
    let server = TestServer::start().await;
    let fleet = server
        .fleet(6, |options| {
            options.labels = labels(&["env=prod:50,staging:50"])
        })
        .await;
    wait_until_connected(&fleet).await;
    server.api().release("prod", "env=prod", FIRST).await;
    let running = async || {
        fleet
            .agents()
            .iter()
            .filter(|agent| runs(agent, FIRST))
            .count()
    };
    wait_until("half the fleet to run it", async || running().await == 3).await;
    wait_until("the API to say so", async || {
        let agents = server.api().agents("env=prod").await;
        agents.len() == 3
            && agents.iter().all(|agent| {
                agent.config_state == ConfigState::Applied && agent.in_sync == Some(true)
            })
    })
    .await;
    let others = server.api().agents("env=staging").await;
    assert!(
        others
            .iter()
            .all(|agent| agent.config_state == ConfigState::Unassigned)
    );
    assert_eq!(
        fleet
            .agents()
            .iter()
            .filter(|agent| agent.offered_hash.is_empty())
            .count(),
        3
    );
}

#[tokio::test]
async fn a_late_joiner_gets_what_is_in_force() {
    let server = TestServer::start().await;
    server.api().release("base", "env=prod", FIRST).await;
    let fleet = server
        .fleet(1, |options| options.labels = labels(&["env=prod"]))
        .await;
    wait_until_all_run(&fleet, FIRST).await;
}

#[tokio::test]
async fn a_changed_label_moves_an_agent_to_another_config() {
    let server = TestServer::start().await;
    let api = server.api();
    api.release("prod", "env=prod", FIRST).await;
    api.release("staging", "env=staging", SECOND).await;
    let fleet = server
        .fleet(1, |options| options.labels = labels(&["env=prod"]))
        .await;
    wait_until_all_run(&fleet, FIRST).await;
    let id = wait_for_agent(&server, &fleet, "the agent to be listed", |_| true)
        .await
        .summary
        .id;
    let answer = api.set_label(&id, "env", "staging").await;
    assert!(answer.status.is_success(), "{}", answer.text);
    wait_until_all_run(&fleet, SECOND).await;
    // The operator's label gone, what the agent says of itself counts again.
    api.patch(
        &format!("/api/v1/agents/{id}"),
        &json!({"labels": {"env": null}}),
    )
    .await
    .ok::<Value>();
    wait_until_all_run(&fleet, FIRST).await;
}

#[tokio::test]
async fn layers_merge_by_priority() {
    let server = TestServer::start().await;
    let api = server.api();
    api.put_layer("base", "", 0, "exporters:\n  debug: { verbosity: basic }\n")
        .await;
    api.put_layer(
        "detail",
        "env=prod",
        10,
        "exporters:\n  debug: { verbosity: detailed }\n",
    )
    .await;
    api.start_rollout("base").await;
    api.start_rollout("detail").await;
    let fleet = server
        .fleet(1, |options| options.labels = labels(&["env=prod"]))
        .await;
    let agent = wait_for_agent(&server, &fleet, "both layers to be applied", |agent| {
        agent.summary.config_state == ConfigState::Applied
            && agent
                .config
                .desired
                .as_ref()
                .is_some_and(|desired| desired.layers.len() == 2)
    })
    .await;
    let desired = agent.config.desired.expect("a desired config");
    let names: Vec<&str> = desired
        .layers
        .iter()
        .map(|layer| layer.config.as_str())
        .collect();
    assert_eq!(names, ["base", "detail"]);
    let body = desired.files["config.yaml"].body.clone().expect("text");
    assert!(
        body.contains("detailed") && !body.contains("basic"),
        "{body}"
    );
    assert_eq!(fleet.agents()[0].effective_sha256, desired.hash);
}

#[tokio::test]
async fn a_refused_config_is_failed_with_the_agent_s_reason_and_a_new_one_is_tried() {
    let server = TestServer::start().await;
    let api = server.api();
    let fleet = server
        .fleet(2, |options| {
            options.behaviors = vec!["reject=1:bad pipeline".parse().expect("a behavior")]
        })
        .await;
    wait_until_connected(&fleet).await;
    api.release("base", "", FIRST).await;
    wait_until("one agent to fail and one to apply", async || {
        let mut states: Vec<_> = api
            .agents("")
            .await
            .iter()
            .map(|agent| agent.config_state)
            .collect();
        states.sort();
        states == [ConfigState::Applied, ConfigState::Failed]
    })
    .await;
    let failed = testkit::wait_until_some("the reason", async || {
        let agents = api.agents("").await;
        agents
            .into_iter()
            .find(|agent| agent.config_error.is_some())
    })
    .await;
    assert_eq!(failed.config_state, ConfigState::Failed);
    assert_eq!(failed.config_error.as_deref(), Some("bad pipeline"));
    assert_eq!(failed.in_sync, Some(false));
    api.release("base", "", SECOND).await;
    let refused = async || {
        let agents = fleet.agents();
        agents.iter().all(|agent| {
            agent.offered_hash == sha256_hex(SECOND) && agent.status != ConfigStatus::Applying
        })
    };
    wait_until("both agents to have answered the next one", refused).await;
}

#[tokio::test]
async fn equal_content_is_not_applied_anew() {
    let server = TestServer::start().await;
    let api = server.api();
    api.release("prod", "env=prod", FIRST).await;
    api.release("staging", "env=staging", FIRST).await;
    let fleet = server
        .fleet(1, |options| options.labels = labels(&["env=prod"]))
        .await;
    wait_until_all_run(&fleet, FIRST).await;
    let agent = wait_for_agent(&server, &fleet, "the agent to be listed", |_| true).await;
    assert_eq!(
        api.put_config("prod", "env=prod", FIRST).await,
        1,
        "the same content makes no new revision"
    );
    api.start_rollout("prod").await;
    api.set_label(&agent.summary.id, "env", "staging")
        .await
        .ok::<Value>();
    // Another change is sent and answered after all that: in between nothing was.
    api.release("staging", "env=staging", SECOND).await;
    wait_until_all_run(&fleet, SECOND).await;
    assert_eq!(fleet.stats().offers, 2);
}

#[tokio::test]
async fn nothing_is_offered_while_a_hold_is_on() {
    let server = TestServer::start().await;
    let api = server.api();
    let fleet = server.fleet(2, |_| {}).await;
    wait_until_connected(&fleet).await;
    api.put(
        "/api/v1/fleet/hold",
        &json!({"held": true, "reason": "Friday"}),
    )
    .await
    .ok::<Value>();
    api.release("base", "", FIRST).await;
    let agent = wait_for_agent(&server, &fleet, "the agent to wait", |agent| {
        agent.summary.waits_for.is_some()
    })
    .await;
    assert_eq!(agent.summary.waits_for, Some(WaitsFor::Hold));
    let late = server
        .fleet(1, |options| options.name = "late".to_owned())
        .await;
    wait_until_connected(&late).await;
    wait_for_agent(&server, &late, "the late joiner to wait", |agent| {
        agent.summary.waits_for == Some(WaitsFor::Hold)
    })
    .await;
    assert!(
        fleet
            .agents()
            .iter()
            .chain(&late.agents())
            .all(|agent| agent.offered_hash.is_empty())
    );
    api.put("/api/v1/fleet/hold", &json!({"held": false}))
        .await
        .ok::<Value>();
    wait_until_all_run(&fleet, FIRST).await;
    wait_until_all_run(&late, FIRST).await;
}

#[tokio::test]
async fn a_config_in_force_is_deleted_only_on_purpose() {
    let server = TestServer::start().await;
    let api = server.api();
    let fleet = server.fleet(1, |_| {}).await;
    api.release("base", "", FIRST).await;
    wait_until_all_run(&fleet, FIRST).await;
    assert_eq!(
        api.delete("/api/v1/configs/base").await.status.as_u16(),
        409
    );
    let answer = api.delete("/api/v1/configs/base?agents=remove").await;
    assert!(answer.status.is_success(), "{}", answer.text);
    wait_for_agent(
        &server,
        &fleet,
        "the agent to be unassigned",
        has_state(ConfigState::Unassigned),
    )
    .await;
    // It is sent nothing and runs on as it is.
    assert!(runs(&fleet.agents()[0], FIRST));
    assert_eq!(api.get("/api/v1/configs/base").await.status.as_u16(), 404);
}

#[tokio::test]
async fn every_transport_gets_the_same_config() {
    use fleetsim::Transport;
    let server = TestServer::start().await;
    server.api().release("base", "", FIRST).await;
    for transport in [Transport::WebSocket, Transport::Http, Transport::Grpc] {
        let name = format!("{transport:?}").to_lowercase();
        let fleet = server
            .fleet_over(transport, 2, |options| {
                options.name = name;
                options.heartbeat = std::time::Duration::from_millis(100);
            })
            .await;
        wait_until_all_run(&fleet, FIRST).await;
    }
    wait_until("all six to be listed as applied", async || {
        let agents = server.api().agents("").await;
        agents.len() == 6
            && agents
                .iter()
                .all(|agent| agent.config_state == ConfigState::Applied)
    })
    .await;
}
