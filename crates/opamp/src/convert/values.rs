//! Attributes, descriptions, health and components.

use opamp_model::{
    AgentDescription, Attribute, AvailableComponents, ComponentDetails, Health, Value,
};

use crate::proto;
use crate::proto::any_value::Value as Any;

impl From<proto::AnyValue> for Value {
    fn from(value: proto::AnyValue) -> Self {
        match value.value {
            None => Self::Null,
            Some(Any::StringValue(text)) => Self::String(text),
            Some(Any::BoolValue(value)) => Self::Bool(value),
            Some(Any::IntValue(value)) => Self::Int(value),
            Some(Any::DoubleValue(value)) => Self::Double(value),
            Some(Any::ArrayValue(array)) => {
                Self::Array(array.values.into_iter().map(Self::from).collect())
            }
            Some(Any::KvlistValue(list)) => Self::Map(attributes(list.values)),
            Some(Any::BytesValue(bytes)) => Self::Bytes(bytes),
        }
    }
}

impl From<&Value> for proto::AnyValue {
    fn from(value: &Value) -> Self {
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(Any::StringValue(text.clone())),
            Value::Bool(value) => Some(Any::BoolValue(*value)),
            Value::Int(value) => Some(Any::IntValue(*value)),
            Value::Double(value) => Some(Any::DoubleValue(*value)),
            Value::Array(values) => Some(Any::ArrayValue(proto::ArrayValue {
                values: values.iter().map(Self::from).collect(),
            })),
            Value::Map(entries) => Some(Any::KvlistValue(proto::KeyValueList {
                values: key_values(entries),
            })),
            Value::Bytes(bytes) => Some(Any::BytesValue(bytes.clone())),
        };
        Self { value }
    }
}

fn attributes(pairs: Vec<proto::KeyValue>) -> Vec<Attribute> {
    pairs
        .into_iter()
        .map(|pair| Attribute {
            key: pair.key,
            value: pair.value.map_or(Value::Null, Value::from),
        })
        .collect()
}

fn key_values(attributes: &[Attribute]) -> Vec<proto::KeyValue> {
    attributes
        .iter()
        .map(|attribute| proto::KeyValue {
            key: attribute.key.clone(),
            value: Some((&attribute.value).into()),
        })
        .collect()
}

impl From<proto::AgentDescription> for AgentDescription {
    fn from(description: proto::AgentDescription) -> Self {
        Self {
            identifying: attributes(description.identifying_attributes),
            non_identifying: attributes(description.non_identifying_attributes),
        }
    }
}

impl From<&AgentDescription> for proto::AgentDescription {
    fn from(description: &AgentDescription) -> Self {
        Self {
            identifying_attributes: key_values(&description.identifying),
            non_identifying_attributes: key_values(&description.non_identifying),
        }
    }
}

impl From<proto::ComponentHealth> for Health {
    fn from(health: proto::ComponentHealth) -> Self {
        Self {
            healthy: health.healthy,
            start_time_unix_nano: health.start_time_unix_nano,
            last_error: health.last_error,
            status: health.status,
            status_time_unix_nano: health.status_time_unix_nano,
            components: health
                .component_health_map
                .into_iter()
                .map(|(name, part)| (name, part.into()))
                .collect(),
            attributes: attributes(health.attributes),
        }
    }
}

impl From<&Health> for proto::ComponentHealth {
    fn from(health: &Health) -> Self {
        Self {
            healthy: health.healthy,
            start_time_unix_nano: health.start_time_unix_nano,
            last_error: health.last_error.clone(),
            status: health.status.clone(),
            status_time_unix_nano: health.status_time_unix_nano,
            component_health_map: health
                .components
                .iter()
                .map(|(name, part)| (name.clone(), part.into()))
                .collect(),
            attributes: key_values(&health.attributes),
        }
    }
}

impl From<proto::ComponentDetails> for ComponentDetails {
    fn from(details: proto::ComponentDetails) -> Self {
        Self {
            metadata: attributes(details.metadata),
            sub_components: details
                .sub_component_map
                .into_iter()
                .map(|(id, part)| (id, part.into()))
                .collect(),
        }
    }
}

impl From<&ComponentDetails> for proto::ComponentDetails {
    fn from(details: &ComponentDetails) -> Self {
        Self {
            metadata: key_values(&details.metadata),
            sub_component_map: details
                .sub_components
                .iter()
                .map(|(id, part)| (id.clone(), part.into()))
                .collect(),
        }
    }
}

/// An empty map means that the agent sent its hash alone.
impl From<proto::AvailableComponents> for AvailableComponents {
    fn from(components: proto::AvailableComponents) -> Self {
        let map = components.components;
        let components_map = (!map.is_empty()).then(|| {
            map.into_iter()
                .map(|(id, part)| (id, part.into()))
                .collect()
        });
        Self {
            hash: components.hash,
            components: components_map,
        }
    }
}

impl From<&AvailableComponents> for proto::AvailableComponents {
    fn from(components: &AvailableComponents) -> Self {
        let map = components.components.iter().flatten();
        Self {
            components: map.map(|(id, part)| (id.clone(), part.into())).collect(),
            hash: components.hash.clone(),
        }
    }
}
