//! Only what changed travels: the real program, and our agent with a collector that is a script.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use agent::settings::Settings;
use api_types::agents::ConfigState;
use opamp::delta::config_hash;
use opamp::model::{ConfigFile, ConfigMap};
use opamp::server::encode_remote_config;
use runtime::{CancellationToken, Environment};
use testkit::{ServerProcess, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");

/// Says what a collector says, and takes whatever comes.
const COLLECTOR: &str = r#"#!/bin/sh
case "$1" in validate|components) exit 0 ;; esac
echo "Everything is ready. Begin running and processing data." >&2
exec sleep 100000
"#;

/// Our agent beside a collector. It ends with the test's runtime; its collector with it.
struct Machine {
    directory: tempfile::TempDir,
    stop: CancellationToken,
    agent: tokio::task::JoinHandle<()>,
}

impl Machine {
    fn start(endpoint: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let collector = directory.path().join("collector");
        // Another process writes it: a program that a child of this one still holds open for writing cannot be run.
        let written = Command::new("sh")
            .args([
                "-c",
                r#"printf '%s' "$1" > "$2" && chmod +x "$2""#,
                "sh",
                COLLECTOR,
            ])
            .arg(&collector)
            .status();
        assert!(written.expect("a shell").success());
        let place = directory.path().display();
        let text = format!(
            "opamp: {{ server: {{ endpoint: '{endpoint}', polling_interval: 1s }}, capabilities: {{ accepts_remote_config: true }} }}\n\
             collector: {{ executable: '{place}/collector', config_path: '{place}/config.yaml', reload: never }}\n\
             storage: {{ directory: '{place}/state' }}\n"
        );
        let settings = Settings::parse("opamp.yaml", &text, &Environment::default());
        let settings = settings.expect("settings");
        let stop = CancellationToken::new();
        let shutdown = stop.clone();
        let agent = tokio::spawn(async move {
            Box::pin(agent::run::run(settings, shutdown))
                .await
                .expect("the agent runs");
        });
        Self {
            directory,
            stop,
            agent,
        }
    }

    fn config_path(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    fn config(&self) -> Vec<u8> {
        fs::read(self.config_path()).unwrap_or_default()
    }

    /// Loses what the agent keeps beside the file that its collector runs.
    fn forget_contents(&self) {
        let kept = fs::read_dir(self.directory.path().join("state/contents")).expect("contents");
        for entry in kept {
            fs::remove_file(entry.expect("an entry").path()).expect("a file");
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.agent.await.expect("it ends");
    }
}

/// A layer of some 2,700 bytes.
fn layer(kind: &str, value: &str) -> String {
    let parts = (0..40).map(|n| {
        format!(
            "  attributes/{kind}-{n}: {{ actions: [{{ key: k{n}, value: v, action: insert }}] }}\n"
        )
    });
    let parts: String = parts.collect();
    format!("processors:\n{parts}exporters:\n  debug/{kind}: {{ verbosity: {kind}-{value} }}\n")
}

fn last_line(value: &str) -> String {
    format!("team-{value}")
}

const PIPELINE: &str = "receivers: { otlp: {} }\nservice: { pipelines: { traces: { receivers: [otlp], exporters: [debug/base] } } }\n";

async fn metric(server: &ServerProcess, name: &str) -> u64 {
    let name = format!("opamp_server_config_delta_{name} ");
    let text = server.api().get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
        .parse()
        .expect("a number")
}

/// Waits until the one agent has applied a config with this text in it.
async fn until_applied(server: &ServerProcess, machine: &Machine, text: &str) {
    wait_until(&format!("{text} to be applied"), async || {
        let agents = server.api().agents("").await;
        let config = machine.config();
        let has = config
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        has && agents.len() == 1
            && agents[0].config_state == ConfigState::Applied
            && agents[0].in_sync == Some(true)
            && agents[0].desired_hash == Some(testkit::fleet::sha256_hex_of(&config))
    })
    .await;
}

/// Bytes of the offer of a whole config.
fn whole_bytes(config: &[u8]) -> u64 {
    let file = ConfigFile::new(config, "text/yaml");
    let files = ConfigMap::from([("config.yaml".to_owned(), file)]);
    encode_remote_config(&files, &config_hash(&files)).len() as u64
}

/// Releases three layers, of which the last says `value` in its last line.
async fn release_all(server: &ServerProcess, value: &str) {
    let api = server.api();
    let base = format!("{PIPELINE}{}", layer("base", "basic"));
    api.put_layer("base", "", 0, &base).await;
    api.put_layer("region", "", 10, &layer("region", "basic"))
        .await;
    api.put_layer("team", "", 20, &layer("team", value)).await;
    for config in ["base", "region", "team"] {
        api.start_rollout(config).await;
    }
}

/// Changes the last line of the last layer.
async fn release(server: &ServerProcess, value: &str) {
    let api = server.api();
    api.put_layer("team", "", 20, &layer("team", value)).await;
    api.start_rollout("team").await;
}

fn endpoint(server: &ServerProcess, scheme: &str) -> String {
    format!("{scheme}://{}/v1/opamp", server.agent_addr())
}

#[tokio::test]
async fn of_three_layers_with_a_changed_line_little_travels() {
    for scheme in ["ws", "http", "grpc"] {
        let server = ServerProcess::start(PROGRAM, "").await;
        let machine = Machine::start(&endpoint(&server, scheme));
        release_all(&server, "basic").await;
        until_applied(&server, &machine, &last_line("basic")).await;
        // What came while the layers were released may have been a delta already.
        let before = metric(&server, "saved_bytes_total").await;
        let sent_before = metric(&server, "sent_total").await;
        release(&server, "normal").await;
        until_applied(&server, &machine, &last_line("normal")).await;
        wait_until("what was saved to be counted", async || {
            metric(&server, "saved_bytes_total").await != before
        })
        .await;
        let saved = metric(&server, "saved_bytes_total").await - before;
        let (file_bytes, whole) = (machine.config().len(), whole_bytes(&machine.config()));
        let delta = whole - saved;
        println!(
            "{scheme}: config {file_bytes} B, offered whole {whole} B, as what changed {delta} B"
        );
        assert!(8_000 < file_bytes && delta < 300, "{file_bytes} {delta}");
        assert_eq!(metric(&server, "sent_total").await - sent_before, 1);
        assert_eq!(metric(&server, "refused_total").await, 0);
        machine.stop().await;
    }
}

#[tokio::test]
async fn deltas_go_on_after_a_restart_and_a_lost_base_is_no_failure() {
    let mut server = ServerProcess::start(PROGRAM, "").await;
    let machine = Machine::start(&endpoint(&server, "ws"));
    release_all(&server, "basic").await;
    until_applied(&server, &machine, &last_line("basic")).await;
    server.kill().await;
    server.spawn();
    server.wait_until_ready().await;
    wait_until("the agent to be back", async || {
        let agents = server.api().agents("").await;
        agents.iter().any(|agent| agent.connected)
    })
    .await;
    release(&server, "normal").await;
    until_applied(&server, &machine, &last_line("normal")).await;
    assert_eq!(metric(&server, "sent_total").await, 1);
    assert_eq!(metric(&server, "refused_total").await, 0);

    machine.forget_contents();
    release(&server, "detailed").await;
    until_applied(&server, &machine, &last_line("detailed")).await;
    assert_eq!(metric(&server, "sent_total").await, 2);
    assert_eq!(metric(&server, "refused_total").await, 1);
    let api = server.api();
    let agents = api.agents("").await;
    let text = api
        .get(&format!("/api/v1/agents/{}/events", agents[0].id))
        .await
        .text;
    assert!(!text.contains("config_failed"), "{text}");
    // The one after that has its base again.
    release(&server, "basic").await;
    until_applied(&server, &machine, &last_line("basic")).await;
    assert_eq!(metric(&server, "sent_total").await, 3);
    assert_eq!(metric(&server, "refused_total").await, 1);
    machine.stop().await;
}

#[tokio::test]
async fn another_value_of_a_secret_travels_as_what_changed() {
    let sections = "agents: { auth: none }\n";
    let keys = tempfile::tempdir().expect("a directory");
    let key = keys.path().join("key");
    fs::write(&key, "5a".repeat(32)).expect("written");
    let sections = format!("{sections}secrets: {{ key_file: '{}' }}\n", key.display());
    let server = ServerProcess::start(PROGRAM, &sections).await;
    let machine = Machine::start(&endpoint(&server, "ws"));
    let give = async |value: &str| {
        let body = serde_json::json!({ "value": value });
        let path = "/api/v1/secrets/level";
        server
            .api()
            .put(path, &body)
            .await
            .ok::<serde_json::Value>()
    };
    give("first-value").await;
    let exporter = "exporters:\n  debug/team: { verbosity: \"${secret:level}\" }\n";
    release_all(&server, "basic").await;
    server.api().put_layer("secret", "", 30, exporter).await;
    server.api().start_rollout("secret").await;
    until_applied(&server, &machine, "\"first-value\"").await;
    let sent = metric(&server, "sent_total").await;
    assert_eq!(give("other-value").await["affected"], 1);
    until_applied(&server, &machine, "\"other-value\"").await;
    assert_eq!(metric(&server, "sent_total").await - sent, 1);
    assert_eq!(metric(&server, "refused_total").await, 0);
    machine.stop().await;
}

#[tokio::test]
async fn switched_off_everything_travels_whole() {
    let sections = "agents: { auth: none, config_deltas: false }\n";
    let server = ServerProcess::start(PROGRAM, sections).await;
    let machine = Machine::start(&endpoint(&server, "ws"));
    release_all(&server, "basic").await;
    until_applied(&server, &machine, &last_line("basic")).await;
    release(&server, "normal").await;
    until_applied(&server, &machine, &last_line("normal")).await;
    assert_eq!(metric(&server, "sent_total").await, 0);
    machine.stop().await;
}
