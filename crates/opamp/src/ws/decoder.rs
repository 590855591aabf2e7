//! Frames out of received bytes.

use crate::Limits;

/// Reads WebSocket frames of one direction of a connection.
///
/// It reads from chunks in the caller's buffer, unmasks in place, and copies only what a chunk
/// does not complete. An idle decoder holds no heap memory.
#[derive(Debug)]
pub struct Decoder {
    limit_bytes: usize,
}

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole binary message, fragments joined.
    Binary(&'a [u8]),
    /// A whole text message; OpAMP has none.
    Text(&'a [u8]),
    /// A ping, to be answered by a pong with the same bytes.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer closes; answer with a close frame unless one was sent, then close the socket.
    Close(Option<Close<'a>>),
}

/// Why a peer closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The status code, such as 1000.
    pub code: u16,
    /// Text for people; may be empty.
    pub reason: &'a str,
}

/// How a peer broke the protocol; the connection ends with [`close_code`](Violation::close_code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Frames that RFC 6455 forbids.
    #[error("websocket protocol error: {0}")]
    Protocol(&'static str),
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// A message larger than allowed.
    #[error("message larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that it exceeds.
        limit_bytes: usize,
    },
}

impl Violation {
    /// The status code to close with: 1002, 1007 or 1009.
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::NotUtf8 => 1007,
            Self::TooLarge { .. } => 1009,
        }
    }
}

impl Decoder {
    /// Reads what clients send: every frame masked.
    pub fn server(limits: &Limits) -> Self {
        Self {
            limit_bytes: limits.message_bytes,
        }
    }

    /// Reads what servers send: no frame masked.
    pub fn client(limits: &Limits) -> Self {
        Self {
            limit_bytes: limits.message_bytes,
        }
    }

    /// Reads on in `input` up to the next event and advances `input` past what it read.
    ///
    /// `Ok(None)` means that the input is used up; call again with the next chunk.
    ///
    /// # Errors
    /// [`Violation`]: the connection cannot go on; answer with a close frame of its code.
    pub fn next<'e, 'i: 'e>(
        &'e mut self,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Event<'e>>, Violation> {
        let _ = (input, self.limit_bytes);
        unimplemented!()
    }

    /// Bytes of heap memory that the decoder holds: 0 between messages.
    pub fn heap_bytes(&self) -> usize {
        unimplemented!()
    }
}
