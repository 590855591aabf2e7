//! The metrics recorder: one for the process, rendered by the admin plane's `/metrics`.

use std::sync::OnceLock;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// From an agent's message to its reply, in seconds.
pub const REQUEST_DURATION: &str = "opamp_server_request_duration_seconds";
/// From a changed desired state to the agent's having applied it, in seconds.
pub const CONVERGENCE: &str = "opamp_server_convergence_seconds";
/// Connections of the database at work.
pub const DB_IN_USE: &str = "opamp_server_db_connections_in_use";
/// The most connections of the database.
pub const DB_MAX: &str = "opamp_server_db_connections_max";

const REQUEST_BUCKETS: [f64; 14] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5,
    1.0, 5.0,
];
const CONVERGENCE_BUCKETS: [f64; 14] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
];

/// The counters that dashboards rely on, without labels.
const COUNTERS: [(&str, &str); 5] = [
    (
        "opamp_server_agent_disconnected_total",
        "Agents lost; an HTTP exchange that ends is none.",
    ),
    (
        "opamp_server_config_sent_total",
        "Configs offered, once per agent and offer.",
    ),
    (
        "opamp_server_config_applied_total",
        "Offered configs that the agent applied, once per agent and offer.",
    ),
    (
        "opamp_server_config_failed_total",
        "Offered configs that the agent could not apply, once per agent and offer.",
    ),
    (
        "opamp_server_errors_total",
        "Faults of this server or its database: requests that failed, desired configs that could not be made.",
    ),
];

/// Takes over the process's metrics; a second call gives the first one's handle.
///
/// # Errors
/// When another recorder is in place, or the buckets are unusable.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_DURATION.to_owned()), &REQUEST_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(CONVERGENCE.to_owned()), &CONVERGENCE_BUCKETS)?
        .build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle()).clone();
    // A racing second caller loses here and shares the first one's handle.
    if metrics::set_global_recorder(recorder).is_ok() {
        register();
    }
    Ok(handle)
}

/// Describes the names that dashboards rely on, and makes each of them exist at 0.
fn register() {
    for (name, text) in COUNTERS {
        describe_counter!(name, text);
        counter!(name).increment(0);
    }
    describe_gauge!(
        "opamp_server_connected_agents",
        "Agents that are connected now."
    );
    gauge!("opamp_server_connected_agents").set(0.0);
    describe_gauge!(DB_IN_USE, "Connections of the database at work.");
    gauge!(DB_IN_USE).set(0.0);
    describe_gauge!(DB_MAX, "The most connections of the database.");
    gauge!(DB_MAX).set(0.0);
    describe_histogram!(
        REQUEST_DURATION,
        Unit::Seconds,
        "From the arrival of an agent's message to its reply, on every transport."
    );
    describe_histogram!(
        CONVERGENCE,
        Unit::Seconds,
        "From a changed desired state to the agent's having applied it."
    );
    // A histogram exists once its handle was made.
    drop((histogram!(REQUEST_DURATION), histogram!(CONVERGENCE)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_dashboards_rely_on_exist_from_the_start_without_labels() {
        let text = install().expect("a recorder").render();
        let names = COUNTERS.iter().map(|(name, _)| *name).chain([
            "opamp_server_connected_agents",
            DB_IN_USE,
            DB_MAX,
        ]);
        for name in names {
            assert!(
                text.lines().any(|line| line == format!("{name} 0")),
                "{name} is not there at 0:\n{text}"
            );
        }
        for name in [REQUEST_DURATION, CONVERGENCE] {
            assert!(
                text.contains(&format!("{name}_count 0")),
                "{name} is not there:\n{text}"
            );
        }
    }
}
