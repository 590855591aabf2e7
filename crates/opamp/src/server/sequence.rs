//! Message numbers, and what the server has to ask for because of them.
//!
//! What was asked for and did not come is asked for again, but after 4, 16, 64, … messages, so that
//! a peer that never answers costs little. An ask can also be lost with its connection: on the next
//! one it is repeated at once, see `WireState::reconnected`.

use opamp_model::{AgentCapabilities, WireState};

use super::parts::{Part, Parts};

/// The distance between two asks stops growing here: 4⁶ messages.
const MAX_EXPONENT: u8 = 6;

/// A new agent's first message has one of these numbers, and reports everything. Behind a higher
/// one there was a conversation that this server does not know.
const FIRST_NUMBERS: std::ops::RangeInclusive<u64> = 0..=1;

/// Takes a message's number, and tells whether its answer must ask for full state.
///
/// Spec: "Agent Status Compression". An exact repeat is tolerated: whether a resent message keeps
/// its number is not said. One that `says_new` things is no repeat: of two messages of the agent's processes, an old
/// one came late or a new one by chance with the number of the last.
pub(super) fn advance(wire: &mut WireState, parts: &Parts<'_>, says_new: bool) -> bool {
    let number = parts.sequence_num;
    let is_expected = match wire.sequence_num.replace(number) {
        Some(previous) if number == previous => !says_new,
        Some(previous) => number == previous.wrapping_add(1),
        None => FIRST_NUMBERS.contains(&number) && is_complete(wire.capabilities, parts),
    };
    if !is_expected {
        wire.stale = true;
        wire.full_state_asks = 0;
    } else if wire.stale && wire.full_state_asks != 0 && is_complete(wire.capabilities, parts) {
        wire.stale = false;
    }
    wire.stale
        && is_ask_due(
            &mut wire.full_state_asks,
            &mut wire.full_state_asked_at,
            number,
        )
}

/// Takes the number of a message whose content was refused.
pub(super) fn skip(wire: &mut WireState, number: u64) {
    wire.sequence_num = Some(number);
    if !wire.stale {
        wire.stale = true;
        wire.full_state_asks = 0;
    }
}

/// Whether the map behind the reported component hash is to be asked for now.
///
/// Spec: "Initial Handshake".
pub(super) fn wants_components(wire: &mut WireState) -> bool {
    let missing = !wire.components_hash.is_none() && wire.components_hash != wire.components_known;
    let reports = wire
        .capabilities
        .contains(AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS);
    let number = wire.sequence_num.unwrap_or(0);
    missing
        && reports
        && is_ask_due(
            &mut wire.components_asks,
            &mut wire.components_asked_at,
            number,
        )
}

/// Whether a message has what every full report has: the description, and what the agent's
/// capabilities promise from the start.
fn is_complete(capabilities: AgentCapabilities, parts: &Parts<'_>) -> bool {
    let kept = |promise, part| !capabilities.contains(promise) || parts.has(part);
    parts.has(Part::Description)
        && kept(AgentCapabilities::REPORTS_HEALTH, Part::Health)
        && kept(
            AgentCapabilities::REPORTS_EFFECTIVE_CONFIG,
            Part::EffectiveConfig,
        )
        && kept(
            AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS,
            Part::AvailableComponents,
        )
}

fn is_ask_due(asks: &mut u8, asked_at: &mut u64, number: u64) -> bool {
    let distance = 4_u64.pow(u32::from((*asks).min(MAX_EXPONENT)));
    if *asks != 0 && number.wrapping_sub(*asked_at) < distance {
        return false;
    }
    *asks = asks.saturating_add(1);
    *asked_at = number;
    true
}
