//! The components that an agent is built of.

use std::collections::BTreeMap;

use crate::Attribute;

/// An agent's inventory of components. Spec: "AvailableComponents Message".
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AvailableComponents {
    /// A hash that the agent made over the inventory; agents that are built alike report the same.
    pub hash: Vec<u8>,
    /// The inventory by unique component id, or nothing where only the hash was sent.
    pub components: Option<BTreeMap<String, ComponentDetails>>,
}

/// One component and its parts.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ComponentDetails {
    /// Descriptive attributes.
    pub metadata: Vec<Attribute>,
    /// Parts by id, to any depth.
    pub sub_components: BTreeMap<String, ComponentDetails>,
}
