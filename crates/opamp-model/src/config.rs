//! Configurations as the protocol carries them, and what became of one.

use std::collections::BTreeMap;

/// Named files or sections of one configuration; names are unique, and a sole one may be empty.
///
/// Spec: "Configuration Files".
pub type ConfigMap = BTreeMap<String, ConfigFile>;

/// One file or section: opaque bytes with an optional MIME type.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConfigFile {
    /// The bytes, in an encoding that is the agent's own affair.
    pub body: Vec<u8>,
    /// MIME type such as `text/yaml`; may be empty.
    pub content_type: String,
}

/// How far an offer came: `RemoteConfigStatuses` and `ConnectionSettingsStatuses` of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ApplyState {
    /// Nothing said.
    #[default]
    Unset,
    /// In use.
    Applied,
    /// In progress.
    Applying,
    /// Refused or undone; the status says why.
    Failed,
}

/// What became of the last remote configuration. Spec: "RemoteConfigStatus Message".
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RemoteConfigStatus {
    /// The hash of the offer this speaks of, as the server gave it.
    pub last_hash: Vec<u8>,
    /// How far it came.
    pub state: ApplyState,
    /// Why it failed; empty otherwise.
    pub error: String,
}

impl ConfigFile {
    /// A file of these bytes and this MIME type.
    pub fn new(body: impl Into<Vec<u8>>, content_type: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            content_type: content_type.into(),
        }
    }
}

impl ApplyState {
    /// Stable lower-case name for storage and display.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Applied => "applied",
            Self::Applying => "applying",
            Self::Failed => "failed",
        }
    }

    /// The state with this [`as_str`](Self::as_str) name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Unset, Self::Applied, Self::Applying, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}
