//! What the engine tells the outside as it happens: metrics, log events and the timed events of an agent.

use std::{collections::BTreeMap, net::SocketAddr};

use domain::{ContentHash, EventKind, NewEvent};
use jiff::Timestamp;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use parking_lot::Mutex;

use crate::agent::{LiveAgent, Transport};
use crate::desire::CONTENT_DURATION;

const CONNECTED_AGENTS: &str = "opamp_server_connected_agents";
const AGENT_DISCONNECTED: &str = "opamp_server_agent_disconnected_total";
const CONFIG_SENT: &str = "opamp_server_config_sent_total";
const CONFIG_APPLIED: &str = "opamp_server_config_applied_total";
const CONFIG_FAILED: &str = "opamp_server_config_failed_total";
const DELTA_SENT: &str = "opamp_server_config_delta_sent_total";
const DELTA_SAVED: &str = "opamp_server_config_delta_saved_bytes_total";
const DELTA_REFUSED: &str = "opamp_server_config_delta_refused_total";
const CONVERGENCE: &str = "opamp_server_convergence_seconds";
const ERRORS: &str = "opamp_server_errors_total";
const SOURCE_SUCCESS: &str = "opamp_server_config_source_last_success_timestamp_seconds";
const SOURCE_FAILURES: &str = "opamp_server_config_source_failures_total";
const SOURCE_APPLIED: &str = "opamp_server_config_source_commits_applied_total";
const SOURCE_REFUSED: &str = "opamp_server_config_source_commits_refused_total";

/// Describes the engine's metrics and makes them exist at 0.
pub fn register_metrics() {
    describe_gauge!(
        CONNECTED_AGENTS,
        "Agents that are connected, polling ones within their liveness included."
    );
    describe_counter!(
        AGENT_DISCONNECTED,
        "Agents lost; HTTP exchanges do not count."
    );
    describe_counter!(CONFIG_SENT, "Configs offered, once per agent and offer.");
    describe_counter!(
        CONFIG_APPLIED,
        "Offered configs that an agent applied, once per agent and offer."
    );
    describe_counter!(
        CONFIG_FAILED,
        "Offered configs that an agent could not apply, once per agent and offer."
    );
    describe_counter!(
        DELTA_SENT,
        "Configs offered as what changed, once per agent and offer."
    );
    describe_counter!(
        DELTA_SAVED,
        metrics::Unit::Bytes,
        "Bytes by which the offers that agents took as what changed were smaller than the whole."
    );
    describe_counter!(
        DELTA_REFUSED,
        "Configs offered as what changed of which an agent asked for the whole."
    );
    describe_histogram!(
        CONVERGENCE,
        metrics::Unit::Seconds,
        "From a changed desired config to the agent having applied it."
    );
    describe_histogram!(
        CONTENT_DURATION,
        metrics::Unit::Seconds,
        "Time to make one desired config: its templates rendered, its layers merged."
    );
    describe_counter!(ERRORS, "Errors an operator should look at.");
    describe_gauge!(
        SOURCE_SUCCESS,
        metrics::Unit::Seconds,
        "When the config source was last fetched and looked at without a failure; 0: never."
    );
    describe_counter!(
        SOURCE_FAILURES,
        "Looks at the config source that failed, by reason."
    );
    describe_counter!(
        SOURCE_APPLIED,
        "Commits of the config source that were applied."
    );
    describe_counter!(
        SOURCE_REFUSED,
        "Commits of the config source that were refused whole."
    );
    gauge!(CONNECTED_AGENTS).increment(0.0);
    gauge!(SOURCE_SUCCESS).increment(0.0);
    for name in [
        AGENT_DISCONNECTED,
        CONFIG_SENT,
        CONFIG_APPLIED,
        CONFIG_FAILED,
        DELTA_SENT,
        DELTA_SAVED,
        DELTA_REFUSED,
        ERRORS,
        SOURCE_APPLIED,
        SOURCE_REFUSED,
    ] {
        counter!(name).absolute(0);
    }
}

/// Lines about coming and going that a second may have at INFO; the rest of a storm goes to DEBUG and is counted.
const CONNECTION_LINES_PER_SECOND: u32 = 20;

/// Decides which lines of a storm are shown.
#[derive(Default)]
pub(crate) struct ConnectionLines(Mutex<LineCount>);

#[derive(Default)]
struct LineCount {
    second: i64,
    seen: u32,
}

impl ConnectionLines {
    /// Whether a line is to be shown now.
    pub fn admit(&self, now: Timestamp) -> bool {
        let mut count = self.0.lock();
        let second = now.as_second();
        if count.second != second {
            let hidden = count.seen.saturating_sub(CONNECTION_LINES_PER_SECOND);
            if 0 < hidden {
                tracing::info!(event = "connection_lines_suppressed", count = hidden);
            }
            *count = LineCount { second, seen: 0 };
        }
        count.seen += 1;
        count.seen <= CONNECTION_LINES_PER_SECOND
    }
}

pub(crate) fn agent_connected(
    agent: &LiveAgent,
    transport: Transport,
    peer: SocketAddr,
    shown: bool,
) {
    gauge!(CONNECTED_AGENTS).increment(1.0);
    let transport = transport.as_str();
    if shown {
        tracing::info!(event = "agent_connected", agent_id = %agent.id, transport, %peer);
    } else {
        tracing::debug!(event = "agent_connected", agent_id = %agent.id, transport, %peer);
    }
}

pub(crate) fn agent_disconnected(agent: &LiveAgent, reason: &str, shown: bool) {
    gauge!(CONNECTED_AGENTS).decrement(1.0);
    counter!(AGENT_DISCONNECTED).increment(1);
    if shown {
        tracing::info!(event = "agent_disconnected", agent_id = %agent.id, reason);
    } else {
        tracing::debug!(event = "agent_disconnected", agent_id = %agent.id, reason);
    }
}

/// The claim moved to another connection: one goes, one comes, and no agent was lost.
pub(crate) fn agent_replaced() {
    gauge!(CONNECTED_AGENTS).decrement(1.0);
}

pub(crate) fn config_sent(agent: &LiveAgent, hash: &ContentHash) {
    counter!(CONFIG_SENT).increment(1);
    tracing::info!(event = "config_sent", agent_id = %agent.id, config_hash = %hash);
}

pub(crate) fn config_applied(agent: &LiveAgent, hash: &ContentHash, since_ms: i64, now: Timestamp) {
    counter!(CONFIG_APPLIED).increment(1);
    let duration_ms = u32::try_from((now.as_millisecond() - since_ms).max(0)).unwrap_or(u32::MAX);
    histogram!(CONVERGENCE).record(f64::from(duration_ms) / 1000.0);
    tracing::info!(event = "config_applied", agent_id = %agent.id, config_hash = %hash, duration_ms, success = true);
}

pub(crate) fn config_failed(agent: &LiveAgent, hash: &ContentHash, error: &str) {
    counter!(CONFIG_FAILED).increment(1);
    tracing::warn!(event = "config_failed", agent_id = %agent.id, config_hash = %hash, success = false, error);
}

pub(crate) fn delta_sent() {
    counter!(DELTA_SENT).increment(1);
}

pub(crate) fn delta_taken(saved_bytes: u32) {
    if 0 < saved_bytes {
        counter!(DELTA_SAVED).increment(saved_bytes.into());
    }
}

pub(crate) fn delta_refused(agent: &LiveAgent, hash: &ContentHash) {
    counter!(DELTA_REFUSED).increment(1);
    tracing::info!(event = "config_delta_refused", agent_id = %agent.id, config_hash = %hash);
}

pub(crate) fn source_commit_applied(commit: &str, revisions: usize) {
    counter!(SOURCE_APPLIED).increment(1);
    tracing::info!(event = "config_source_applied", commit, revisions);
}

pub(crate) fn source_commit_refused(commit: &str, findings: u64, error: &str) {
    counter!(SOURCE_REFUSED).increment(1);
    tracing::warn!(event = "config_source_refused", commit, findings, error);
}

pub(crate) fn source_release_refused(config: &str, error: &str) {
    tracing::warn!(event = "config_source_release_refused", config, error);
}

pub(crate) fn source_failed(reason: &'static str) {
    counter!(SOURCE_FAILURES, "reason" => reason).increment(1);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 fit for some million years"
)]
pub(crate) fn source_synced(now: Timestamp) {
    gauge!(SOURCE_SUCCESS).set(now.as_second() as f64);
}

/// Something that an operator must look at.
pub(crate) fn count_error() {
    counter!(ERRORS).increment(1);
}

/// An event of one agent, with its facts.
pub(crate) fn of_agent<const N: usize>(
    agent: &LiveAgent,
    kind: EventKind,
    at: Timestamp,
    facts: [(&str, String); N],
) -> NewEvent {
    let detail: BTreeMap<String, String> = facts
        .into_iter()
        .map(|(name, fact)| (name.to_owned(), fact))
        .collect();
    NewEvent {
        namespace: agent.namespace.clone(),
        agent: Some(agent.id),
        at,
        kind,
        detail,
    }
}
