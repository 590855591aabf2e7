//! The agent's side: what it sends when, and what it makes of the server's messages.

mod bad_messages;
mod capabilities;
mod custom;
mod heartbeats;
mod identity;
mod offers;
mod reporting;

use opamp::client::ClientSession;
use opamp::model::{
    AgentCapabilities, AvailableComponents, ComponentDetails, ConnectionSettingsStatus,
    CustomCapabilities, PackageStatuses, RemoteConfigStatus, ServerCapabilities,
};
use opamp::proto::AgentToServer;

use crate::support::{config, health};

const BEATING: AgentCapabilities = AgentCapabilities::REPORTS_HEARTBEAT;
const SERVER: ServerCapabilities = ServerCapabilities::ALL;

/// What a message carries beside its head.
fn parts(message: &AgentToServer) -> Vec<&'static str> {
    let there = [
        ("agent_description", message.agent_description.is_some()),
        ("health", message.health.is_some()),
        ("effective_config", message.effective_config.is_some()),
        (
            "remote_config_status",
            message.remote_config_status.is_some(),
        ),
        ("package_statuses", message.package_statuses.is_some()),
        ("agent_disconnect", message.agent_disconnect.is_some()),
        (
            "connection_settings_request",
            message.connection_settings_request.is_some(),
        ),
        ("custom_capabilities", message.custom_capabilities.is_some()),
        ("custom_message", message.custom_message.is_some()),
        (
            "available_components",
            message.available_components.is_some(),
        ),
        (
            "connection_settings_status",
            message.connection_settings_status.is_some(),
        ),
    ];
    there
        .into_iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(name, _)| name)
        .collect()
}

fn components() -> AvailableComponents {
    AvailableComponents {
        hash: b"h".to_vec(),
        components: Some([("otlp".to_owned(), ComponentDetails::default())].into()),
    }
}

fn set_everything(session: &mut ClientSession) {
    session.set_health(&health(true, 2, 0));
    session.set_effective_config(&config("a: 1"));
    session.set_remote_config_status(&RemoteConfigStatus {
        last_hash: vec![1],
        ..Default::default()
    });
    session.set_package_statuses(&PackageStatuses::default());
    session
        .set_custom_capabilities(&CustomCapabilities(vec!["io.x.y".into()]))
        .unwrap();
    session.set_available_components(&components());
    session.set_connection_settings_status(&ConnectionSettingsStatus {
        last_hash: vec![2],
        ..Default::default()
    });
}

const EVERYTHING: [&str; 8] = [
    "agent_description",
    "health",
    "effective_config",
    "remote_config_status",
    "package_statuses",
    "custom_capabilities",
    "available_components",
    "connection_settings_status",
];
