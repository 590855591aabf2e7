//! What became of connection settings that a server offered.

use crate::ApplyState;

/// What became of the last connection settings. Spec: "ConnectionSettingsStatus Message".
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConnectionSettingsStatus {
    /// The hash of the offer this speaks of, as the server gave it.
    pub last_hash: Vec<u8>,
    /// How far it came.
    pub state: ApplyState,
    /// Why it failed; empty otherwise.
    pub error: String,
}
