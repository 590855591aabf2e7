//! The agent with the real collector of `interop/collector`, where it is built.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Machine, free_port};
use crate::server::{APPLIED, FAILED, Server};

/// The real collector; none where it is not built. With `REQUIRE_ALL=1` that is a failure.
fn real_collector() -> Option<PathBuf> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../interop/collector/build.sh"
    );
    let output = Command::new(script)
        .arg("--path")
        .output()
        .expect("build.sh runs");
    let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var("REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(
        !required,
        "the real collector is not built: run interop/collector/build.sh"
    );
    eprintln!("skipped: the real collector is not built (interop/collector/build.sh)");
    None
}

fn config(port: u16, attribute: &str) -> String {
    format!(
        "receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: '127.0.0.1:{port}' }} }} }} }}\n\
         processors: {{ attributes: {{ actions: [{{ key: team, value: {attribute}, action: upsert }}] }} }}\n\
         exporters: {{ debug: {{}} }}\n\
         service:\n  telemetry: {{ metrics: {{ level: none }} }}\n\
         \x20 pipelines: {{ traces: {{ receivers: [otlp], processors: [attributes], exporters: [debug] }} }}\n"
    )
}

#[tokio::test]
async fn a_real_collector_reloads_refuses_and_comes_back() {
    let Some(executable) = real_collector() else {
        return;
    };
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.executable = executable;
    machine.collector = "probation: 1ms".to_owned();
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let port = free_port();
    let first = server.offer("one", &config(port, "red")).await;
    assert_eq!(first.status, APPLIED, "{}", first.error_message);
    machine.until_event("config_trusted", 1).await;
    let running = machine.collectors();

    assert_eq!(
        server.offer("two", &config(port, "blue")).await.status,
        APPLIED
    );
    assert_eq!(
        machine.collectors(),
        running,
        "reloaded in the same process"
    );
    machine.until_event("config_trusted", 2).await;

    let unknown = server
        .offer("unknown", &config(port, "blue").replace("debug", "nosuch"))
        .await;
    assert_eq!(unknown.status, FAILED);
    assert!(
        unknown.error_message.contains("unknown type: \"nosuch\""),
        "{}",
        unknown.error_message
    );
    assert!(
        !unknown
            .error_message
            .contains("collector server run finished"),
        "told once: {}",
        unknown.error_message
    );
    assert_eq!(machine.collectors(), running, "untouched");

    // `validate` does not bind: only the start finds that the port is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let clash = server
        .offer(
            "clash",
            &config(taken.local_addr().unwrap().port(), "green"),
        )
        .await;
    assert_eq!(clash.status, FAILED);
    assert!(
        clash.error_message.contains("address already in use"),
        "{}",
        clash.error_message
    );
    server
        .until("the old one runs again", |seen| {
            seen.is_healthy() && seen.pid().is_some()
        })
        .await;
    assert_eq!(machine.config(), config(port, "blue"));

    let seen = server
        .until("the inventory", |seen| !seen.components.is_empty())
        .await;
    assert_eq!(seen.attribute("service.name").as_deref(), Some("otelcol"));
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
    for (kind, name) in [
        ("receivers", "filelog"),
        ("receivers", "otlp"),
        ("exporters", "otlphttp"),
        ("extensions", "opamp"),
    ] {
        assert!(
            all.components[kind].sub_component_map.contains_key(name),
            "{kind} {name}"
        );
    }
}

#[tokio::test]
async fn a_real_collector_is_adopted() {
    let Some(executable) = real_collector() else {
        return;
    };
    let server = Server::start().await;
    let mut machine = Machine::new(&server.endpoint());
    machine.executable = executable;
    machine.start();
    server
        .until("a connection", |seen| !seen.uid.is_empty())
        .await;
    let port = free_port();
    assert_eq!(
        server.offer("one", &config(port, "red")).await.status,
        APPLIED
    );
    let running = machine.collectors();
    machine.kill();
    machine.start();
    machine.until_event("collector_adopted", 1).await;
    server
        .until("the next agent", |seen| {
            seen.connections == 2 && seen.is_healthy()
        })
        .await;
    assert_eq!(
        server.offer("two", &config(port, "blue")).await.status,
        APPLIED
    );
    assert_eq!(machine.collectors(), running);
}
