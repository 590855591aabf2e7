//! Secrets through the whole server: agents run the value, the data directory and the API do not have it.

use std::fs;
use std::path::Path;

use api_types::agents::ConfigState;
use serde_json::{Value, json};
use testkit::fleet::wait_until_connected;
use testkit::{TestServer, wait_until};

use crate::labels;

const BODY: &str = "receivers: {otlp: {}}\nexporters: {otlp: {endpoint: \"h:1\", headers: {k: \"${secret:kafka}\"}}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n";

async fn give(server: &TestServer, value: &str) -> Value {
    let body = json!({ "value": value });
    server.api().put("/api/v1/secrets/kafka", &body).await.ok()
}

/// Waits until every agent runs the body with this value.
async fn wait_until_all_have(server: &TestServer, agents: usize, value: &str) {
    let file = BODY.replace("${secret:kafka}", value);
    let hash = engine::hex(&engine::sha256(file.as_bytes()));
    wait_until("every agent to run the value", async || {
        let all = server.api().agents("env=prod").await;
        all.len() == agents
            && all.iter().all(|agent| {
                agent.config_state == ConfigState::Applied
                    && agent.desired_hash.as_deref() == Some(hash.as_str())
            })
    })
    .await;
}

/// What is in the files of a directory; a server on PostgreSQL has none.
fn files_below(directory: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![fs::read(&path).unwrap_or_default()],
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_run_a_value_that_the_server_shows_nowhere() {
    let keys = tempfile::tempdir().expect("a directory");
    let key = keys.path().join("key");
    fs::write(&key, "5a".repeat(32)).expect("written");
    let config = format!("secrets: {{ key_file: '{}' }}\n", key.display());
    let mut server = TestServer::builder().config(&config).start().await;
    let fleet = server
        .fleet(3, |options| options.labels = labels(&["env=prod"]))
        .await;
    wait_until_connected(&fleet).await;
    give(&server, "first-value-of-it").await;
    server.api().release("edge", "env=prod", BODY).await;
    wait_until_all_have(&server, 3, "first-value-of-it").await;
    assert_eq!(give(&server, "other-value-of-it").await["affected"], 3);
    wait_until_all_have(&server, 3, "other-value-of-it").await;

    server.restart().await;
    wait_until_connected(&fleet).await;
    wait_until_all_have(&server, 3, "other-value-of-it").await;
    let offers = fleet.stats().offers;
    assert_eq!(give(&server, "other-value-of-it").await["affected"], 0);
    assert_eq!(fleet.stats().offers, offers);
    for agent in server.api().agents("env=prod").await {
        let path = format!("/api/v1/agents/{}?reveal=true", agent.id);
        let text = server.api().get(&path).await.text;
        assert!(text.contains("${secret:kafka}"), "{text}");
        assert!(!text.contains("value-of-it"), "{text}");
    }
    server.stop().await;
    for file in files_below(&server.data_dir()) {
        let found = file.windows(11).any(|part| part == b"value-of-it");
        assert!(!found, "a file of the data directory has the value");
    }
}
