//! Why the server ends a connection, in the words of logs, metrics and close frames.

/// Why the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing arrived for the idle time, pings included.
    Idle,
    /// A write made no progress.
    SlowReader,
    /// No agent made itself known in time.
    NoFirstMessage,
    /// A message over the limit.
    Oversize,
    /// Not WebSocket as RFC 6455 has it.
    Protocol,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A newer connection speaks for the agent.
    Superseded,
    /// The credential is no longer valid.
    CredentialRevoked,
    /// An operator deleted the agent.
    AgentDeleted,
    /// The server is going down.
    Draining,
    /// The peer did not answer a Close frame in time.
    CloseUnanswered,
    /// A head, body, message or TLS handshake that took too long.
    TooSlow,
}

impl Cut {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Idle,
        Self::SlowReader,
        Self::NoFirstMessage,
        Self::Oversize,
        Self::Protocol,
        Self::NotUtf8,
        Self::Superseded,
        Self::CredentialRevoked,
        Self::AgentDeleted,
        Self::Draining,
        Self::CloseUnanswered,
        Self::TooSlow,
    ];

    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::SlowReader => "slow_reader",
            Self::NoFirstMessage => "no_first_message",
            Self::Oversize => "oversize",
            Self::Protocol => "protocol",
            Self::NotUtf8 => "not_utf8",
            Self::Superseded => "superseded",
            Self::CredentialRevoked => "credential_revoked",
            Self::AgentDeleted => "agent_deleted",
            Self::Draining => "draining",
            Self::CloseUnanswered => "close_unanswered",
            Self::TooSlow => "too_slow",
        }
    }

    /// Whether the peer's next bytes are still frames.
    pub const fn leaves_frames(self) -> bool {
        !matches!(self, Self::Oversize | Self::Protocol | Self::NotUtf8)
    }

    /// The status code of a Close frame (RFC 6455, "Defined Status Codes").
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Oversize => 1009,
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
            Self::Draining => 1012,
            Self::Superseded => 1001,
            Self::Idle
            | Self::SlowReader
            | Self::NoFirstMessage
            | Self::CredentialRevoked
            | Self::AgentDeleted
            | Self::CloseUnanswered
            | Self::TooSlow => 1008,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_in_order() {
        assert!(
            Cut::ALL
                .iter()
                .enumerate()
                .all(|(index, cut)| *cut as usize == index)
        );
    }
}
