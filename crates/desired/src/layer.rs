//! One released revision as it applies to an agent, and the key under which a merge is kept.

use std::fmt;

use domain::{ConfigName, ContentHash, Revision, RevisionNumber};
use sha2::{Digest, Sha256};

/// One released revision as it applies to an agent.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// Its config.
    pub config: &'a ConfigName,
    /// Its number.
    pub revision: RevisionNumber,
    /// Its place: the higher merges later and wins; among equals the config's name decides.
    pub priority: i64,
    /// The SHA-256 of the body.
    pub sha256: ContentHash,
    /// The body, byte for byte as written.
    pub body: &'a [u8],
}

impl<'a> From<&'a Revision> for Layer<'a> {
    fn from(revision: &'a Revision) -> Self {
        Self {
            config: &revision.config,
            revision: revision.number,
            priority: revision.priority,
            sha256: revision.sha256,
            body: &revision.body,
        }
    }
}

/// What the inputs of a merge are, in 32 bytes: equal keys, equal desired content.
///
/// It is stored, so its form is fixed:
/// `SHA-256("opamp-desired-inputs-v1\n" ‖ (length ‖ config name ‖ revision ‖ SHA-256 of body)*)` over the
/// layers in the order in which they merge, numbers as 8 bytes in big-endian order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputsKey([u8; 32]);

impl InputsKey {
    /// A key as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for InputsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InputsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputsKey({self})")
    }
}

/// The key of these layers, whatever order they are given in. It does not look at the bodies.
///
/// Priorities are not part of it beyond the order that they make.
pub fn inputs_key(layers: &[Layer<'_>]) -> InputsKey {
    let mut hasher = Sha256::new();
    hasher.update(b"opamp-desired-inputs-v1\n");
    for layer in in_order(layers) {
        let name = layer.config.as_str();
        hasher.update((name.len() as u64).to_be_bytes());
        hasher.update(name);
        hasher.update(layer.revision.0.to_be_bytes());
        hasher.update(layer.sha256.as_bytes());
    }
    InputsKey(hasher.finalize().into())
}

/// Ascending (priority, name): the later wins.
pub(crate) fn in_order<'a>(layers: &[Layer<'a>]) -> Vec<Layer<'a>> {
    let mut ordered = layers.to_vec();
    ordered.sort_by_key(|layer| (layer.priority, layer.config));
    ordered
}
