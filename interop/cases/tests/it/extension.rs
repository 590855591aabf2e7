//! Case (a): the collector's own `opamp` extension speaks to the server. It can be watched and not changed.

use std::fs;
use std::process::Command;

use api_types::agents::{Agent as AgentView, ApplyStatus};
use testkit::Api;
use testkit::TestServer;
use testkit::process::free_port;
use testkit::wait_until_some;

use crate::harness::{Program, collector};

const UID: &str = "0193a5b0-1111-7000-8000-00000000000a";

async fn until_agent(api: &Api, what: &str, is_so: impl Fn(&AgentView) -> bool) -> AgentView {
    wait_until_some(what, async || {
        let answer = api.get(&format!("/api/v1/agents/{UID}")).await;
        answer
            .status
            .is_success()
            .then(|| answer.json())
            .filter(&is_so)
    })
    .await
}

/// A collector's configuration whose extension reaches the server through `server`.
fn config(server: &str, port: u16) -> String {
    format!(
        "extensions:\n  opamp:\n    instance_uid: {UID}\n    server:\n      {server}\n\
         \x20   capabilities: {{ reports_effective_config: true, reports_health: true, reports_available_components: true }}\n\
         \x20   agent_description:\n      non_identifying_attributes: {{ env: prod, api_token: hunter2 }}\n\
         receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: '127.0.0.1:{port}' }} }} }} }}\nexporters: {{ debug: {{}} }}\n\
         service:\n  extensions: [opamp]\n  telemetry: {{ metrics: {{ level: none }} }}\n\
         \x20 pipelines: {{ traces: {{ receivers: [otlp], exporters: [debug] }} }}\n"
    )
}

async fn watched(server: &TestServer, connection: &str) {
    let Some(collector) = collector() else { return };
    let api = server.api();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.yaml");
    fs::write(&path, config(connection, free_port().port())).expect("a configuration");
    let mut program = Program::start(
        Command::new(collector).arg("--config").arg(&path),
        directory.path().join("collector.log"),
    );
    let pid = program.pid();

    let agent = until_agent(
        &api,
        "description, health, effective config and components",
        |agent| {
            agent.description.is_some()
                && agent.summary.healthy == Some(true)
                && agent.config.effective.is_some()
                && agent
                    .components
                    .as_ref()
                    .is_some_and(|components| components.components.is_some())
        },
    )
    .await;
    assert_eq!(agent.summary.instance_uid.to_string(), UID);
    assert_eq!(agent.summary.labels["service.name"], "otelcol");
    assert_eq!(agent.summary.labels["env"], "prod");
    assert!(
        !agent
            .capabilities
            .iter()
            .any(|name| name == "accepts_remote_config"),
        "{:?}",
        agent.capabilities
    );
    let shown = serde_json::to_string(&agent.config.effective).expect("JSON");
    assert!(shown.contains("otlp") && shown.contains("debug"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let components = serde_json::to_string(&agent.components).expect("JSON");
    assert!(
        components.contains("receivers") && components.contains("otlp"),
        "{components}"
    );

    // It is read-only: a release that matches it is not offered, and it runs on.
    api.release("base", "env=prod", "receivers: {}\n").await;
    let agent = until_agent(&api, "the release", |agent| agent.config.desired.is_some()).await;
    assert!(agent.config.offered.is_none(), "{:?}", agent.config);
    let said = agent.config.reported.map(|reported| reported.status);
    assert!(
        said.is_none_or(|status| status == ApplyStatus::Unset),
        "{said:?}"
    );
    assert!(
        fs::exists(format!("/proc/{pid}")).expect("/proc"),
        "it runs on"
    );

    // Over plain HTTP the extension says no goodbye: there the server notices that the polls stay out.
    program.stop();
    until_agent(&api, "its absence", |agent| !agent.summary.connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_the_collectors_own_extension_is_watched_over_websocket() {
    let server = TestServer::start().await;
    let connection = format!(
        "ws: {{ endpoint: 'ws://{}/v1/opamp', tls: {{ insecure: true }} }}",
        server.agent_addr()
    );
    watched(&server, &connection).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_the_collectors_own_extension_is_watched_over_plain_http() {
    let timing = "timing: { commit_interval: 20ms, ping_interval: 2s, liveness: 5s }\n";
    let server = TestServer::builder().config(timing).start().await;
    let connection = format!(
        "http: {{ endpoint: 'http://{}/v1/opamp', polling_interval: 1s, tls: {{ insecure: true }} }}",
        server.agent_addr()
    );
    watched(&server, &connection).await;
}
