//! A restart with a server of another version, which writes contents otherwise: no agent gets anything by it.

use std::collections::BTreeMap;

use api_types::agents::ConfigState;
use api_types::plans::{Plan, PlanOutcome};
use desired::Limits;
use engine::Renderer;
use runtime::{Clock as _, SystemClock};
use serde_json::{Value, json};
use testkit::fleet::{runs, wait_until_all_run, wait_until_connected};
use testkit::{Fleet, TestServer, wait_until};

use crate::{FIRST, SECOND, labels};

const MARK: &str = "# as another version writes it\n";

/// A template that makes a whole config.
const REGIONAL: &str = "receivers:\n  otlp: {}\nexporters:\n  debug:\n    verbosity: {{ agent.labels.region }}\nservice:\n  pipelines:\n    traces: { receivers: [otlp], exporters: [debug] }\n";

fn of_another_version(limits: Limits) -> Renderer {
    Renderer::of_another_version(limits, |mut text| {
        text.extend_from_slice(MARK.as_bytes());
        text
    })
}

/// Agents whose contents are merged, come from a template, and both.
struct Agents {
    merged: Fleet,
    templated: Fleet,
    both: Fleet,
}

impl Agents {
    async fn of(server: &TestServer) -> Self {
        let fleet = async |seed: u64, role: &str| {
            let (name, role) = (role.to_owned(), format!("role={role}"));
            let fleet = server.fleet(2, |options| {
                options.labels = labels(&[&role, "region=basic"]);
                options.seed = seed;
                options.name = name;
            });
            fleet.await
        };
        Self {
            merged: fleet(1, "merged").await,
            templated: fleet(2, "templated").await,
            both: fleet(3, "both").await,
        }
    }

    fn all(&self) -> [&Fleet; 3] {
        [&self.merged, &self.templated, &self.both]
    }

    /// How many offers each kind has had.
    fn offers(&self) -> [u64; 3] {
        self.all().map(|fleet| fleet.stats().offers)
    }

    /// Waits until all are connected and run what they should, and gives what that is by agent.
    async fn settled(&self, server: &TestServer) -> BTreeMap<String, String> {
        for fleet in self.all() {
            wait_until_connected(fleet).await;
        }
        wait_until("every agent to run what it should", async || {
            let agents = server.api().agents("").await;
            agents.len() == 6
                && agents.iter().all(|agent| {
                    agent.connected
                        && agent.config_state == ConfigState::Applied
                        && agent.in_sync == Some(true)
                })
        })
        .await;
        let agents = server.api().agents("").await.into_iter();
        agents
            .map(|agent| (agent.id, agent.desired_hash.expect("a desired config")))
            .collect()
    }
}

async fn release_all(server: &TestServer) {
    let api = server.api();
    api.put_layer("base", "role in (merged, both)", 0, FIRST)
        .await;
    let detail = "exporters: { debug: { verbosity: detailed } }\n";
    api.put_layer("detail", "role=merged", 10, detail).await;
    let template = json!({
        "kind": "collector", "selector": "role in (templated, both)", "priority": 20,
        "template": "jinja", "body": REGIONAL,
    });
    api.put("/api/v1/configs/regional", &template)
        .await
        .ok::<Value>();
    for config in ["base", "detail", "regional"] {
        api.start_rollout(config).await;
    }
}

/// The text that an agent should run.
async fn desired_text(server: &TestServer, agent: &str) -> String {
    let agent = server.api().agent(agent).await;
    let desired = agent.config.desired.expect("a desired config");
    desired.files["config.yaml"].body.clone().expect("a text")
}

#[tokio::test]
async fn another_version_changes_no_agents_desired_config_before_a_release_does() {
    let mut server = TestServer::start().await;
    release_all(&server).await;
    let agents = Agents::of(&server).await;
    let before = agents.settled(&server).await;
    let offers = agents.offers();

    server.set_renderer(of_another_version);
    server.restart().await;
    assert_eq!(agents.settled(&server).await, before);
    // Nor does looking again, planning, or releasing once more what is in force.
    let engine = server.server().engine().clone();
    engine
        .reconcile(SystemClock.now())
        .await
        .expect("reconciled");
    for config in ["base", "detail", "regional"] {
        let path = format!("/api/v1/configs/{config}/plan");
        let plan: Plan = server.api().post(&path, &json!({})).await.ok();
        assert!(0 < plan.agents && plan.changed == 0, "{plan:?}");
        let outcomes = plan.groups.iter().map(|group| group.outcome);
        assert!(
            outcomes
                .into_iter()
                .all(|outcome| outcome == PlanOutcome::NoChange)
        );
        server.api().start_rollout(config).await;
    }
    assert_eq!(agents.settled(&server).await, before);
    assert_eq!(agents.offers(), offers);

    // What was never made is made by the version that runs: new layers, and new values of a template.
    server.api().release("detail", "role=merged", SECOND).await;
    let moved = server.api().agents("role=templated").await[0].id.clone();
    server
        .api()
        .set_label(&moved, "region", "normal")
        .await
        .ok::<Value>();
    let after = agents.settled(&server).await;
    let changed = after
        .iter()
        .filter(|(agent, hash)| before[*agent] != **hash);
    assert_eq!(changed.count(), 3);
    assert_eq!(agents.offers(), [offers[0] + 2, offers[1] + 1, offers[2]]);
    for agent in server.api().agents("role=merged").await {
        assert!(desired_text(&server, &agent.id).await.ends_with(MARK));
    }
    let expected = REGIONAL.replace("{{ agent.labels.region }}", "normal") + MARK;
    assert_eq!(desired_text(&server, &moved).await, expected);
    wait_until("the agent to run it", async || {
        agents
            .templated
            .agents()
            .iter()
            .any(|agent| runs(agent, &expected))
    })
    .await;

    // Values that it had before have the content that they had, and another restart changes nothing either.
    server
        .api()
        .set_label(&moved, "region", "basic")
        .await
        .ok::<Value>();
    wait_until_all_run(
        &agents.templated,
        &REGIONAL.replace("{{ agent.labels.region }}", "basic"),
    )
    .await;
    let (last, offers) = (agents.settled(&server).await, agents.offers());
    server.set_renderer(Renderer::new);
    server.restart().await;
    assert_eq!(agents.settled(&server).await, last);
    assert_eq!(agents.offers(), offers);
}
