//! Agents as the API shows them.

mod config;
mod report;

use api_types::agents::{
    Agent, AgentSummary, Approval, ConfigState, Connection, HistoryEntry, LabelSources, Transport,
    WaitsFor,
};
use api_types::{StringMap, Timestamp};
use engine::AgentStanding;
use engine::admin::agents::{AgentChange, AgentSummary as Stored, AgentView};
use engine::domain;
use engine::domain::Labels;
use engine::domain::model::AgentCapabilities;

pub(super) use config::Secrets;

/// The attributes that name an agent for people, the first that is there.
const NAME_LABELS: [&str; 3] = ["service.instance.id", "host.name", "service.name"];

pub(super) fn to_agent(agent: AgentView, secrets: Secrets) -> Agent {
    let summary = to_summary(&agent.stored.summary, agent.live.as_ref());
    let config = config::to_config(&agent, summary.config_state, secrets);
    let stored = agent.stored;
    Agent {
        label_sources: LabelSources {
            credential: to_labels(&stored.labels.credential),
            operator: to_labels(&stored.labels.operator),
            agent: to_labels(&stored.labels.reported),
        },
        capabilities: stored
            .summary
            .capabilities
            .names()
            .map(snake_case)
            .collect(),
        custom_capabilities: stored
            .custom_capabilities
            .map(|custom| custom.0)
            .unwrap_or_default(),
        description: stored.description.map(report::to_description),
        health: stored.health.map(report::to_health),
        components: stored.available_components.map(report::to_components),
        config,
        packages: stored.package_statuses.map(report::to_packages),
        connection_settings: stored
            .connection_settings_status
            .map(report::to_settings_status),
        connection: to_connection(&stored.summary, summary.connected),
        summary,
    }
}

/// A row of the list: what is stored, and over it what memory knows better.
pub(super) fn to_summary(stored: &Stored, live: Option<&AgentStanding>) -> AgentSummary {
    let state = live.map_or(stored.config_state, |live| live.config_state);
    let connected = live.map_or(stored.connected, |live| live.connected);
    let desired = live.map_or(stored.desired, |live| live.desired);
    let status = stored.remote_config_status.as_ref();
    AgentSummary {
        id: stored.id.to_string(),
        instance_uid: stored.uid.to_string(),
        namespace: stored.namespace.to_string(),
        name: name(stored),
        labels: to_labels(&stored.labels),
        connected,
        healthy: stored.healthy,
        status: stored.health_status.clone(),
        approval: to_approval(stored.approval),
        config_state: to_config_state(state),
        waits_for: waits_for(stored, live, state, connected),
        config_error: status
            .filter(|_| state == domain::ConfigState::Failed)
            .map(|status| status.error.clone()),
        in_sync: desired.map(|_| state == domain::ConfigState::Applied),
        desired_hash: desired.map(|hash| hash.to_string()),
        reported_hash: status.map(|status| hex(&status.last_hash)),
        version: stored.version,
        first_seen: stored.created_at,
        last_seen: live.map_or(stored.last_seen, |live| {
            live.last_seen.max(stored.last_seen)
        }),
    }
}

fn name(stored: &Stored) -> String {
    let named = NAME_LABELS
        .iter()
        .find_map(|key| stored.labels.get(key).filter(|name| !name.is_empty()));
    named.map_or_else(|| stored.uid.to_string(), str::to_owned)
}

fn waits_for(
    stored: &Stored,
    live: Option<&AgentStanding>,
    state: domain::ConfigState,
    connected: bool,
) -> Option<WaitsFor> {
    if state != domain::ConfigState::Pending {
        return None;
    }
    if !stored
        .capabilities
        .contains(AgentCapabilities::ACCEPTS_REMOTE_CONFIG)
    {
        Some(WaitsFor::Capability)
    } else if stored.approval == domain::Approval::Pending {
        Some(WaitsFor::Approval)
    } else if live.is_some_and(|live| live.held) {
        Some(WaitsFor::Hold)
    } else {
        (!connected).then_some(WaitsFor::Connection)
    }
}

fn to_connection(stored: &Stored, connected: bool) -> Option<Connection> {
    let attachment = stored.attachment.as_ref()?;
    let detached = stored.detached.as_ref().filter(|_| !connected);
    Some(Connection {
        node: attachment.node.to_string(),
        transport: match attachment.transport.as_str() {
            "grpc" => Transport::Grpc,
            "http" => Transport::Http,
            _ => Transport::Websocket,
        },
        remote_address: attachment.remote_addr.clone(),
        connected_at: attachment.at,
        disconnected_at: detached.map(|(at, _)| *at),
        disconnect_reason: detached.map(|(_, reason)| reason.clone()),
    })
}

pub(super) fn to_history(change: AgentChange) -> HistoryEntry {
    // What is stored is JSON or, for single words, plain text.
    let value = |text: Option<String>| {
        text.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)))
    };
    HistoryEntry {
        at: change.at,
        what: change.what,
        actor: change.actor.map(|actor| actor.to_string()),
        before: value(change.old),
        after: value(change.new),
    }
}

pub(super) fn to_labels(labels: &Labels) -> StringMap {
    labels
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn to_config_state(state: domain::ConfigState) -> ConfigState {
    match state {
        domain::ConfigState::Unassigned => ConfigState::Unassigned,
        domain::ConfigState::Pending => ConfigState::Pending,
        domain::ConfigState::Offered => ConfigState::Offered,
        domain::ConfigState::Applying => ConfigState::Applying,
        domain::ConfigState::Applied => ConfigState::Applied,
        domain::ConfigState::Failed => ConfigState::Failed,
    }
}

pub(super) fn from_config_state(state: ConfigState) -> domain::ConfigState {
    match state {
        ConfigState::Unassigned => domain::ConfigState::Unassigned,
        ConfigState::Pending => domain::ConfigState::Pending,
        ConfigState::Offered => domain::ConfigState::Offered,
        ConfigState::Applying => domain::ConfigState::Applying,
        ConfigState::Applied => domain::ConfigState::Applied,
        ConfigState::Failed => domain::ConfigState::Failed,
    }
}

fn to_approval(approval: domain::Approval) -> Approval {
    match approval {
        domain::Approval::Approved => Approval::Approved,
        domain::Approval::Pending => Approval::Pending,
    }
}

pub(super) fn from_approval(approval: Approval) -> domain::Approval {
    match approval {
        Approval::Approved => domain::Approval::Approved,
        Approval::Pending => domain::Approval::Pending,
    }
}

/// `AcceptsOpAMPConnectionSettings` as `accepts_opamp_connection_settings`: the names of the agent's own file.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.replace("OpAMP", "Opamp").chars() {
        if character.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string");
            text
        })
}

/// A time of the protocol; 0 means that none was told.
fn to_time(unix_nano: u64) -> Option<Timestamp> {
    let told = Some(unix_nano).filter(|nanos| *nanos != 0)?;
    Timestamp::from_nanosecond(told.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_the_names_of_the_agents_file() {
        let names: Vec<String> = AgentCapabilities::ALL.names().map(snake_case).collect();
        for name in [
            "accepts_remote_config",
            "reports_health",
            "accepts_opamp_connection_settings",
            "accepts_restart_command",
        ] {
            assert!(
                names.iter().any(|known| known == name),
                "{name} in {names:?}"
            );
        }
    }

    #[test]
    fn config_states_map_both_ways() {
        for state in domain::ConfigState::ALL {
            assert_eq!(from_config_state(to_config_state(state)), state);
            assert_eq!(
                serde_json::to_value(to_config_state(state)).unwrap(),
                state.as_str()
            );
        }
    }

    #[test]
    fn an_untold_time_is_absent() {
        assert_eq!(to_time(0), None);
        assert_eq!(
            to_time(1_500_000_000).unwrap().to_string(),
            "1970-01-01T00:00:01.5Z"
        );
        assert!(to_time(u64::MAX).is_some());
    }
}
