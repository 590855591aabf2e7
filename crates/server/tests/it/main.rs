//! The whole system over real sockets: a server, simulated agents, and the REST API between them.
//!
//! On the database that `TEST_DATABASE` names; see `testkit::database`.

mod access;
mod another_version;
mod attacks;
mod bad_messages;
mod bad_requests;
mod bad_start;
mod bench;
mod check_configs;
mod configs;
mod conformance;
mod crash;
mod deltas;
mod faults;
mod full_disk;
mod git_source;
mod life;
mod lost_postgres;
mod observability;
mod restart;
mod running;
mod secrets;
mod silent_peers;
mod tls;
mod write_points;

/// Two configurations that a collector would take, and that tests tell apart.
const FIRST: &str = "receivers:\n  otlp: {}\nexporters:\n  debug: {}\nservice:\n  pipelines:\n    traces: { receivers: [otlp], exporters: [debug] }\n";
const SECOND: &str = "receivers:\n  otlp: {}\nexporters:\n  debug: { verbosity: detailed }\nservice:\n  pipelines:\n    traces: { receivers: [otlp], exporters: [debug] }\n";

/// Labels for the options of a fleet.
fn labels(texts: &[&str]) -> Vec<fleetsim::labels::Distribution> {
    texts
        .iter()
        .map(|text| text.parse().expect("a distribution"))
        .collect()
}
