//! What a received message is and what it changes.

use opamp_model::{AgentCapabilities, Changes, InstanceUid, InvalidInstanceUid, WireState};

use crate::{Limits, Malformed};

/// The parts of a message that tell whose it is, read without decoding the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The sender; not every peer sends 16 bytes.
    pub uid: Result<InstanceUid, InvalidInstanceUid>,
    /// The message's number.
    pub sequence_num: u64,
    /// What the agent claims.
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
}

/// Reads the sender and the fixed parts of a message.
///
/// # Errors
/// [`Malformed`] when the bytes are no protobuf or larger than any message may be.
pub fn peek(bytes: &[u8]) -> Result<Peek, Malformed> {
    let _ = bytes;
    unimplemented!()
}

/// Takes a message into the wire state and tells what it changed.
///
/// `bytes` is the bare protobuf, without the WebSocket header byte.
///
/// # Errors
/// [`Malformed`] with the reason; the wire state is then untouched.
pub fn receive(wire: &mut WireState, bytes: &[u8], limits: &Limits) -> Result<Received, Malformed> {
    let _ = (wire, bytes, limits);
    unimplemented!()
}
