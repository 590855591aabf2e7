//! Configurations, their statuses and custom messages.

use opamp_model::{
    ApplyState, ConfigFile, ConfigMap, ConnectionSettingsStatus, CustomCapabilities, CustomMessage,
    RemoteConfigStatus,
};

use crate::proto;

impl From<proto::AgentConfigFile> for ConfigFile {
    fn from(file: proto::AgentConfigFile) -> Self {
        Self {
            body: file.body,
            content_type: file.content_type,
        }
    }
}

impl From<&ConfigFile> for proto::AgentConfigFile {
    fn from(file: &ConfigFile) -> Self {
        Self {
            body: file.body.clone(),
            content_type: file.content_type.clone(),
        }
    }
}

impl From<proto::AgentConfigMap> for ConfigMap {
    fn from(map: proto::AgentConfigMap) -> Self {
        map.config_map
            .into_iter()
            .map(|(name, file)| (name, file.into()))
            .collect()
    }
}

impl From<&ConfigMap> for proto::AgentConfigMap {
    fn from(map: &ConfigMap) -> Self {
        Self {
            config_map: map
                .iter()
                .map(|(name, file)| (name.clone(), file.into()))
                .collect(),
        }
    }
}

impl From<proto::RemoteConfigStatus> for RemoteConfigStatus {
    fn from(status: proto::RemoteConfigStatus) -> Self {
        let state = match status.status() {
            proto::RemoteConfigStatuses::Unset => ApplyState::Unset,
            proto::RemoteConfigStatuses::Applied => ApplyState::Applied,
            proto::RemoteConfigStatuses::Applying => ApplyState::Applying,
            proto::RemoteConfigStatuses::Failed => ApplyState::Failed,
        };
        Self {
            last_hash: status.last_remote_config_hash,
            state,
            error: status.error_message,
        }
    }
}

impl From<&RemoteConfigStatus> for proto::RemoteConfigStatus {
    fn from(status: &RemoteConfigStatus) -> Self {
        let state = match status.state {
            ApplyState::Unset => proto::RemoteConfigStatuses::Unset,
            ApplyState::Applied => proto::RemoteConfigStatuses::Applied,
            ApplyState::Applying => proto::RemoteConfigStatuses::Applying,
            ApplyState::Failed => proto::RemoteConfigStatuses::Failed,
        };
        Self {
            last_remote_config_hash: status.last_hash.clone(),
            status: state.into(),
            error_message: status.error.clone(),
        }
    }
}

impl From<proto::ConnectionSettingsStatus> for ConnectionSettingsStatus {
    fn from(status: proto::ConnectionSettingsStatus) -> Self {
        let state = match status.status() {
            proto::ConnectionSettingsStatuses::Unset => ApplyState::Unset,
            proto::ConnectionSettingsStatuses::Applied => ApplyState::Applied,
            proto::ConnectionSettingsStatuses::Applying => ApplyState::Applying,
            proto::ConnectionSettingsStatuses::Failed => ApplyState::Failed,
        };
        Self {
            last_hash: status.last_connection_settings_hash,
            state,
            error: status.error_message,
        }
    }
}

impl From<&ConnectionSettingsStatus> for proto::ConnectionSettingsStatus {
    fn from(status: &ConnectionSettingsStatus) -> Self {
        let state = match status.state {
            ApplyState::Unset => proto::ConnectionSettingsStatuses::Unset,
            ApplyState::Applied => proto::ConnectionSettingsStatuses::Applied,
            ApplyState::Applying => proto::ConnectionSettingsStatuses::Applying,
            ApplyState::Failed => proto::ConnectionSettingsStatuses::Failed,
        };
        Self {
            last_connection_settings_hash: status.last_hash.clone(),
            status: state.into(),
            error_message: status.error.clone(),
        }
    }
}

impl From<proto::CustomCapabilities> for CustomCapabilities {
    fn from(capabilities: proto::CustomCapabilities) -> Self {
        Self(capabilities.capabilities)
    }
}

impl From<&CustomCapabilities> for proto::CustomCapabilities {
    fn from(capabilities: &CustomCapabilities) -> Self {
        Self {
            capabilities: capabilities.0.clone(),
        }
    }
}

impl From<proto::CustomMessage> for CustomMessage {
    fn from(message: proto::CustomMessage) -> Self {
        Self {
            capability: message.capability,
            kind: message.r#type,
            data: message.data,
        }
    }
}

impl From<&CustomMessage> for proto::CustomMessage {
    fn from(message: &CustomMessage) -> Self {
        Self {
            capability: message.capability.clone(),
            r#type: message.kind.clone(),
            data: message.data.clone(),
        }
    }
}
