//! How what agents say is written into columns: JSON where it is structured, a small binary form for files.
//!
//! The forms are stored: fields may be added, never renamed or given another meaning.

mod files;
mod layers;
mod rows;
mod template;

use std::collections::BTreeMap;

use domain::Labels;
use domain::model::{
    AgentDescription, ApplyState, AvailableComponents, ComponentDetails, ConnectionSettingsStatus,
    CustomCapabilities, Health, PackageStatuses,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use files::{decode_files, encode_files};
pub(crate) use layers::{decode_layers, encode_layers};
use rows::{
    ComponentRow, DescriptionRow, HealthRoot, HealthRow, HealthView, PackagesRow, SettingsRow,
    components_from, components_to,
};

pub(crate) use template::{
    decode_template, decode_variables, encode_template, encode_variables,
};

use crate::StoreError;

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("rows of maps with text keys always serialize")
}

fn from_json<T: DeserializeOwned>(what: &'static str, text: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(text).map_err(|_| StoreError::Corrupt { what })
}

pub(crate) fn encode_labels(labels: &Labels) -> String {
    to_json(&labels.iter().collect::<BTreeMap<_, _>>())
}

pub(crate) fn decode_labels(text: &str) -> Result<Labels, StoreError> {
    if text == "{}" {
        return Ok(Labels::default());
    }
    from_json::<BTreeMap<String, String>>("labels", text.as_bytes()).map(Labels::from_iter)
}

pub(crate) fn encode_map(map: &BTreeMap<String, String>) -> String {
    to_json(map)
}

pub(crate) fn decode_map(text: &str) -> Result<BTreeMap<String, String>, StoreError> {
    from_json("map", text.as_bytes())
}

pub(crate) fn encode_health(tree: &Health) -> String {
    // Room for a component and its status each: a text that grows is copied again and again.
    let room = 64 * (1 + tree.components.len());
    let mut text = Vec::with_capacity(room);
    serde_json::to_writer(&mut text, &HealthView(tree))
        .expect("maps with text keys always serialize, and memory takes all of it");
    String::from_utf8(text).expect("JSON is UTF-8")
}

pub(crate) fn decode_health(text: &str) -> Result<Health, StoreError> {
    from_json::<HealthRow>("health", text.as_bytes()).map(Into::into)
}

/// Status and last error of a tree's root, without building the tree: lists read hundreds.
pub(crate) fn decode_health_root(text: &str) -> Result<(String, String), StoreError> {
    from_json::<HealthRoot>("health", text.as_bytes()).map(|root| (root.s, root.e))
}

pub(crate) fn encode_description(description: &AgentDescription) -> Vec<u8> {
    to_json(&DescriptionRow::from(description)).into_bytes()
}

pub(crate) fn decode_description(bytes: &[u8]) -> Result<AgentDescription, StoreError> {
    from_json::<DescriptionRow>("description", bytes).map(Into::into)
}

pub(crate) fn encode_components(components: &BTreeMap<String, ComponentDetails>) -> Vec<u8> {
    to_json(&components_from(components)).into_bytes()
}

pub(crate) fn decode_components(
    bytes: &[u8],
) -> Result<BTreeMap<String, ComponentDetails>, StoreError> {
    from_json::<BTreeMap<String, ComponentRow>>("components", bytes).map(components_to)
}

pub(crate) fn encode_packages(statuses: &PackageStatuses) -> String {
    to_json(&PackagesRow::from(statuses))
}

pub(crate) fn decode_packages(text: &str) -> Result<PackageStatuses, StoreError> {
    from_json::<PackagesRow>("package statuses", text.as_bytes())?.try_into()
}

pub(crate) fn encode_settings(status: &ConnectionSettingsStatus) -> String {
    to_json(&SettingsRow::from(status))
}

pub(crate) fn decode_settings(text: &str) -> Result<ConnectionSettingsStatus, StoreError> {
    from_json::<SettingsRow>("connection settings status", text.as_bytes())?.try_into()
}

pub(crate) fn encode_custom_capabilities(capabilities: &CustomCapabilities) -> String {
    to_json(&capabilities.0)
}

pub(crate) fn decode_custom_capabilities(text: &str) -> Result<CustomCapabilities, StoreError> {
    from_json("custom capabilities", text.as_bytes()).map(CustomCapabilities)
}

pub(crate) fn decode_apply_state(text: &str) -> Result<ApplyState, StoreError> {
    ApplyState::from_name(text).ok_or(StoreError::Corrupt {
        what: "apply state",
    })
}

/// An inventory of which the components are stored apart.
pub(crate) fn inventory(
    hash: &[u8],
    components: Option<Vec<u8>>,
) -> Result<AvailableComponents, StoreError> {
    let components = components
        .map(|bytes| decode_components(&bytes))
        .transpose()?;
    Ok(AvailableComponents {
        hash: hash.to_vec(),
        components,
    })
}

#[cfg(test)]
mod tests;
