//! The dry run, a custom capability of ours: an agent checks a configuration that it is not to apply.

use std::fmt;

use crate::ConfigMap;

/// The name of the capability.
pub const DRY_RUN: &str = "io.opamp-rs.dry-run/1";

/// The largest configuration that is asked about, in bytes of its files' names and bodies: of a plan's hundred agents
/// each is sent a copy at the same time.
pub const DRY_RUN_CONFIG_BYTES: usize = 1 << 20;

/// Tells a question from all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DryRunId([u8; 16]);

/// What a server asks: would the agent's own program take this?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunQuestion {
    /// Of this question.
    pub id: DryRunId,
    /// The configuration, as it would be offered.
    pub config: ConfigMap,
    /// Its hash, as it would be offered; the answer has it again.
    pub hash: Vec<u8>,
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunAnswer {
    /// Of the question.
    pub id: DryRunId,
    /// The configuration's hash, as it was asked.
    pub hash: Vec<u8>,
    /// What came of it.
    pub outcome: DryRunOutcome,
}

/// What came of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRunOutcome {
    /// The program would take it.
    Accepted,
    /// The program refuses it, for this reason.
    Refused(String),
    /// Nobody knows: it could not be checked, for this reason.
    Failed(String),
}

impl DryRunId {
    /// The first in their order.
    pub const MIN: Self = Self([0; 16]);
    /// The last in their order.
    pub const MAX: Self = Self([u8::MAX; 16]);

    /// Wraps 16 bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads the wire form: exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for DryRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DryRunId({:032x})", u128::from_be_bytes(self.0))
    }
}

/// What counts against [`DRY_RUN_CONFIG_BYTES`].
pub fn dry_run_bytes(config: &ConfigMap) -> usize {
    config
        .iter()
        .map(|(name, file)| name.len() + file.body.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConfigFile, CustomCapabilities};

    #[test]
    fn cu_02_the_capability_has_a_name_as_the_protocol_wants_it() {
        assert!(CustomCapabilities::is_name(DRY_RUN));
    }

    #[test]
    fn an_id_has_16_bytes() {
        let id = DryRunId::new([7; 16]);
        assert_eq!(DryRunId::from_slice(id.as_bytes()), Some(id));
        assert_eq!(DryRunId::from_slice(&[7; 15]), None);
        assert_eq!(DryRunId::from_slice(&[]), None);
    }

    #[test]
    fn names_and_bodies_count() {
        let config = ConfigMap::from([("a.yaml".into(), ConfigFile::new("b: 1", "text/yaml"))]);
        assert_eq!(dry_run_bytes(&config), 10);
    }
}
