//! What one message of an agent changed against what the server knew.

use crate::{
    AgentCapabilities, AgentDescription, AvailableComponents, ConfigMap, ConnectionSettingsStatus,
    CustomCapabilities, CustomMessage, Health, HealthTimes, PackageStatuses, RemoteConfigStatus,
};

/// What a message changed: a field is there only if its content differs from what was last seen.
///
/// The last four fields are events rather than state: they are there whenever the message said so.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Changes {
    /// The agent's new set of capabilities.
    pub capabilities: Option<AgentCapabilities>,
    /// Its new description.
    pub description: Option<AgentDescription>,
    /// Its health; also there when only times changed.
    pub health: Option<HealthReport>,
    /// The configuration that it now runs with.
    pub effective_config: Option<ConfigMap>,
    /// What became of a remote configuration.
    pub remote_config_status: Option<RemoteConfigStatus>,
    /// The state of its packages.
    pub package_statuses: Option<PackageStatuses>,
    /// Its custom capabilities.
    pub custom_capabilities: Option<CustomCapabilities>,
    /// Its inventory of components, or just the hash of one.
    pub available_components: Option<AvailableComponents>,
    /// What became of connection settings.
    pub connection_settings_status: Option<ConnectionSettingsStatus>,
    /// A custom message.
    pub custom_message: Option<CustomMessage>,
    /// A certificate signing request in PEM form.
    pub certificate_request: Option<Vec<u8>>,
    /// The agent says that this is its last message of the session.
    pub disconnecting: bool,
    /// The agent asks the server for an instance uid.
    pub requests_uid: bool,
}

/// A report of health.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthReport {
    /// The tree with its times set to 0; `None` if only times changed.
    pub tree: Option<Health>,
    /// The times, in the order of [`HealthTimes`].
    pub times: HealthTimes,
}

impl Changes {
    /// Whether nothing changed but perhaps the times of health, and nothing was asked.
    ///
    /// Such a message needs no lock that agents share and no database.
    pub fn is_only_liveness(&self) -> bool {
        let asked = self.custom_message.is_some()
            || self.certificate_request.is_some()
            || self.disconnecting
            || self.requests_uid;
        !self.has_status() && !asked
    }

    /// Whether the agent said something of itself, other than times, that was not known.
    pub fn has_status(&self) -> bool {
        let Self {
            capabilities,
            description,
            health,
            effective_config,
            remote_config_status,
            package_statuses,
            custom_capabilities,
            available_components,
            connection_settings_status,
            custom_message: _,
            certificate_request: _,
            disconnecting: _,
            requests_uid: _,
        } = self;
        let tree_changed = health.as_ref().is_some_and(|report| report.tree.is_some());
        tree_changed
            || capabilities.is_some()
            || description.is_some()
            || effective_config.is_some()
            || remote_config_status.is_some()
            || package_statuses.is_some()
            || custom_capabilities.is_some()
            || available_components.is_some()
            || connection_settings_status.is_some()
    }
}
