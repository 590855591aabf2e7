//! Configurations that come as what changed.

use std::collections::BTreeMap;

use opamp::delta;
use opamp::model::{ConfigFile, ConfigMap, CustomCapabilities, CustomMessage, DRY_RUN};
use opamp::server::{encode_remote_config, encode_remote_config_delta};

use crate::harness::Machine;
use crate::server::{APPLIED, Server};

fn map(files: &[(&str, &str)]) -> ConfigMap {
    let files = files.iter();
    files
        .map(|(name, body)| ((*name).to_owned(), ConfigFile::new(*body, "text/yaml")))
        .collect()
}

fn one(body: &str) -> ConfigMap {
    map(&[("config.yaml", body)])
}

/// Offers a config whole.
fn push(server: &Server, config: &ConfigMap) {
    server.order_bytes(&encode_remote_config(config, &delta::config_hash(config)));
}

/// Offers a config as something that is said to be a delta of it.
fn push_delta(server: &Server, delta: &ConfigMap, config: &ConfigMap) {
    let hash = delta::config_hash(config);
    let capabilities = CustomCapabilities(vec![CustomCapabilities::DELTA.to_owned()]);
    server.order_bytes(&encode_remote_config_delta(delta, &hash, &capabilities));
}

async fn applied(server: &Server, config: &ConfigMap) {
    let hash = delta::config_hash(config);
    server
        .until("applied", |seen| {
            let last = seen.statuses.last();
            last.is_some_and(|status| {
                status.last_remote_config_hash == hash && status.status == APPLIED
            })
        })
        .await;
}

/// A machine whose agent runs a config of the server.
async fn started(
    server: &Server,
    config: impl FnOnce(&Machine) -> ConfigMap,
) -> (Machine, ConfigMap) {
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server.until("health", |seen| seen.is_healthy()).await;
    let config = config(&machine);
    push(server, &config);
    applied(server, &config).await;
    (machine, config)
}

fn padded(machine: &Machine, label: &str) -> String {
    let padding = "# a line that both have\n".repeat(200);
    format!("{padding}{}", machine.stand_in_config(label, ""))
}

#[tokio::test]
async fn what_changed_is_taken_over_byte_for_byte() {
    let server = Server::start().await;
    let (machine, old) = started(&server, |machine| one(&padded(machine, "one"))).await;
    assert_eq!(
        server.seen().custom_capabilities,
        [DRY_RUN, CustomCapabilities::DELTA]
    );
    let new = one(&padded(&machine, "two"));
    let delta = delta::encode(&old, &new).unwrap();
    assert!(delta["config.yaml"].body.len() < 300);
    push_delta(&server, &delta, &new);
    applied(&server, &new).await;
    assert_eq!(machine.config().as_bytes(), new["config.yaml"].body);
    machine.until_journal("reload", "two").await;
    assert_eq!(machine.until_event("config_delta_taken", 1).await.len(), 1);
    // Back again, against what is kept.
    push_delta(&server, &delta::encode(&new, &old).unwrap(), &old);
    applied(&server, &old).await;
    assert_eq!(machine.config().as_bytes(), old["config.yaml"].body);
    assert!(server.seen().custom.is_empty());
}

#[tokio::test]
async fn what_cannot_be_had_is_asked_for_whole_and_nothing_fails() {
    let server = Server::start().await;
    let (machine, old) = started(&server, |machine| one(&padded(machine, "one"))).await;
    let new = one(&padded(&machine, "two"));
    let good = delta::encode(&old, &new).unwrap();
    let foreign = delta::encode(&one(&padded(&machine, "other")), &new).unwrap();
    let other = delta::encode(&old, &one(&padded(&machine, "other"))).unwrap();
    let with_body = |body: &[u8]| {
        let file = ConfigFile::new(body, delta::CONTENT_TYPE);
        ConfigMap::from([("config.yaml".to_owned(), file)])
    };
    let body = &good["config.yaml"].body;
    let bad = [
        foreign,
        other,
        with_body(&body[..body.len() - 9]),
        with_body(b"garbage"),
    ];
    let statuses = server.seen().statuses.len();
    for (n, delta) in bad.iter().enumerate() {
        push_delta(&server, delta, &new);
        let seen = server
            .until("an ask for the whole", |seen| n < seen.custom.len())
            .await;
        let hash = delta::config_hash(&new).to_vec();
        assert_eq!(seen.custom[n], (CustomMessage::WHOLE.to_owned(), hash));
        assert_eq!(seen.statuses.len(), statuses, "nothing failed");
        assert_eq!(machine.config().as_bytes(), old["config.yaml"].body);
    }
    push(&server, &new);
    applied(&server, &new).await;
    assert_eq!(machine.config().as_bytes(), new["config.yaml"].body);
}

#[tokio::test]
async fn of_several_files_those_that_changed_travel() {
    let server = Server::start().await;
    let several = |machine: &Machine, label: &str| {
        let padding = "# a line that both have\n".repeat(100);
        let extra = format!("{padding}exporters: {{ debug/{label}: {{}} }}\n");
        map(&[("a.yaml", &padded(machine, "one")), ("b.yaml", &extra)])
    };
    let (mut machine, old) = started(&server, |machine| several(machine, "x")).await;
    // What is kept outlives the agent.
    let connections = server.seen().connections;
    machine.kill();
    machine.start();
    server
        .until("the next agent", |seen| {
            connections < seen.connections && seen.is_healthy()
        })
        .await;
    let new = several(&machine, "y");
    let delta = delta::encode(&old, &new).unwrap();
    let sizes: BTreeMap<&str, usize> = delta
        .iter()
        .map(|(name, file)| (name.as_str(), file.body.len()))
        .collect();
    assert!(sizes.values().all(|bytes| *bytes < 200), "{sizes:?}");
    push_delta(&server, &delta, &new);
    applied(&server, &new).await;
    assert!(machine.config().contains("debug/y"));
    assert!(server.seen().custom.is_empty());
}

#[tokio::test]
async fn an_agent_that_is_told_to_takes_no_deltas() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.capabilities = "accepts_remote_config: true, accepts_config_deltas: false".to_owned();
    machine.start();
    server.until("health", |seen| seen.is_healthy()).await;
    assert_eq!(server.seen().custom_capabilities, [DRY_RUN]);
}
