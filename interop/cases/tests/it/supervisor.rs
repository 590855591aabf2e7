//! Case (b): the upstream `opampsupervisor` with the real collector. It speaks the reference client's OpAMP: what it is told,
//! it must do, and what it does, the server must show.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use api_types::agents::{Agent as AgentView, ConfigState};
use api_types::plans::Plan;
use serde_json::json;
use tempfile::TempDir;
use testkit::{Api, ServerProcess, TestServer};

use crate::harness::{Program, collector, peer, program};
use crate::managed::{answered, until_agent};
use crate::telemetry::Pipeline;

/// The upstream supervisor with a collector; its files lie in a directory of its own.
struct Supervisor {
    // Invariant: dropped before the directory, so that its log can still be shown.
    _program: Program,
    directory: TempDir,
}

impl Supervisor {
    /// Starts it against `endpoint`; none where it or the collector is not built.
    fn start(endpoint: &str) -> Option<Self> {
        let collector = collector()?;
        let supervisor = peer("supervisor")?.join("opampsupervisor");
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let port = testkit::process::free_port().port();
        let settings = json!({
            "server": {"endpoint": endpoint, "tls": {"insecure": true}},
            "capabilities": {
                "accepts_remote_config": true,
                "accepts_restart_command": true,
                "reports_available_components": true,
                "reports_effective_config": true,
                "reports_health": true,
                "reports_heartbeat": true,
                "reports_remote_config": true,
            },
            "agent": {
                "executable": collector,
                // Its own metrics have a fixed port, which several collectors on one machine cannot share.
                "args": ["--set=service.telemetry.metrics.level=none"],
                "description": {"non_identifying_attributes": {"env": "prod"}},
                "opamp_server_port": port,
                // A machine that runs other tests, too, is slow.
                "bootstrap_timeout": "30s",
                "config_apply_timeout": "15s",
            },
            "storage": {"directory": path("state")},
            "telemetry": {"logs": {"level": "debug", "output_paths": ["stderr"]}},
        });
        fs::write(path("supervisor.yaml"), settings.to_string()).expect("a configuration");
        let mut command = Command::new(supervisor);
        let program = Program::start(
            command.arg("--config").arg(path("supervisor.yaml")),
            path("supervisor.log"),
        );
        Some(Self {
            directory,
            _program: program,
        })
    }

    fn state(&self, name: &str) -> PathBuf {
        self.directory.path().join("state").join(name)
    }

    /// What it has put together for its collector.
    fn effective(&self) -> String {
        fs::read_to_string(self.state("effective.yaml")).unwrap_or_default()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("supervisor.log")).unwrap_or_default()
    }

    /// How often a configuration has reached it.
    fn offers(&self) -> usize {
        self.log()
            .matches("Received remote config from server")
            .count()
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::new(self.directory.path().join("out.json"))
    }
}

fn endpoint(address: std::net::SocketAddr) -> String {
    format!("ws://{address}/v1/opamp")
}

async fn release(api: &Api, body: &str) -> AgentView {
    api.release("edge", "env=prod", body).await;
    answered(api, body).await
}

fn start_time(agent: &AgentView) -> Option<String> {
    let health = agent.health.as_ref()?;
    health.start_time.map(|time| time.to_string())
}

/// What a collector has is known by its report: `otlphttp` is the old name of what it reports as `otlp_http`. Nothing is
/// blocked for it, since [`release`] forces.
async fn lacks_what_its_collector_was_built_without(api: &Api) {
    for (exporter, missing) in [
        ("otlp_http", &[][..]),
        ("otlphttp", &[]),
        ("otlp", &[]),
        ("kafka", &["exporter kafka"]),
    ] {
        let body = format!("exporters: {{{exporter}/extra: {{endpoint: 'http://127.0.0.1:1'}}}}\n");
        let edit =
            json!({ "kind": "collector", "selector": "env=prod", "priority": 9, "body": body });
        let request = json!({ "edit": edit });
        let answer = api.post("/api/v1/configs/extra/plan", &request).await;
        let plan: Plan = answer.ok();
        assert_eq!(plan.groups[0].missing_components, missing, "{plan:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b_the_upstream_supervisor_is_managed() {
    let server = TestServer::start().await;
    let api = server.api();
    let Some(supervisor) = Supervisor::start(&endpoint(server.agent_addr())) else {
        return;
    };
    let pipeline = supervisor.pipeline();
    let seen = until_agent(&api, "the supervisor's collector", |agent| {
        agent.summary.connected && agent.summary.healthy == Some(true) && agent.components.is_some()
    })
    .await;
    assert!(
        seen.capabilities
            .iter()
            .any(|one| one == "reports_heartbeat"),
        "{:?}",
        seen.capabilities
    );

    let first = release(&api, &pipeline.config(100, "red")).await;
    assert_eq!(first.config.state, ConfigState::Applied);
    pipeline.send("first", 20).await;
    assert_eq!(pipeline.teams("first", 20).await, ["red"; 20]);
    assert!(
        supervisor.effective().contains("red"),
        "{}",
        supervisor.effective()
    );
    until_agent(&api, "the effective configuration", |agent| {
        let files = agent
            .config
            .effective
            .as_ref()
            .map(|effective| &effective.files);
        files.is_some_and(|files| {
            files
                .values()
                .any(|file| file.body.as_ref().is_some_and(|body| body.contains("red")))
        })
    })
    .await;

    lacks_what_its_collector_was_built_without(&api).await;

    let broken = pipeline
        .config(100, "green")
        .replace("sampling_percentage: 100", "sampling_percentage: many");
    let second = release(&api, &broken).await;
    assert_eq!(second.config.state, ConfigState::Failed);
    let reason = second.config.reported.expect("a report").error;
    assert!(reason.contains("exit"), "{reason}");
    // Nobody offers it the broken one again.
    let offers = supervisor.offers();

    let third = release(&api, &pipeline.config(100, "blue")).await;
    assert_eq!(third.config.state, ConfigState::Applied);
    pipeline.send_when_up("third", 20).await;
    assert_eq!(pipeline.teams("third", 20).await, ["blue"; 20]);
    assert_eq!(supervisor.offers(), offers + 1, "{}", supervisor.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn b_a_restart_command_reaches_the_upstream_supervisor() {
    let server = TestServer::start().await;
    let api = server.api();
    let Some(supervisor) = Supervisor::start(&endpoint(server.agent_addr())) else {
        return;
    };
    let pipeline = supervisor.pipeline();
    release_when_seen(&api, &pipeline.config(100, "red")).await;
    let before = until_agent(&api, "health", |agent| {
        agent.summary.healthy == Some(true) && start_time(agent).is_some()
    })
    .await;
    let answer = api
        .post(
            &format!("/api/v1/agents/{}/restart", before.summary.id),
            &json!({}),
        )
        .await;
    assert!(answer.status.is_success(), "{}", answer.text);
    until_agent(&api, "a later start", |agent| {
        agent.summary.healthy == Some(true) && start_time(agent) != start_time(&before)
    })
    .await;
    assert!(
        supervisor.log().contains("Received restart command"),
        "{}",
        supervisor.log()
    );
    pipeline.send_when_up("restarted", 10).await;
    assert_eq!(pipeline.teams("restarted", 10).await, ["red"; 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn b_the_upstream_supervisor_outlives_a_server_killed_in_the_middle_of_a_release() {
    let mut server = ServerProcess::start(program("server", "opamp-server"), "").await;
    let Some(supervisor) = Supervisor::start(&endpoint(server.agent_addr())) else {
        return;
    };
    let pipeline = supervisor.pipeline();
    let api = server.api();
    release_when_seen(&api, &pipeline.config(100, "red")).await;
    let known = api.agents("").await;

    let body = pipeline.config(100, "blue");
    api.release("edge", "env=prod", &body).await;
    server.kill().await;
    server.spawn();
    server.wait_until_ready().await;
    // The reference client redials by itself, with no more than a number and what changed: the rest is asked for.
    let after = answered(&api, &body).await;
    assert_eq!(after.config.state, ConfigState::Applied);
    assert!(after.summary.connected && after.description.is_some());
    let again = api.agents("").await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].id, known[0].id, "the same agent");
    pipeline.send_when_up("back", 10).await;
    assert_eq!(pipeline.teams("back", 10).await, ["blue"; 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn b_heartbeats_of_the_upstream_supervisor_keep_it_seen() {
    let server = TestServer::start().await;
    let api = server.api();
    let Some(_supervisor) = Supervisor::start(&endpoint(server.agent_addr())) else {
        return;
    };
    let first = until_agent(&api, "the supervisor", |agent| {
        agent.summary.healthy == Some(true)
    })
    .await;
    until_agent(&api, "a heartbeat, each 30 s", |agent| {
        let since = agent
            .summary
            .last_seen
            .duration_since(first.summary.last_seen);
        Duration::from_secs(20) < since.unsigned_abs()
    })
    .await;
}

/// Releases `body` once there is somebody to take it, and waits until it runs.
async fn release_when_seen(api: &Api, body: &str) {
    until_agent(api, "the supervisor's collector", |agent| {
        agent.summary.healthy == Some(true)
    })
    .await;
    assert_eq!(release(api, body).await.config.state, ConfigState::Applied);
}
