//! What an agent reports, kept encoded, and what of it the server does not know yet.

use opamp_model::{AgentCapabilities, Digest, ServerCapabilities};
use prost::Message;

use crate::canonical::digest_bytes;

/// The parts of a status report, by their field numbers in `AgentToServer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Description = 3,
    Health = 5,
    EffectiveConfig = 6,
    RemoteConfigStatus = 7,
    PackageStatuses = 8,
    CustomCapabilities = 12,
    AvailableComponents = 14,
    ConnectionSettingsStatus = 15,
}

/// A part of a report that was left out because it does not fit in a message.
///
/// It is not tried again until it changes. Spec: "WebSocket Message Size Limits".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedPart {
    /// The part's name in the schema.
    pub part: &'static str,
    /// The part's size in bytes.
    pub bytes: usize,
    /// The limit on the whole message in bytes.
    pub limit_bytes: usize,
}

/// One part: its newest content, and a digest of what was sent last.
#[derive(Debug, Default)]
struct Slot {
    encoded: Option<Vec<u8>>,
    sent: Option<Digest>,
    dirty: bool,
}

/// All parts of an agent's status.
#[derive(Debug, Default)]
pub(super) struct Status {
    slots: [Slot; Part::ALL.len()],
}

impl Part {
    pub(super) const ALL: [Self; 8] = [
        Self::Description,
        Self::Health,
        Self::EffectiveConfig,
        Self::RemoteConfigStatus,
        Self::PackageStatuses,
        Self::CustomCapabilities,
        Self::AvailableComponents,
        Self::ConnectionSettingsStatus,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Description => "agent_description",
            Self::Health => "health",
            Self::EffectiveConfig => "effective_config",
            Self::RemoteConfigStatus => "remote_config_status",
            Self::PackageStatuses => "package_statuses",
            Self::CustomCapabilities => "custom_capabilities",
            Self::AvailableComponents => "available_components",
            Self::ConnectionSettingsStatus => "connection_settings_status",
        }
    }

    /// What the agent must claim to report this part.
    fn agent_gate(self) -> AgentCapabilities {
        match self {
            Self::Description | Self::CustomCapabilities => AgentCapabilities::NONE,
            Self::Health => AgentCapabilities::REPORTS_HEALTH,
            Self::EffectiveConfig => AgentCapabilities::REPORTS_EFFECTIVE_CONFIG,
            Self::RemoteConfigStatus => AgentCapabilities::REPORTS_REMOTE_CONFIG,
            Self::PackageStatuses => AgentCapabilities::REPORTS_PACKAGE_STATUSES,
            Self::AvailableComponents => AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS,
            Self::ConnectionSettingsStatus => AgentCapabilities::REPORTS_CONNECTION_SETTINGS_STATUS,
        }
    }

    /// What the server must claim to be sent this part.
    fn server_gate(self) -> ServerCapabilities {
        match self {
            Self::EffectiveConfig => ServerCapabilities::ACCEPTS_EFFECTIVE_CONFIG,
            Self::PackageStatuses => ServerCapabilities::ACCEPTS_PACKAGES_STATUS,
            _ => ServerCapabilities::NONE,
        }
    }
}

/// Which parts may travel at all: both sides' capabilities. Before the server has spoken, nothing
/// is known of it, and nothing is held back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    pub(super) agent: AgentCapabilities,
    pub(super) server: Option<ServerCapabilities>,
}

impl Gate {
    fn admits(self, part: Part) -> bool {
        let server = self.server.unwrap_or(ServerCapabilities::ALL);
        self.agent.contains(part.agent_gate()) && server.contains(part.server_gate())
    }
}

impl Status {
    /// Takes a part's new content.
    pub(super) fn set(&mut self, part: Part, content: &impl Message) {
        let slot = self.slot_mut(part);
        let encoded = content.encode_to_vec();
        if slot.encoded.as_ref() == Some(&encoded) {
            return;
        }
        slot.dirty = slot.sent != Some(digest_bytes(&encoded));
        slot.encoded = Some(encoded);
    }

    pub(super) fn get(&self, part: Part) -> Option<&[u8]> {
        self.slots[part.index()].encoded.as_deref()
    }

    /// Whether there is something the server does not know and may be told.
    pub(super) fn has_news(&self, gate: Gate) -> bool {
        Part::ALL
            .into_iter()
            .any(|part| self.slots[part.index()].dirty && gate.admits(part))
    }

    /// The parts to send: those that changed, or with `full` all that there are.
    pub(super) fn due(&self, gate: Gate, full: bool) -> impl Iterator<Item = (Part, &[u8])> {
        Part::ALL.into_iter().filter_map(move |part| {
            let slot = &self.slots[part.index()];
            let encoded = slot
                .encoded
                .as_deref()
                .filter(|_| (full || slot.dirty) && gate.admits(part))?;
            Some((part, encoded))
        })
    }

    /// Notes that a part's present content was sent, or never will be.
    pub(super) fn mark_sent(&mut self, part: Part) {
        let slot = self.slot_mut(part);
        slot.sent = slot.encoded.as_deref().map(digest_bytes);
        slot.dirty = false;
    }

    /// Has a part sent again, if there is one.
    pub(super) fn repeat(&mut self, part: Part) {
        let slot = self.slot_mut(part);
        slot.dirty = slot.encoded.is_some();
    }

    fn slot_mut(&mut self, part: Part) -> &mut Slot {
        &mut self.slots[part.index()]
    }
}

impl Part {
    fn index(self) -> usize {
        Self::ALL
            .into_iter()
            .position(|part| part == self)
            .expect("all parts are listed")
    }
}
