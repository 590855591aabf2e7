//! What a received message is and what it changes.

use opamp_model::{
    AgentCapabilities, AvailableComponents, Changes, CustomCapabilities, Digest, Health,
    HealthReport, HealthTimes, InstanceUid, InvalidInstanceUid, WireState, WireUid,
};
use prost::Message;

use super::parts::{Part, Parts};
use super::sequence;
use crate::canonical::{digest, digest_bytes, digest_with_times};
use crate::fields::Fields;
use crate::shape::{self, Shape};
use crate::{Limits, Malformed, proto};

/// The parts of a message that tell whose it is, read without decoding the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The sender, in its own spelling; not every peer sends 16 bytes.
    pub uid: Result<WireUid, InvalidInstanceUid>,
    /// The message's number.
    pub sequence_num: u64,
    /// What the agent claims; empty where the message does not say.
    pub capabilities: AgentCapabilities,
    /// Whether the agent asks for an instance uid.
    pub requests_uid: bool,
    /// Whether this is the agent's last message of the session.
    pub disconnecting: bool,
}

/// What a message changed and what the answer must ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The sender.
    pub uid: InstanceUid,
    /// What changed.
    pub changes: Changes,
    /// Whether the answer must set ReportFullState: a gap in the numbers, or state never seen.
    pub full_state_needed: bool,
    /// Whether the message carried `remote_config_status`, changed or not: the answer then carries
    /// the remote configuration if the hashes differ.
    pub carried_status: bool,
    /// Whether the answer should ask for the component map, if it is not known by its hash.
    pub components_wanted: bool,
    /// Whether the agent takes remote configs as deltas, where the message tells: it announces what it is capable of,
    /// changed or not, or it is asked for everything because what was known of it may be of another process.
    pub takes_deltas: Option<bool>,
    /// Whether the message has the number of the one before it: probably the agent sent it again
    /// for want of an answer. Answer it, but do not act twice on what it asks.
    pub repeated: bool,
}

/// Reads the sender and the fixed parts of a message.
///
/// # Errors
/// [`Malformed`] when the bytes are no protobuf.
pub fn peek(bytes: &[u8]) -> Result<Peek, Malformed> {
    let parts = Parts::read(bytes)?;
    Ok(Peek {
        uid: WireUid::from_slice(parts.uid),
        sequence_num: parts.sequence_num,
        capabilities: parts.capabilities(),
        requests_uid: parts.requests_uid(),
        disconnecting: parts.get(Part::Disconnect).is_some(),
    })
}

/// Takes a message into the wire state and tells what it changed.
///
/// `bytes` is the bare protobuf, without the WebSocket header byte. Each part of the status is
/// hashed, and decoded only if its digest differs from that in the wire state.
///
/// # Errors
/// [`Malformed`] with the reason; the wire state is then untouched.
///
/// ```
/// use opamp::model::{AgentCapabilities, InstanceUid, WireState};
/// use opamp::{Limits, client, server};
/// use std::time::Instant;
///
/// let uid = InstanceUid::new([7; 16]);
/// let mut agent = client::ClientSession::new(client::SessionOptions::new(uid, AgentCapabilities::NONE));
/// agent.connected(client::Mode::Stream, Instant::now());
/// let message = agent.poll_send(Instant::now()).expect("the first report is due at once");
///
/// let mut wire = WireState::default();
/// let received = server::receive(&mut wire, &message, &Limits::SERVER)?;
/// assert_eq!(received.uid, uid);
/// assert!(received.full_state_needed, "the agent did not describe itself");
/// # Ok::<(), opamp::Malformed>(())
/// ```
pub fn receive(wire: &mut WireState, bytes: &[u8], limits: &Limits) -> Result<Received, Malformed> {
    if limits.message_bytes < bytes.len() {
        return Err(too_large("message", bytes, limits.message_bytes));
    }
    let parts = Parts::read(bytes)?;
    let uid = WireUid::from_slice(parts.uid).map_err(Malformed::InstanceUid)?;
    let mut next = *wire;
    let changes = Receiver {
        parts: &parts,
        limits,
    }
    .changes(&mut next)?;
    let repeated = wire.sequence_num == Some(parts.sequence_num);
    let full_state_needed = sequence::advance(&mut next, &parts, changes.has_status());
    let components_wanted = sequence::wants_components(&mut next);
    // Whoever is asked for everything says this again, too.
    let takes_deltas = takes_deltas(&parts)?.or_else(|| full_state_needed.then_some(false));
    let carried_status = parts.get(Part::RemoteConfigStatus).is_some();
    *wire = next;
    Ok(Received {
        uid: uid.uid(),
        changes,
        full_state_needed,
        carried_status,
        components_wanted,
        takes_deltas,
        repeated,
    })
}

/// Takes the number of a message that [`receive`] refused into the wire state, so that the next one is not taken for the
/// end of a gap. What the message said is unknown: full state is due, but is asked for again as rarely as if the agent
/// had not answered an ask, because its answer may be refused for the same reason.
pub fn skip(wire: &mut WireState, bytes: &[u8]) {
    if let Ok(parts) = Parts::read(bytes) {
        sequence::skip(wire, parts.sequence_num);
    }
}

/// Whether the capability is among those that the message announces, if it announces any.
fn takes_deltas(parts: &Parts<'_>) -> Result<Option<bool>, Malformed> {
    let Some(bytes) = parts.get(Part::CustomCapabilities) else {
        return Ok(None);
    };
    let mut named = false;
    for field in Fields::new(bytes) {
        let field = field?;
        named |= field.number == 1 && field.bytes()? == CustomCapabilities::DELTA.as_bytes();
    }
    Ok(Some(named))
}

fn too_large(part: &'static str, bytes: &[u8], limit_bytes: usize) -> Malformed {
    Malformed::TooLarge {
        part,
        bytes: bytes.len(),
        limit_bytes,
    }
}

struct Receiver<'p> {
    parts: &'p Parts<'p>,
    limits: &'p Limits,
}

impl Receiver<'_> {
    fn changes(&self, wire: &mut WireState) -> Result<Changes, Malformed> {
        let mut changes = Changes {
            capabilities: self.capabilities(wire),
            health: self.health(wire)?,
            disconnecting: self.parts.get(Part::Disconnect).is_some(),
            requests_uid: self.parts.requests_uid(),
            ..Changes::default()
        };
        if self.parts.has_more_than_health() {
            self.description_and_config(wire, &mut changes)?;
            self.statuses(wire, &mut changes)?;
            self.messages(&mut changes)?;
        }
        Ok(changes)
    }

    /// No bits stand for a message that left them out: a claimed set always has ReportsStatus.
    fn capabilities(&self, wire: &mut WireState) -> Option<AgentCapabilities> {
        let claimed = self.parts.capabilities();
        if claimed.is_empty() || claimed == wire.capabilities {
            return None;
        }
        wire.capabilities = claimed;
        Some(claimed)
    }

    fn health(&self, wire: &mut WireState) -> Result<Option<HealthReport>, Malformed> {
        let Some(bytes) = self.parts.get(Part::Health) else {
            return Ok(None);
        };
        let (digest, times) = digest_with_times(&shape::HEALTH, bytes, self.limits)?;
        let times = HealthTimes::new(times);
        if digest == wire.health {
            return Ok(Some(HealthReport { tree: None, times }));
        }
        let health: proto::ComponentHealth = self.decode(&shape::HEALTH, bytes)?;
        let mut tree = Health::from(health);
        let times = tree.split_times();
        wire.health = digest;
        Ok(Some(HealthReport {
            tree: Some(tree),
            times,
        }))
    }

    fn description_and_config(
        &self,
        wire: &mut WireState,
        changes: &mut Changes,
    ) -> Result<(), Malformed> {
        let limit = self.limits.description_bytes;
        self.bounded(Part::Description, "description", limit)?;
        changes.description = self.changed::<proto::AgentDescription, _>(
            Part::Description,
            &shape::DESCRIPTION,
            &mut wire.description,
        )?;
        let limit = self.limits.effective_config_bytes;
        self.bounded(Part::EffectiveConfig, "effective configuration", limit)?;
        let effective: Option<proto::EffectiveConfig> = self.changed(
            Part::EffectiveConfig,
            &shape::EFFECTIVE_CONFIG,
            &mut wire.effective_config,
        )?;
        changes.effective_config =
            effective.map(|config| config.config_map.unwrap_or_default().into());
        changes.available_components = self.components(wire)?;
        Ok(())
    }

    fn statuses(&self, wire: &mut WireState, changes: &mut Changes) -> Result<(), Malformed> {
        changes.remote_config_status = self.changed::<proto::RemoteConfigStatus, _>(
            Part::RemoteConfigStatus,
            &shape::FLAT,
            &mut wire.remote_config_status,
        )?;
        changes.package_statuses = self.changed::<proto::PackageStatuses, _>(
            Part::PackageStatuses,
            &shape::PACKAGE_STATUSES,
            &mut wire.package_statuses,
        )?;
        changes.custom_capabilities = self.changed::<proto::CustomCapabilities, _>(
            Part::CustomCapabilities,
            &shape::CUSTOM_CAPABILITIES,
            &mut wire.custom_capabilities,
        )?;
        if let Some(CustomCapabilities(names)) = &mut changes.custom_capabilities {
            names.retain(|name| CustomCapabilities::is_name(name));
        }
        changes.connection_settings_status = self.changed::<proto::ConnectionSettingsStatus, _>(
            Part::ConnectionSettingsStatus,
            &shape::FLAT,
            &mut wire.connection_settings_status,
        )?;
        Ok(())
    }

    /// An inventory is known by the agent's own hash: an unchanged hash is unchanged content, and
    /// only the map that was missing is news. Without a hash the content itself counts.
    fn components(&self, wire: &mut WireState) -> Result<Option<AvailableComponents>, Malformed> {
        let Some(bytes) = self.parts.get(Part::AvailableComponents) else {
            return Ok(None);
        };
        let outline = ComponentsOutline::read(bytes)?;
        let digest = match outline.hash {
            [] => digest(&shape::COMPONENTS, bytes, self.limits)?,
            hash => digest_bytes(hash),
        };
        let new_map = outline.has_map && wire.components_known != digest;
        if digest == wire.components_hash && !new_map {
            return Ok(None);
        }
        let components: proto::AvailableComponents = self.decode(&shape::COMPONENTS, bytes)?;
        if digest != wire.components_hash {
            wire.components_hash = digest;
            wire.components_asks = 0;
        }
        if outline.has_map {
            wire.components_known = digest;
        }
        Ok(Some(components.into()))
    }

    fn messages(&self, changes: &mut Changes) -> Result<(), Malformed> {
        if let Some(bytes) = self.parts.get(Part::CustomMessage) {
            let message: proto::CustomMessage = self.decode(&shape::FLAT, bytes)?;
            changes.custom_message = Some(message.into());
        }
        if let Some(bytes) = self.parts.get(Part::ConnectionSettingsRequest) {
            let request: proto::ConnectionSettingsRequest = self.decode(&shape::FLAT, bytes)?;
            let certificate = request.opamp.and_then(|opamp| opamp.certificate_request);
            changes.certificate_request = certificate.map(|request| request.csr);
        }
        Ok(())
    }

    /// The part decoded, if it is there and its digest is another than the last one.
    fn changed<M, T>(
        &self,
        part: Part,
        shape: &'static Shape,
        last: &mut Digest,
    ) -> Result<Option<T>, Malformed>
    where
        M: Message + Default,
        T: From<M>,
    {
        let Some(bytes) = self.parts.get(part) else {
            return Ok(None);
        };
        let digest = digest(shape, bytes, self.limits)?;
        if digest == *last {
            return Ok(None);
        }
        let message: M = self.decode(shape, bytes)?;
        *last = digest;
        Ok(Some(message.into()))
    }

    fn decode<M: Message + Default>(&self, shape: &Shape, bytes: &[u8]) -> Result<M, Malformed> {
        shape.check(bytes, self.limits)?;
        M::decode(bytes).map_err(Malformed::Decode)
    }

    fn bounded(&self, part: Part, name: &'static str, limit_bytes: usize) -> Result<(), Malformed> {
        match self.parts.get(part) {
            Some(bytes) if limit_bytes < bytes.len() => Err(too_large(name, bytes, limit_bytes)),
            _ => Ok(()),
        }
    }
}

/// What has to be known of an inventory before it is worth decoding.
struct ComponentsOutline<'a> {
    hash: &'a [u8],
    has_map: bool,
}

impl<'a> ComponentsOutline<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut outline = Self {
            hash: &[],
            has_map: false,
        };
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => outline.has_map = true,
                2 => outline.hash = field.bytes()?,
                _ => {}
            }
        }
        Ok(outline)
    }
}
