//! Message numbers, and what the server has to ask for because of them.
//!
//! What was asked for and did not come is asked for again, since an answer can be lost with its
//! connection; but after 1, 4, 16, 64, … messages, so that a peer that never answers costs little.

use opamp_model::{AgentCapabilities, WireState};

use super::parts::{Part, Parts};

/// The distance between two asks stops growing here: 4⁶ messages.
const MAX_EXPONENT: u8 = 6;

/// Takes a message's number, and tells whether its answer must ask for full state.
///
/// Spec: "Agent Status Compression". An exact repeat is tolerated: whether a resent message keeps
/// its number is not said.
pub(super) fn advance(wire: &mut WireState, parts: &Parts<'_>) -> bool {
    let number = parts.sequence_num;
    let previous = wire.sequence_num.replace(number);
    let gap =
        previous.is_some_and(|previous| number != previous.wrapping_add(1) && number != previous);
    let complete = is_complete(wire.capabilities, parts);
    if gap {
        wire.stale = true;
        wire.full_state_asks = 0;
    } else if complete && (wire.stale || previous.is_none()) {
        wire.stale = false;
    } else if previous.is_none() {
        wire.stale = true;
    }
    wire.stale
        && is_ask_due(
            &mut wire.full_state_asks,
            &mut wire.full_state_asked_at,
            number,
        )
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
