//! What agents report, as the API shows it.

use std::collections::BTreeMap;

use api_types::agents::{
    ApplyStatus, Component, Components, Description, Health, Package, Packages, ReportedConfig,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::domain::model::{
    self, AgentDescription, ApplyState, Attribute, AvailableComponents, ComponentDetails,
    ConnectionSettingsStatus, PackageStatus, PackageStatuses,
};
use serde_json::Value;

use super::{hex, to_time};

pub(super) fn to_description(description: AgentDescription) -> Description {
    Description {
        identifying: to_attributes(description.identifying),
        non_identifying: to_attributes(description.non_identifying),
    }
}

pub(super) fn to_health(health: model::Health) -> Health {
    Health {
        healthy: health.healthy,
        status: health.status,
        last_error: health.last_error,
        start_time: to_time(health.start_time_unix_nano),
        status_time: to_time(health.status_time_unix_nano),
        attributes: to_attributes(health.attributes),
        components: health
            .components
            .into_iter()
            .map(|(name, part)| (name, to_health(part)))
            .collect(),
    }
}

pub(super) fn to_components(available: AvailableComponents) -> Components {
    let convert = |parts: BTreeMap<String, ComponentDetails>| {
        parts
            .into_iter()
            .map(|(name, part)| (name, to_component(part)))
            .collect()
    };
    Components {
        hash: hex(&available.hash),
        components: available.components.map(convert),
    }
}

fn to_component(part: ComponentDetails) -> Component {
    Component {
        metadata: to_attributes(part.metadata),
        components: part
            .sub_components
            .into_iter()
            .map(|(name, part)| (name, to_component(part)))
            .collect(),
    }
}

pub(super) fn to_packages(statuses: PackageStatuses) -> Packages {
    Packages {
        offered_hash: hex(&statuses.server_provided_all_packages_hash),
        error: statuses.error,
        packages: statuses
            .packages
            .into_iter()
            .map(|(name, status)| (name, to_package(status)))
            .collect(),
    }
}

fn to_package(status: PackageStatus) -> Package {
    Package {
        state: status.state.as_str().to_owned(),
        version: status.agent_has_version,
        hash: hex(&status.agent_has_hash),
        offered_version: status.server_offered_version,
        offered_hash: hex(&status.server_offered_hash),
        error: status.error,
    }
}

pub(super) fn to_settings_status(status: ConnectionSettingsStatus) -> ReportedConfig {
    ReportedConfig {
        hash: hex(&status.last_hash),
        status: to_apply_status(status.state),
        error: status.error,
    }
}

pub(super) fn to_apply_status(state: ApplyState) -> ApplyStatus {
    match state {
        ApplyState::Unset => ApplyStatus::Unset,
        ApplyState::Applied => ApplyStatus::Applied,
        ApplyState::Applying => ApplyStatus::Applying,
        ApplyState::Failed => ApplyStatus::Failed,
    }
}

fn to_attributes(attributes: Vec<Attribute>) -> BTreeMap<String, Value> {
    attributes
        .into_iter()
        .map(|attribute| (attribute.key, to_value(attribute.value)))
        .collect()
}

/// A value in JSON. Bytes are base64; numbers that JSON does not have are text.
fn to_value(value: model::Value) -> Value {
    match value {
        model::Value::Null => Value::Null,
        model::Value::String(text) => text.into(),
        model::Value::Bool(truth) => truth.into(),
        model::Value::Int(number) => number.into(),
        model::Value::Double(number) => serde_json::Number::from_f64(number)
            .map_or_else(|| number.to_string().into(), Value::Number),
        model::Value::Array(values) => values.into_iter().map(to_value).collect(),
        model::Value::Map(entries) => to_attributes(entries).into_iter().collect(),
        model::Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_json() {
        let attributes = vec![
            Attribute {
                key: "map".into(),
                value: model::Value::Map(vec![Attribute::new("k", "v")]),
            },
            Attribute {
                key: "nan".into(),
                value: model::Value::Double(f64::NAN),
            },
            Attribute {
                key: "bytes".into(),
                value: model::Value::Bytes(vec![1, 2, 255]),
            },
            Attribute {
                key: "list".into(),
                value: model::Value::Array(vec![model::Value::Int(-1), model::Value::Null]),
            },
        ];
        let shown = serde_json::to_value(to_attributes(attributes)).unwrap();
        assert_eq!(
            shown,
            json!({ "map": {"k": "v"}, "nan": "NaN", "bytes": "AQL/", "list": [-1, null] })
        );
    }
}
