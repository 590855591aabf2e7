//! What a server remembers of an agent's session between two messages.

use std::fmt;

use crate::AgentCapabilities;

/// 128 bits of a SHA-256 over what a peer reported; all zero stands for never seen.
///
/// Digests are stored, so their definition (in `opamp::server`) never changes within a version of
/// [`WireState`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest([u8; 16]);

/// A session's state on the server, per instance uid and not per connection: it outlives a
/// reconnect and is small enough to be kept for every agent and stored with a liveness flush.
///
/// It is only correct together with the reported state that it stands for. Where that was lost,
/// start again from [`WireState::default`], and the agent is asked for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WireState {
    /// The last `sequence_num` seen; `None` before the first message.
    pub sequence_num: Option<u64>,
    /// The capabilities last claimed.
    pub capabilities: AgentCapabilities,
    /// Whether state was lost: a gap was seen, and no full report since.
    pub stale: bool,
    /// How often full state was asked for since state was lost.
    pub full_state_asks: u8,
    /// The `sequence_num` at which full state was last asked for.
    pub full_state_asked_at: u64,
    /// How often the component map was asked for since its hash changed.
    pub components_asks: u8,
    /// The `sequence_num` at which the component map was last asked for.
    pub components_asked_at: u64,
    /// Digest of the description.
    pub description: Digest,
    /// Digest of the health tree without its times.
    pub health: Digest,
    /// Digest of the effective configuration.
    pub effective_config: Digest,
    /// Digest of the remote configuration's status.
    pub remote_config_status: Digest,
    /// Digest of the package statuses.
    pub package_statuses: Digest,
    /// Digest of the custom capabilities.
    pub custom_capabilities: Digest,
    /// Digest of the status of connection settings.
    pub connection_settings_status: Digest,
    /// Digest of the hash of available components that was last reported.
    pub components_hash: Digest,
    /// Digest of the hash of available components whose map is known.
    pub components_known: Digest,
}

/// Stored bytes that are no wire state of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidWireState {
    /// There are no bytes.
    Empty,
    /// Another version of this program wrote it; start from the default.
    Version {
        /// The version that stands in the bytes.
        found: u8,
    },
    /// The length is wrong for the version.
    Length {
        /// How many bytes there were.
        bytes: usize,
    },
}

impl Digest {
    /// Never seen.
    pub const NONE: Self = Self([0; 16]);

    /// Wraps 16 bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether nothing was seen yet.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl WireState {
    const VERSION: u8 = 1;
    const HEAD_BYTES: usize = 4 + 4 * 8;
    const DIGESTS: usize = 9;

    /// More messages than an agent says between two commits of a server: see [`restored`](Self::restored).
    pub const LOW_NUMBERS: u64 = 16;

    /// Length of the stored form in bytes.
    pub const ENCODED_BYTES: usize = Self::HEAD_BYTES + Self::DIGESTS * 16;

    /// The stored form: a version byte, then fixed fields, integers little-endian.
    pub fn to_bytes(&self) -> [u8; Self::ENCODED_BYTES] {
        let mut bytes = [0; Self::ENCODED_BYTES];
        let flags = u8::from(self.sequence_num.is_some()) | (u8::from(self.stale) << 1);
        bytes[..4].copy_from_slice(&[
            Self::VERSION,
            flags,
            self.full_state_asks,
            self.components_asks,
        ]);
        let numbers = [
            self.sequence_num.unwrap_or(0),
            self.capabilities.bits(),
            self.full_state_asked_at,
            self.components_asked_at,
        ];
        let (words, digests) = bytes[4..].split_at_mut(4 * 8);
        for (place, number) in words.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        for (place, digest) in digests
            .as_chunks_mut::<16>()
            .0
            .iter_mut()
            .zip(self.digests())
        {
            *place = digest.0;
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`InvalidWireState`] when the bytes are of another version or length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidWireState> {
        let found = *bytes.first().ok_or(InvalidWireState::Empty)?;
        if found != Self::VERSION {
            return Err(InvalidWireState::Version { found });
        }
        let bytes: &[u8; Self::ENCODED_BYTES] = bytes
            .try_into()
            .map_err(|_| InvalidWireState::Length { bytes: bytes.len() })?;
        let (words, digests) = bytes[4..].split_at(4 * 8);
        let number = |index: usize| u64::from_le_bytes(words.as_chunks::<8>().0[index]);
        let digest = |index: usize| Digest(digests.as_chunks::<16>().0[index]);
        Ok(Self {
            sequence_num: (bytes[1] & 1 != 0).then(|| number(0)),
            capabilities: AgentCapabilities::from_bits_truncate(number(1)),
            stale: bytes[1] & 2 != 0,
            full_state_asks: bytes[2],
            components_asks: bytes[3],
            full_state_asked_at: number(2),
            components_asked_at: number(3),
            description: digest(0),
            health: digest(1),
            effective_config: digest(2),
            remote_config_status: digest(3),
            package_statuses: digest(4),
            custom_capabilities: digest(5),
            connection_settings_status: digest(6),
            components_hash: digest(7),
            components_known: digest(8),
        })
    }

    /// Notes that the map behind the reported component hash is known from elsewhere, for instance
    /// because another agent with the same hash sent it, so that it is not asked for.
    pub fn note_components_known(&mut self) {
        self.components_known = self.components_hash;
        self.components_asks = 0;
    }

    /// The agent is on another connection than before: what was asked for on the old one and has
    /// not come is asked for again with the next message.
    pub fn reconnected(&mut self) {
        self.full_state_asks = 0;
        self.components_asks = 0;
    }

    /// The state was read back after the server's process ended without having stored the last messages. Where an
    /// agent's own process had restarted within them, its numbers may go on by chance just where the stored ones end;
    /// so of an agent whose stored numbers are low, everything is asked for once.
    pub fn restored(&mut self) {
        if self
            .sequence_num
            .is_some_and(|number| number < Self::LOW_NUMBERS)
        {
            self.stale = true;
            self.full_state_asks = 0;
        }
    }

    /// The digests in their stored order.
    fn digests(&self) -> [Digest; Self::DIGESTS] {
        [
            self.description,
            self.health,
            self.effective_config,
            self.remote_config_status,
            self.package_statuses,
            self.custom_capabilities,
            self.connection_settings_status,
            self.components_hash,
            self.components_known,
        ]
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for InvalidWireState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a wire state of no bytes"),
            Self::Version { found } => write!(f, "a wire state of version {found}"),
            Self::Length { bytes } => write!(f, "a wire state of {bytes} bytes"),
        }
    }
}

impl std::error::Error for InvalidWireState {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wire_state_is_small() {
        const { assert!(size_of::<WireState>() <= 256 && WireState::ENCODED_BYTES <= 256) };
    }

    proptest! {
        #[test]
        fn stored_bytes_round_trip(
            digests: [[u8; 16]; 9],
            sequence_num: Option<u64>,
            bits: u64,
            flags: (bool, u8, u64, u8, u64),
        ) {
            let [a, b, c, d, e, f, g, h, i] = digests.map(Digest::new);
            let state = WireState {
                sequence_num,
                capabilities: AgentCapabilities::from_bits_truncate(bits),
                stale: flags.0,
                full_state_asks: flags.1,
                full_state_asked_at: flags.2,
                components_asks: flags.3,
                components_asked_at: flags.4,
                description: a,
                health: b,
                effective_config: c,
                remote_config_status: d,
                package_statuses: e,
                custom_capabilities: f,
                connection_settings_status: g,
                components_hash: h,
                components_known: i,
            };
            prop_assert_eq!(WireState::from_bytes(&state.to_bytes()), Ok(state));
        }
    }

    #[test]
    fn no_bytes_but_zeros_stand_for_never_seen() {
        assert!(Digest::default().is_none() && Digest::new([0; 16]).is_none());
        let mut bytes = [0; 16];
        bytes[15] = 1;
        assert!(!Digest::new(bytes).is_none());
    }

    #[test]
    fn what_is_wrong_with_stored_bytes_is_said() {
        let check = |error: InvalidWireState, text: &str| assert_eq!(error.to_string(), text);
        check(InvalidWireState::Empty, "a wire state of no bytes");
        check(
            InvalidWireState::Version { found: 9 },
            "a wire state of version 9",
        );
        check(
            InvalidWireState::Length { bytes: 7 },
            "a wire state of 7 bytes",
        );
    }

    #[test]
    fn other_versions_and_lengths_are_refused() {
        let mut bytes = WireState::default().to_bytes();
        assert_eq!(WireState::from_bytes(&[]), Err(InvalidWireState::Empty));
        assert_eq!(
            WireState::from_bytes(&bytes[..9]),
            Err(InvalidWireState::Length { bytes: 9 })
        );
        bytes[0] = 9;
        assert_eq!(
            WireState::from_bytes(&bytes),
            Err(InvalidWireState::Version { found: 9 })
        );
    }
}
