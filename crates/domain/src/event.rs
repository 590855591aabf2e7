//! Events: what happened to agents and to the control plane, in one order, for people and for gates.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::ids::{AgentId, EventId, Namespace};

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $kind:ident => $text:literal,)*) => {
        /// What an event is about; its text form is stored, streamed and searched for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind { $($(#[$doc])* $kind,)* }

        impl EventKind {
            /// Every kind there is.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The stable text form, for example `agent_connected`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $text,)* }
            }

            /// Reads the text form.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$kind),)* _ => None }
            }
        }
    };
}

event_kinds! {
    /// An agent was seen for the first time.
    AgentCreated => "agent_created",
    /// An agent opened a session.
    AgentConnected => "agent_connected",
    /// An agent's session ended, or it went silent.
    AgentDisconnected => "agent_disconnected",
    /// An agent was replaced by a new instance of the same process (its start time changed).
    AgentRestarted => "agent_restarted",
    /// An agent turned healthy.
    AgentHealthy => "agent_healthy",
    /// An agent turned unhealthy.
    AgentUnhealthy => "agent_unhealthy",
    /// An agent's labels changed.
    AgentLabelsChanged => "agent_labels_changed",
    /// A pending agent was approved, or an approved one put back.
    AgentApprovalChanged => "agent_approval_changed",
    /// An agent was deleted or forgotten.
    AgentDeleted => "agent_deleted",
    /// A command was sent to an agent.
    AgentCommandSent => "agent_command_sent",
    /// A config was offered to an agent.
    ConfigSent => "config_sent",
    /// An agent applied the config it was offered.
    ConfigApplied => "config_applied",
    /// An agent could not apply the config it was offered.
    ConfigFailed => "config_failed",
    /// A revision of a config was made.
    RevisionCreated => "revision_created",
    /// A config was deleted.
    ConfigDeleted => "config_deleted",
    /// A rollout started.
    RolloutStarted => "rollout_started",
    /// A rollout reached its end.
    RolloutCompleted => "rollout_completed",
    /// A rollout was ended before it was complete.
    RolloutAborted => "rollout_aborted",
    /// A hold was put on or lifted.
    HoldChanged => "hold_changed",
    /// A commit of the config source was applied.
    ConfigSourceApplied => "config_source_applied",
    /// A commit of the config source was refused whole.
    ConfigSourceRefused => "config_source_refused",
    /// The config source could not be fetched or applied; told once, until the reason changes.
    ConfigSourceFailed => "config_source_failed",
}

/// Something that happened and has no place in the order yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The namespace it belongs to.
    pub namespace: Namespace,
    /// The agent it is about, if it is about one.
    pub agent: Option<AgentId>,
    /// When it happened.
    pub at: Timestamp,
    /// What it is about.
    pub kind: EventKind,
    /// Facts by name, for example `reason` or `config_hash`; never secret.
    pub detail: BTreeMap<String, String>,
}

/// Something that happened, in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order.
    pub id: EventId,
    /// The namespace it belongs to.
    pub namespace: Namespace,
    /// The agent it is about, if it is about one.
    pub agent: Option<AgentId>,
    /// When it happened.
    pub at: Timestamp,
    /// What it is about.
    pub kind: EventKind,
    /// Facts by name.
    pub detail: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_its_own_text() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(EventKind::parse("nonsense"), None);
    }
}
