//! Frames out of received bytes.

use super::encoder::mask;
use super::frame::{FrameHead, HeadReader};
use super::opcode;
use crate::Limits;

/// Reads WebSocket frames of one direction of a connection.
///
/// It reads from chunks in the caller's buffer, unmasks in place, and copies only what a chunk
/// does not complete. Between messages it holds no heap memory, however large the last one was.
///
/// ```
/// use opamp::Limits;
/// use opamp::ws::{Decoder, Event, put_masked_message, strip_header};
///
/// let mut wire = Vec::new();
/// put_masked_message(&mut wire, b"protobuf", [1, 2, 3, 4]);
///
/// let mut decoder = Decoder::server(&Limits::SERVER);
/// let mut chunk = &mut wire[..];
/// while let Some(event) = decoder.next(&mut chunk)? {
///     let Event::Binary(message) = event else { panic!("nothing else was sent") };
///     assert_eq!(strip_header(message).unwrap(), b"protobuf");
/// }
/// # Ok::<(), opamp::ws::Violation>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    masked: bool,
    limit_bytes: usize,
    head: HeadReader,
    frame: Option<Frame>,
    /// Opcode of the message whose fragments are being joined.
    fragmented: Option<u8>,
    /// What is there of a message that no single chunk had in full.
    message: Vec<u8>,
    /// What is there of a control frame that no single chunk had in full.
    control: Vec<u8>,
    /// Whether the last event was read from `message` or `control`, which is then over.
    handed_out: HandedOut,
    /// After a close frame or a violation nothing is read any more.
    over: bool,
}

/// A frame whose head was read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    head: FrameHead,
    /// Payload bytes read so far.
    read: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandedOut {
    Nothing,
    Message,
    Control,
}

/// Where a complete payload is.
enum Ready<'i> {
    InPlace(u8, &'i [u8]),
    Message(u8),
    Control(u8),
}

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole binary message, fragments joined.
    Binary(&'a [u8]),
    /// A whole text message; OpAMP has none.
    Text(&'a str),
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
        Self::new(true, limits)
    }

    /// Reads what servers send: no frame masked.
    pub fn client(limits: &Limits) -> Self {
        Self::new(false, limits)
    }

    fn new(masked: bool, limits: &Limits) -> Self {
        Self {
            masked,
            limit_bytes: limits.message_bytes,
            head: HeadReader::default(),
            frame: None,
            fragmented: None,
            message: Vec::new(),
            control: Vec::new(),
            handed_out: HandedOut::Nothing,
            over: false,
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
        self.release();
        if self.over {
            *input = &mut [];
            return Ok(None);
        }
        let ready = self.advance(input).inspect_err(|_| self.over = true)?;
        let (opcode, payload) = match ready {
            None => return Ok(None),
            Some(Ready::InPlace(opcode, payload)) => (opcode, payload),
            Some(Ready::Message(opcode)) => {
                self.handed_out = HandedOut::Message;
                (opcode, &self.message[..])
            }
            Some(Ready::Control(opcode)) => {
                self.handed_out = HandedOut::Control;
                (opcode, &self.control[..])
            }
        };
        let event = event(opcode, payload);
        self.over = matches!(event, Err(_) | Ok(Event::Close(_)));
        event.map(Some)
    }

    /// Bytes of heap memory that the decoder holds: 0 between messages.
    pub fn heap_bytes(&self) -> usize {
        self.message.capacity() + self.control.capacity()
    }

    /// Gives back the memory of an event that was handed out.
    fn release(&mut self) {
        match self.handed_out {
            HandedOut::Nothing => {}
            HandedOut::Message => self.message = Vec::new(),
            HandedOut::Control => self.control = Vec::new(),
        }
        self.handed_out = HandedOut::Nothing;
    }

    fn advance<'i>(&mut self, input: &mut &'i mut [u8]) -> Result<Option<Ready<'i>>, Violation> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => {
                    let Some(head) = self.head.read(input)? else {
                        return Ok(None);
                    };
                    self.check(&head)?;
                    Frame { head, read: 0 }
                }
            };
            self.frame = Some(frame);
            let (payload, complete) = take_payload(frame, input);
            if !complete && payload.is_empty() {
                return Ok(None);
            }
            if let Some(ready) = self.payload(frame, payload, complete) {
                return Ok(Some(ready));
            }
        }
    }

    /// Refuses a frame that must not come now.
    fn check(&self, head: &FrameHead) -> Result<(), Violation> {
        if head.key.is_some() != self.masked {
            return Err(Violation::Protocol("frame with wrong masking"));
        }
        if head.is_control() {
            return Ok(());
        }
        if (head.opcode == opcode::CONTINUATION) != self.fragmented.is_some() {
            return Err(Violation::Protocol("fragments out of order"));
        }
        let too_large = Violation::TooLarge {
            limit_bytes: self.limit_bytes,
        };
        let left = self
            .limit_bytes
            .checked_sub(self.message.len())
            .ok_or(too_large)?;
        if left < head.length {
            Err(too_large)
        } else {
            Ok(())
        }
    }

    /// Takes a piece of a frame's payload, already unmasked.
    fn payload<'i>(
        &mut self,
        frame: Frame,
        payload: &'i [u8],
        complete: bool,
    ) -> Option<Ready<'i>> {
        let head = frame.head;
        self.frame = (!complete).then_some(Frame {
            head,
            read: frame.read + payload.len(),
        });
        if head.is_control() {
            if complete && frame.read == 0 {
                return Some(Ready::InPlace(head.opcode, payload));
            }
            self.control.extend_from_slice(payload);
            return complete.then_some(Ready::Control(head.opcode));
        }
        let whole = complete && head.fin;
        if whole && frame.read == 0 && self.fragmented.is_none() {
            return Some(Ready::InPlace(head.opcode, payload));
        }
        self.message.extend_from_slice(payload);
        let opcode = self.fragmented.unwrap_or(head.opcode);
        if complete {
            self.fragmented = (!head.fin).then_some(opcode);
        }
        whole.then_some(Ready::Message(opcode))
    }
}

/// Takes what the input has of a frame's payload and unmasks it; tells whether that completes it.
fn take_payload<'i>(frame: Frame, input: &mut &'i mut [u8]) -> (&'i [u8], bool) {
    let missing = frame.head.length - frame.read;
    let taken = missing.min(input.len());
    let (payload, rest) = std::mem::take(input).split_at_mut(taken);
    *input = rest;
    if let Some(key) = frame.head.key {
        mask(payload, key, frame.read);
    }
    (payload, taken == missing)
}

fn event(opcode: u8, payload: &[u8]) -> Result<Event<'_>, Violation> {
    match opcode {
        opcode::TEXT => std::str::from_utf8(payload)
            .map(Event::Text)
            .map_err(|_| Violation::NotUtf8),
        opcode::PING => Ok(Event::Ping(payload)),
        opcode::PONG => Ok(Event::Pong(payload)),
        opcode::CLOSE => close(payload).map(Event::Close),
        _ => Ok(Event::Binary(payload)),
    }
}

fn close(payload: &[u8]) -> Result<Option<Close<'_>>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::Protocol("close code cut short"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::Protocol("close code that must not be sent"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
    Ok(Some(Close { code, reason }))
}
