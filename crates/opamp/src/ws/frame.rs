//! The head of a frame: opcode, length and masking key.

use super::Violation;
use super::opcode;

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHead {
    pub(super) fin: bool,
    pub(super) opcode: u8,
    pub(super) key: Option<[u8; 4]>,
    pub(super) length: usize,
}

/// Collects the bytes of a head, which chunks may cut anywhere.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    bytes: [u8; 14],
    filled: u8,
}

impl FrameHead {
    pub(super) fn is_control(&self) -> bool {
        opcode::CLOSE <= self.opcode
    }

    fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        let (fin, opcode) = (bytes[0] & 0x80 != 0, bytes[0] & 0x0f);
        if bytes[0] & 0x70 != 0 {
            return Err(Violation::Protocol("reserved bits"));
        }
        if !matches!(opcode, 0x0..=0x2 | 0x8..=0xa) {
            return Err(Violation::Protocol("unknown opcode"));
        }
        let (length, key_at) = match bytes[1] & 0x7f {
            126 => (u64::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => (
                u64::from_be_bytes(bytes[2..10].try_into().expect("8 bytes")),
                10,
            ),
            short => (u64::from(short), 2),
        };
        let key = bytes[key_at..].first_chunk::<4>().copied();
        // A length that no address space holds is over every limit.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let head = Self {
            fin,
            opcode,
            key,
            length,
        };
        if 1 << 63 <= length as u64 {
            return Err(Violation::Protocol("length with its highest bit set"));
        }
        if head.is_control() && (!fin || 125 < length) {
            return Err(Violation::Protocol(
                "control frame that is long or fragmented",
            ));
        }
        Ok(head)
    }
}

impl HeadReader {
    /// Reads on in the input; `None` when it ends within the head.
    pub(super) fn read(&mut self, input: &mut &mut [u8]) -> Result<Option<FrameHead>, Violation> {
        loop {
            let filled = usize::from(self.filled);
            let needed = self.needed();
            if filled == needed {
                self.filled = 0;
                return FrameHead::parse(&self.bytes[..needed]).map(Some);
            }
            let taken = input.len().min(needed - filled);
            if taken == 0 {
                return Ok(None);
            }
            let (head, rest) = std::mem::take(input).split_at_mut(taken);
            self.bytes[filled..filled + taken].copy_from_slice(head);
            self.filled += taken as u8;
            *input = rest;
        }
    }

    /// How long the head is, as far as its first two bytes tell.
    fn needed(&self) -> usize {
        if self.filled < 2 {
            return 2;
        }
        let length = match self.bytes[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let key = if self.bytes[1] & 0x80 != 0 { 4 } else { 0 };
        2 + length + key
    }
}
