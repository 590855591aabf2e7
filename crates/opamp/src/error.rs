//! Why received bytes are no message that can be processed.

use opamp_model::InvalidInstanceUid;

/// Why received bytes cannot be processed; the answer to it is a BadRequest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// There is no message at all, not even a header.
    #[error("empty message")]
    Empty,
    /// The header byte has another value than 0, and the bytes are no headerless message either.
    #[error("message header is {value} instead of 0")]
    Header {
        /// The value that the header has.
        value: u64,
    },
    /// The bytes are no protobuf.
    #[error("not a protobuf message")]
    Encoding,
    /// A field has another type than the schema says.
    #[error("field {field} has another type")]
    Type {
        /// The field's number in its message.
        field: u32,
    },
    /// The bytes are protobuf, but not this message.
    #[error("not the expected message")]
    Decode(#[source] prost::DecodeError),
    /// The identity is neither 16 bytes nor a ULID's text.
    #[error("bad identity")]
    InstanceUid(#[source] InvalidInstanceUid),
    /// A part of the message, or all of it, is larger than allowed.
    #[error("{part} has {bytes} bytes, the limit is {limit_bytes}")]
    TooLarge {
        /// What is too large.
        part: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit it exceeds.
        limit_bytes: usize,
    },
    /// Messages nest deeper than allowed.
    #[error("messages nest deeper than {limit}")]
    TooDeep {
        /// The limit that is exceeded.
        limit: u32,
    },
    /// A message contains more messages than allowed.
    #[error("more than {limit} nested messages")]
    TooMany {
        /// The limit that is exceeded.
        limit: u32,
    },
}

impl Malformed {
    /// Whether the bytes are a message, only none that is taken.
    pub const fn is_message(&self) -> bool {
        match self {
            Self::Empty
            | Self::Header { .. }
            | Self::Encoding
            | Self::Type { .. }
            | Self::Decode(_) => false,
            Self::InstanceUid(_)
            | Self::TooLarge { .. }
            | Self::TooDeep { .. }
            | Self::TooMany { .. } => true,
        }
    }
}
