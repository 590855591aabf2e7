//! What the agent tells of itself and its collector.

use opamp::model::AgentCapabilities;

use crate::harness::{Machine, free_port, install};
use crate::server::Server;

#[tokio::test]
async fn de_01_de_02_c14_c16_the_first_report_says_who_and_what() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    let seen = server
        .until("the collector's version", |seen| {
            seen.attribute("service.version").is_some()
        })
        .await;
    assert_eq!(
        seen.attribute("service.name").as_deref(),
        Some("stand-in-collector")
    );
    assert_eq!(
        seen.attribute("service.version").as_deref(),
        Some("0.149.0")
    );
    assert_eq!(
        seen.attribute("service.instance.id").as_deref(),
        Some("edge-1")
    );
    assert_eq!(seen.attribute("env").as_deref(), Some("prod"), "c19");
    assert_eq!(seen.attribute("os.type").as_deref(), Some("linux"));
    let keys = |attributes: &[opamp::proto::KeyValue]| {
        let mut keys: Vec<String> = attributes.iter().map(|one| one.key.clone()).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(
        keys(&seen.description.identifying_attributes),
        ["service.instance.id", "service.name", "service.version"]
    );
    let others = keys(&seen.description.non_identifying_attributes);
    for key in ["host.name", "host.arch", "os.type"] {
        assert!(others.iter().any(|other| other == key), "{key}: {others:?}");
    }
    let bits = AgentCapabilities::from_bits_truncate(seen.capabilities);
    assert!(bits.contains(
        AgentCapabilities::ACCEPTS_REMOTE_CONFIG.union(AgentCapabilities::ACCEPTS_RESTART_COMMAND)
    ));
    assert!(!bits.contains(AgentCapabilities::ACCEPTS_PACKAGES));
}

#[tokio::test]
async fn co_01_co_02_co_03_c17_components_are_a_hash_first_and_a_list_on_request() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    let seen = server
        .until("a hash", |seen| !seen.components.is_empty())
        .await;
    assert!(seen.components[0].components.is_empty());
    server.ask_for_components();
    let seen = server
        .until("the list", |seen| {
            seen.components.iter().any(|all| !all.components.is_empty())
        })
        .await;
    let all = seen
        .components
        .iter()
        .find(|all| !all.components.is_empty())
        .unwrap();
    assert_eq!(all.hash, seen.components[0].hash);
    let kinds: Vec<&str> = {
        let mut kinds: Vec<&str> = all.components.keys().map(String::as_str).collect();
        kinds.sort_unstable();
        kinds
    };
    assert_eq!(
        kinds,
        [
            "connectors",
            "exporters",
            "extensions",
            "processors",
            "receivers"
        ]
    );
    assert!(
        all.components["receivers"]
            .sub_component_map
            .contains_key("otlp")
    );
}

#[tokio::test]
async fn cm_02_c21_a_restart_command_replaces_the_process() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let seen = server
        .until("health", |seen| seen.is_healthy() && seen.pid().is_some())
        .await;
    let (first, started) = (
        seen.pid().unwrap(),
        seen.health.unwrap().start_time_unix_nano,
    );
    server.command_restart();
    let seen = server
        .until("another process", |seen| {
            seen.is_healthy() && seen.pid().is_some_and(|pid| pid != first)
        })
        .await;
    assert!(started < seen.health.unwrap().start_time_unix_nano);
    machine.until_journal("start", "local").await;
    assert_eq!(machine.events("restart_commanded").len(), 1);
}

#[tokio::test]
async fn id_05_id_02_c26_an_assigned_uid_is_used_and_kept() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    let first = server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await
        .uid;
    let uid = [9; 16];
    assert_ne!(first, uid);
    server.assign(uid);
    machine.until_event("uid_assigned", 1).await;
    assert!(machine.stop().await.success());
    machine.start();
    server
        .until("the assigned uid after a restart", |seen| {
            seen.connections == 2 && seen.uid == uid
        })
        .await;
}

#[tokio::test]
async fn an_assigned_uid_reaches_the_collector_with_its_next_start() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.instance_id = String::new();
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    server.until("health", |seen| seen.is_healthy()).await;
    server.assign([9; 16]);
    machine.until_event("uid_assigned", 1).await;
    let uid = "09090909-0909-0909-0909-090909090909";
    server
        .until("the description", |seen| {
            seen.attribute("service.instance.id").as_deref() == Some(uid)
        })
        .await;
    server.command_restart();
    server
        .until("the uid in the additions", |seen| {
            seen.effective_body("opamp-agent.yaml")
                .is_some_and(|body| body.contains(uid))
        })
        .await;
}

#[tokio::test]
async fn another_program_in_the_same_place_is_asked_what_it_is() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    let program = machine.path("collector");
    let built = std::mem::replace(&mut machine.executable, program.clone());
    install(&built, &program);
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let version = |seen: &crate::server::Seen| seen.attribute("service.version");
    server
        .until("the version", |seen| {
            version(seen).as_deref() == Some("0.149.0")
        })
        .await;
    let script = format!(
        "#!/bin/bash\nif [ \"$1\" = components ]; then '{0}' components | sed s/0.149.0/0.150.0/; \
         else exec -a \"$0\" '{0}' \"$@\"; fi\n",
        built.display()
    );
    let written = machine.path("script");
    std::fs::write(&written, script).unwrap();
    std::fs::set_permissions(
        &written,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    install(&written, &program);
    server.command_restart();
    server
        .until("the next version", |seen| {
            version(seen).as_deref() == Some("0.150.0")
        })
        .await;
}

#[tokio::test]
async fn the_health_extension_is_asked() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let config = |label: &str, keys: &str| {
        let endpoint = format!(
            "extensions: {{ health_check: {{ endpoint: '127.0.0.1:{}' }},",
            free_port()
        );
        machine
            .stand_in_config(label, keys)
            .replace("extensions: {", &endpoint)
            .replace("extensions: [", "extensions: [health_check, ")
    };
    server.offer("ill", &config("ill", "unhealthy: true")).await;
    server
        .until("unhealthy", |seen| {
            seen.health
                .as_ref()
                .is_some_and(|health| health.last_error.contains("503"))
        })
        .await;
    server.offer("well", &config("well", "")).await;
    server
        .until("healthy", |seen| seen.is_healthy() && seen.pid().is_some())
        .await;
}

#[tokio::test]
async fn se_03_without_its_operators_word_an_agent_takes_no_configuration() {
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.capabilities = "accepts_restart_command: true".to_owned();
    machine.put_local(&machine.stand_in_config("local", ""));
    machine.start();
    let seen = server.until("health", |seen| seen.is_healthy()).await;
    let bits = AgentCapabilities::from_bits_truncate(seen.capabilities);
    assert!(!bits.contains(AgentCapabilities::ACCEPTS_REMOTE_CONFIG));
    let before = machine.config();
    server.push("h1", &machine.stand_in_config("one", ""));
    // What the server says next is heard, so the offer was, too.
    server.assign([9; 16]);
    let seen = server
        .until("the new uid", |seen| seen.uid == [9; 16])
        .await;
    assert_eq!((seen.statuses, machine.config()), (Vec::new(), before));
}
