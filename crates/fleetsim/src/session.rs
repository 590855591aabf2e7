//! The agent's side of the protocol, lean: what one simulated agent knows, says and owes.
//!
//! The same rules as `opamp::client::ClientSession`, without its generality: no message tree, no
//! queue, nothing allocated for an agent that has nothing to report. It decides and writes bytes;
//! connections, time and randomness come from outside.

use std::{sync::Arc, time::Duration};

use crate::{
    behavior::Vanish,
    profile::{AgentProfile, FleetProfile},
    wire::{
        answer::{
            Answer, Offer, REPORT_AVAILABLE_COMPONENTS, REPORT_FULL_STATE, Refusal, RetryAfter,
        },
        content::Content,
        encode,
    },
};

/// What the agent does with the last config it was offered (`RemoteConfigStatuses`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConfigStatus {
    /// None was offered yet.
    #[default]
    Unset,
    /// It runs.
    Applied,
    /// It is being applied.
    Applying,
    /// It was refused, or did not start.
    Failed,
}

impl ConfigStatus {
    fn code(self) -> u64 {
        match self {
            Self::Unset => 0,
            Self::Applied => 1,
            Self::Applying => 2,
            Self::Failed => 3,
        }
    }
}

/// What the agent still has to tell, as a set of bits.
mod part {
    pub(super) const DESCRIPTION: u8 = 1;
    pub(super) const HEALTH: u8 = 2;
    pub(super) const EFFECTIVE: u8 = 4;
    pub(super) const STATUS: u8 = 8;
    pub(super) const COMPONENTS: u8 = 16;
    /// The component list itself, not only its hash.
    pub(super) const COMPONENTS_FULL: u8 = 32;
    pub(super) const EVERYTHING: u8 = DESCRIPTION | HEALTH | EFFECTIVE | STATUS | COMPONENTS;
}

/// `AgentCapabilities`: status, remote config and its status, effective config, restart command,
/// health, heartbeats, components.
const CAPABILITIES: u64 = 0x1 | 0x2 | 0x4 | 0x400 | 0x800 | 0x1000 | 0x2000 | 0x4000;
/// Of `ServerCapabilities`: the server takes effective configurations.
const ACCEPTS_EFFECTIVE_CONFIG: u64 = 0x4;

/// One simulated agent's conversation; it outlives connections.
#[derive(Debug)]
pub(crate) struct Session {
    uid: [u8; 16],
    sequence: u64,
    owed: u8,
    /// All set until the server says what it can do.
    server_capabilities: u64,
    status: ConfigStatus,
    /// `config_hash` of the last offer, echoed.
    offered_hash: Box<[u8]>,
    /// The config it runs, unless that is its own.
    running: Option<Arc<Content>>,
    running_hash: Box<[u8]>,
    applying: Option<Arc<Content>>,
    failing_component: Option<usize>,
    started_ns: u64,
    version: u64,
}

/// What a message from the server asks of the connection's owner, beside sending what is owed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing.
    Stay,
    /// Call [`Session::finish_applying`] after this time.
    ApplyAfter(Duration),
    /// Drop the connection without a word.
    Vanish(Vanish),
    /// The server is overloaded: leave, and come back later.
    Leave(RetryAfter),
    /// The server refused a message, which is not sent again.
    Refused(String),
}

impl Session {
    /// An agent that has just started and has told nothing.
    pub(crate) fn new(uid: [u8; 16], started_ns: u64) -> Self {
        Self {
            uid,
            sequence: 0,
            owed: part::EVERYTHING,
            server_capabilities: u64::MAX,
            status: ConfigStatus::Unset,
            offered_hash: Box::default(),
            running: None,
            running_hash: Box::default(),
            applying: None,
            failing_component: None,
            started_ns,
            version: 0,
        }
    }

    /// Whether there is anything to report.
    pub(crate) fn owes(&self) -> bool {
        self.owed != 0
    }

    /// Writes one `AgentToServer` with all that is owed: at least uid, sequence and capabilities.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, agent: &AgentProfile<'_>, now_ns: u64) {
        self.sequence += 1;
        let mut owed = std::mem::take(&mut self.owed);
        if self.server_capabilities & ACCEPTS_EFFECTIVE_CONFIG == 0 {
            owed &= !part::EFFECTIVE;
        }
        encode::bytes(out, 1, &self.uid);
        encode::uint(out, 2, self.sequence);
        if owed & part::DESCRIPTION != 0 {
            encode::message(out, 3, |description| agent.write_description(description));
        }
        encode::uint(out, 4, CAPABILITIES);
        if owed & part::HEALTH != 0 {
            self.write_health(out, agent.fleet, now_ns);
        }
        if owed & part::EFFECTIVE != 0 {
            self.write_effective(out, agent);
        }
        if owed & part::STATUS != 0 && self.status != ConfigStatus::Unset {
            encode::message(out, 7, |status| self.write_status(status, agent));
        }
        if owed & (part::COMPONENTS | part::COMPONENTS_FULL) != 0 {
            let components = &agent.fleet.components;
            encode::message(out, 14, |available| match owed & part::COMPONENTS_FULL {
                0 => components.write_hash(available),
                _ => components.write_full(available),
            });
        }
    }

    /// Writes the last message of a connection that the agent closes itself.
    pub(crate) fn write_goodbye(&mut self, out: &mut Vec<u8>) {
        self.sequence += 1;
        encode::bytes(out, 1, &self.uid);
        encode::uint(out, 2, self.sequence);
        encode::uint(out, 4, CAPABILITIES);
        encode::bytes(out, 9, &[]);
    }

    /// Takes a message from the server.
    pub(crate) fn receive(
        &mut self,
        answer: Answer,
        agent: &AgentProfile<'_>,
        now_ns: u64,
    ) -> Reaction {
        if let Some(Refusal {
            message,
            unavailable,
        }) = answer.error
        {
            return unavailable.map_or(Reaction::Refused(message), Reaction::Leave);
        }
        if answer.restart {
            self.started_ns = now_ns;
            self.owed |= part::HEALTH;
            return Reaction::Stay;
        }
        if answer.capabilities != 0 {
            self.server_capabilities = answer.capabilities;
        }
        if let Some(uid) = answer.new_uid {
            self.uid = uid;
            self.version += 1;
        }
        if answer.flags & REPORT_FULL_STATE != 0 {
            self.owed |= part::EVERYTHING;
        }
        if answer.flags & REPORT_AVAILABLE_COMPONENTS != 0 {
            self.owed |= part::COMPONENTS_FULL;
        }
        answer
            .offer
            .map_or(Reaction::Stay, |offer| self.take_offer(offer, agent))
    }

    fn take_offer(&mut self, offer: Offer, agent: &AgentProfile<'_>) -> Reaction {
        let known = self.offered_hash == offer.hash && self.status != ConfigStatus::Failed;
        let (false, Some(content)) = (known, offer.content) else {
            return Reaction::Stay;
        };
        let behavior = agent.behavior();
        if let Some(vanish) = behavior.and_then(|behavior| behavior.vanish) {
            return Reaction::Vanish(vanish);
        }
        self.offered_hash = offer.hash;
        self.applying = Some(content);
        self.status = ConfigStatus::Applying;
        self.owed |= part::STATUS;
        self.version += 1;
        match behavior.and_then(|behavior| behavior.apply_after) {
            Some(delay) => Reaction::ApplyAfter(delay),
            None => {
                self.finish_applying(agent);
                Reaction::Stay
            }
        }
    }

    /// Ends the applying of the last offer: it runs, or it is rejected.
    pub(crate) fn finish_applying(&mut self, agent: &AgentProfile<'_>) {
        let Some(content) = self.applying.take() else {
            return;
        };
        self.owed |= part::STATUS;
        self.version += 1;
        if agent.rejection().is_some() {
            self.status = ConfigStatus::Failed;
            return;
        }
        self.status = ConfigStatus::Applied;
        self.running_hash.clone_from(&self.offered_hash);
        self.running = Some(content);
        if agent.fleet.effective_follows_offer {
            self.owed |= part::EFFECTIVE;
        }
    }

    /// Reports health again: only its times are new.
    pub(crate) fn touch_health(&mut self) {
        self.owed |= part::HEALTH;
    }

    /// Names the component that is not well, or none; reported when it is news.
    pub(crate) fn set_failing(&mut self, component: Option<usize>) {
        if self.failing_component != component {
            self.failing_component = component;
            self.owed |= part::HEALTH;
            self.version += 1;
        }
    }

    /// The component that is not well, if one is.
    pub(crate) fn failing(&self) -> Option<usize> {
        self.failing_component
    }

    /// The uid it goes by now.
    pub(crate) fn uid(&self) -> [u8; 16] {
        self.uid
    }

    /// The number of its last message.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Grows whenever uid, config or health change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Hash of the last offer and what became of it.
    pub(crate) fn status(&self) -> (&[u8], ConfigStatus) {
        (&self.offered_hash, self.status)
    }

    /// Hash of the offered config that it runs; empty while it runs its own.
    pub(crate) fn running_hash(&self) -> &[u8] {
        &self.running_hash
    }

    /// The effective configuration as an encoded `AgentConfigMap`.
    pub(crate) fn write_effective_map(&self, out: &mut Vec<u8>, agent: &AgentProfile<'_>) {
        let follows = agent.fleet.effective_follows_offer;
        match &self.running {
            Some(content) if follows && !content.encoded().is_empty() => {
                out.extend_from_slice(content.encoded());
            }
            _ => agent.write_own_config(out),
        }
    }

    fn write_effective(&self, out: &mut Vec<u8>, agent: &AgentProfile<'_>) {
        encode::message(out, 6, |effective| {
            encode::message(effective, 1, |map| self.write_effective_map(map, agent));
        });
    }

    fn write_health(&self, out: &mut Vec<u8>, fleet: &FleetProfile, now_ns: u64) {
        let length = fleet.health.len(self.failing_component);
        encode::header(out, 5, length);
        fleet
            .health
            .write(out, self.failing_component, self.started_ns, now_ns);
    }

    fn write_status(&self, out: &mut Vec<u8>, agent: &AgentProfile<'_>) {
        encode::bytes(out, 1, &self.offered_hash);
        encode::uint(out, 2, self.status.code());
        if self.status == ConfigStatus::Failed {
            encode::text(out, 3, agent.rejection().unwrap_or("refused"));
        }
    }
}

#[cfg(test)]
mod tests;
