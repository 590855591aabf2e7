//! The top level of an `AgentToServer`, its parts left encoded.

use std::borrow::Cow;

use opamp_model::AgentCapabilities;

use crate::Malformed;
use crate::fields::Fields;
use crate::proto::AgentToServerFlags;

/// The parts of a message, by their field numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Description = 3,
    Health = 5,
    EffectiveConfig = 6,
    RemoteConfigStatus = 7,
    PackageStatuses = 8,
    Disconnect = 9,
    ConnectionSettingsRequest = 11,
    CustomCapabilities = 12,
    CustomMessage = 13,
    AvailableComponents = 14,
    ConnectionSettingsStatus = 15,
}

/// A message's top level.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) uid: &'a [u8],
    pub(super) sequence_num: u64,
    capabilities: u64,
    flags: u64,
    /// By field number. A part that stands twice is joined: that is how protobuf merges messages.
    parts: [Option<Cow<'a, [u8]>>; 16],
    /// A bit for each field number of a part that is there.
    present: u16,
}

impl<'a> Parts<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut parts = Self::default();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => parts.uid = field.bytes()?,
                2 => parts.sequence_num = field.varint()?,
                4 => parts.capabilities = field.varint()?,
                10 => parts.flags = field.varint()?,
                number @ (3 | 5..=9 | 11..=15) => parts.add(number, field.bytes()?),
                _ => {}
            }
        }
        Ok(parts)
    }

    fn add(&mut self, number: u32, bytes: &'a [u8]) {
        self.present |= 1 << number;
        match &mut self.parts[number as usize] {
            Some(earlier) => earlier.to_mut().extend_from_slice(bytes),
            empty => *empty = Some(Cow::Borrowed(bytes)),
        }
    }

    pub(super) fn get(&self, part: Part) -> Option<&[u8]> {
        self.parts[part as usize].as_deref()
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.present & (1 << part as u16) != 0
    }

    /// Whether a part other than health is there; most messages have none.
    pub(super) fn has_more_than_health(&self) -> bool {
        self.present & !(1 << Part::Health as u16) != 0
    }

    pub(super) fn capabilities(&self) -> AgentCapabilities {
        AgentCapabilities::from_bits_truncate(self.capabilities)
    }

    pub(super) fn requests_uid(&self) -> bool {
        self.flags & AgentToServerFlags::RequestInstanceUid as u64 != 0
    }
}
