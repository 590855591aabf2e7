//! Bounds on everything that a peer controls the size of.

/// Limits on what is received; each is configurable, all sizes are after decompression.
///
/// Spec: "WebSocket Message Size Limits", "Plain HTTP Message Size Limits".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One whole message with its header byte, in bytes.
    pub message_bytes: usize,
    /// The agent's description, in bytes.
    pub description_bytes: usize,
    /// The agent's effective configuration, in bytes.
    pub effective_config_bytes: usize,
    /// How deep messages nest in each other; the entries of maps between them do not count. More
    /// than 48 has no effect, the protobuf library has a limit of its own.
    pub depth: u32,
    /// How many messages (components, attributes, map entries) one message may contain.
    pub nodes: u32,
}

impl Limits {
    /// What a server accepts of an agent by default.
    pub const SERVER: Self = Self {
        message_bytes: 4 << 20,
        description_bytes: 64 << 10,
        effective_config_bytes: 1 << 20,
        depth: 32,
        nodes: 32_768,
    };

    /// What a client accepts of a server by default: the recommended 64 MiB a message.
    pub const CLIENT: Self = Self {
        message_bytes: 64 << 20,
        ..Self::SERVER
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::SERVER
    }
}
