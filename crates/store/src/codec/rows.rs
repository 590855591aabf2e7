//! The JSON forms. Names are short because they stand in every row.

use std::collections::BTreeMap;

use domain::model::{
    AgentDescription, ApplyState, Attribute, ComponentDetails, ConnectionSettingsStatus,
    DownloadDetails, Health, PackageState, PackageStatus, PackageStatuses, Value,
};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::StoreError;

#[derive(Serialize, Deserialize)]
pub(super) struct AttributeRow(String, ValueRow);

#[derive(Serialize, Deserialize)]
enum ValueRow {
    #[serde(rename = "n")]
    Null,
    #[serde(rename = "s")]
    String(String),
    #[serde(rename = "b")]
    Bool(bool),
    #[serde(rename = "i")]
    Int(i64),
    /// The bits of a double: JSON has no NaN and no infinity, and peers may send them.
    #[serde(rename = "d")]
    Double(u64),
    #[serde(rename = "a")]
    Array(Vec<ValueRow>),
    #[serde(rename = "m")]
    Map(Vec<AttributeRow>),
    #[serde(rename = "x")]
    Bytes(Vec<u8>),
}

impl From<&Value> for ValueRow {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::String(text) => Self::String(text.clone()),
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Double(value) => Self::Double(value.to_bits()),
            Value::Array(values) => Self::Array(values.iter().map(Into::into).collect()),
            Value::Map(entries) => Self::Map(entries.iter().map(Into::into).collect()),
            Value::Bytes(bytes) => Self::Bytes(bytes.clone()),
        }
    }
}

impl From<ValueRow> for Value {
    fn from(row: ValueRow) -> Self {
        match row {
            ValueRow::Null => Self::Null,
            ValueRow::String(text) => Self::String(text),
            ValueRow::Bool(value) => Self::Bool(value),
            ValueRow::Int(value) => Self::Int(value),
            ValueRow::Double(bits) => Self::Double(f64::from_bits(bits)),
            ValueRow::Array(values) => Self::Array(values.into_iter().map(Into::into).collect()),
            ValueRow::Map(entries) => Self::Map(entries.into_iter().map(Into::into).collect()),
            ValueRow::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

impl From<&Attribute> for AttributeRow {
    fn from(attribute: &Attribute) -> Self {
        Self(attribute.key.clone(), (&attribute.value).into())
    }
}

impl From<AttributeRow> for Attribute {
    fn from(row: AttributeRow) -> Self {
        Self {
            key: row.0,
            value: row.1.into(),
        }
    }
}

fn attributes_from(attributes: &[Attribute]) -> Vec<AttributeRow> {
    attributes.iter().map(Into::into).collect()
}

fn attributes_to(rows: Vec<AttributeRow>) -> Vec<Attribute> {
    rows.into_iter().map(Into::into).collect()
}

#[derive(Serialize, Deserialize)]
pub(super) struct DescriptionRow {
    #[serde(default)]
    identifying: Vec<AttributeRow>,
    #[serde(default)]
    non_identifying: Vec<AttributeRow>,
}

impl From<&AgentDescription> for DescriptionRow {
    fn from(description: &AgentDescription) -> Self {
        Self {
            identifying: attributes_from(&description.identifying),
            non_identifying: attributes_from(&description.non_identifying),
        }
    }
}

impl From<DescriptionRow> for AgentDescription {
    fn from(row: DescriptionRow) -> Self {
        Self {
            identifying: attributes_to(row.identifying),
            non_identifying: attributes_to(row.non_identifying),
        }
    }
}

/// A health tree on its way into a column: written without copying it, because health is what changes most.
pub(super) struct HealthView<'a>(pub(super) &'a Health);

struct PartsView<'a>(&'a BTreeMap<String, Health>);

impl Serialize for HealthView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let health = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("h", &health.healthy)?;
        if !health.status.is_empty() {
            map.serialize_entry("s", &health.status)?;
        }
        if !health.last_error.is_empty() {
            map.serialize_entry("e", &health.last_error)?;
        }
        if !health.components.is_empty() {
            map.serialize_entry("c", &PartsView(&health.components))?;
        }
        if !health.attributes.is_empty() {
            map.serialize_entry("a", &attributes_from(&health.attributes))?;
        }
        map.end()
    }
}

impl Serialize for PartsView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, part)| (name, HealthView(part))))
    }
}

#[derive(Deserialize)]
pub(super) struct HealthRow {
    h: bool,
    #[serde(default)]
    s: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    c: BTreeMap<String, HealthRow>,
    #[serde(default)]
    a: Vec<AttributeRow>,
}

/// The root of a [`HealthRow`] alone.
#[derive(Deserialize)]
pub(super) struct HealthRoot {
    #[serde(default)]
    pub(super) s: String,
    #[serde(default)]
    pub(super) e: String,
}

impl From<HealthRow> for Health {
    fn from(row: HealthRow) -> Self {
        Self {
            healthy: row.h,
            status: row.s,
            last_error: row.e,
            components: row
                .c
                .into_iter()
                .map(|(name, part)| (name, part.into()))
                .collect(),
            attributes: attributes_to(row.a),
            ..Self::default()
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ComponentRow {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metadata: Vec<AttributeRow>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, ComponentRow>,
}

pub(super) fn components_from(
    components: &BTreeMap<String, ComponentDetails>,
) -> BTreeMap<&str, ComponentRow> {
    let row = |details: &ComponentDetails| ComponentRow::from(details);
    components
        .iter()
        .map(|(name, details)| (name.as_str(), row(details)))
        .collect()
}

pub(super) fn components_to(
    rows: BTreeMap<String, ComponentRow>,
) -> BTreeMap<String, ComponentDetails> {
    rows.into_iter()
        .map(|(name, row)| (name, row.into()))
        .collect()
}

impl From<&ComponentDetails> for ComponentRow {
    fn from(details: &ComponentDetails) -> Self {
        let parts = details
            .sub_components
            .iter()
            .map(|(name, part)| (name.clone(), part.into()))
            .collect();
        Self {
            metadata: attributes_from(&details.metadata),
            parts,
        }
    }
}

impl From<ComponentRow> for ComponentDetails {
    fn from(row: ComponentRow) -> Self {
        Self {
            metadata: attributes_to(row.metadata),
            sub_components: components_to(row.parts),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct PackagesRow {
    packages: BTreeMap<String, PackageRow>,
    all_packages_hash: Vec<u8>,
    error: String,
}

#[derive(Serialize, Deserialize)]
struct PackageRow {
    has_version: String,
    has_hash: Vec<u8>,
    offered_version: String,
    offered_hash: Vec<u8>,
    state: String,
    error: String,
    /// The bits of two doubles: percent, and bytes a second.
    download: Option<(u64, u64)>,
}

impl From<&PackageStatuses> for PackagesRow {
    fn from(statuses: &PackageStatuses) -> Self {
        Self {
            packages: statuses
                .packages
                .iter()
                .map(|(name, status)| (name.clone(), status.into()))
                .collect(),
            all_packages_hash: statuses.server_provided_all_packages_hash.clone(),
            error: statuses.error.clone(),
        }
    }
}

impl TryFrom<PackagesRow> for PackageStatuses {
    type Error = StoreError;

    fn try_from(row: PackagesRow) -> Result<Self, StoreError> {
        let packages = row
            .packages
            .into_iter()
            .map(|(name, package)| Ok((name, package.try_into()?)));
        Ok(Self {
            packages: packages.collect::<Result<_, StoreError>>()?,
            server_provided_all_packages_hash: row.all_packages_hash,
            error: row.error,
        })
    }
}

impl From<&PackageStatus> for PackageRow {
    fn from(status: &PackageStatus) -> Self {
        Self {
            has_version: status.agent_has_version.clone(),
            has_hash: status.agent_has_hash.clone(),
            offered_version: status.server_offered_version.clone(),
            offered_hash: status.server_offered_hash.clone(),
            state: status.state.as_str().to_owned(),
            error: status.error.clone(),
            download: status.download.map(|download| {
                (
                    download.percent.to_bits(),
                    download.bytes_per_second.to_bits(),
                )
            }),
        }
    }
}

impl TryFrom<PackageRow> for PackageStatus {
    type Error = StoreError;

    fn try_from(row: PackageRow) -> Result<Self, StoreError> {
        const STATES: [PackageState; 5] = [
            PackageState::Installed,
            PackageState::InstallPending,
            PackageState::Installing,
            PackageState::InstallFailed,
            PackageState::Downloading,
        ];
        let state = STATES.into_iter().find(|state| state.as_str() == row.state);
        Ok(Self {
            agent_has_version: row.has_version,
            agent_has_hash: row.has_hash,
            server_offered_version: row.offered_version,
            server_offered_hash: row.offered_hash,
            state: state.ok_or(StoreError::Corrupt {
                what: "package state",
            })?,
            error: row.error,
            download: row.download.map(|(percent, rate)| DownloadDetails {
                percent: f64::from_bits(percent),
                bytes_per_second: f64::from_bits(rate),
            }),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SettingsRow {
    last_hash: Vec<u8>,
    state: String,
    error: String,
}

impl From<&ConnectionSettingsStatus> for SettingsRow {
    fn from(status: &ConnectionSettingsStatus) -> Self {
        let state = status.state.as_str().to_owned();
        Self {
            last_hash: status.last_hash.clone(),
            state,
            error: status.error.clone(),
        }
    }
}

impl TryFrom<SettingsRow> for ConnectionSettingsStatus {
    type Error = StoreError;

    fn try_from(row: SettingsRow) -> Result<Self, StoreError> {
        let state = ApplyState::from_name(&row.state).ok_or(StoreError::Corrupt {
            what: "apply state",
        })?;
        Ok(Self {
            last_hash: row.last_hash,
            state,
            error: row.error,
        })
    }
}
