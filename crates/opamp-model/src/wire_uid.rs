//! An instance uid in the spelling of the agent that sent it: 16 bytes, or the text that older agents write.

use std::fmt;

use crate::{InstanceUid, InvalidInstanceUid};

/// Length of a ULID's text in bytes.
const ULID_BYTES: usize = 26;
/// Crockford's base 32, in the capitals that ULID libraries write.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// An instance uid and how its agent spells it.
///
/// Before version 0.10 of the specification the field was a string with 26 characters of ULID text. Such an agent reads
/// the field of an answer as a string, too, and takes nothing else for a new identity: it is answered in its own spelling.
///
/// ```
/// use opamp_model::WireUid;
///
/// let uid = WireUid::from_slice(b"01ARZ3NDEKTSV4RRFFQ69G5FAV")?;
/// assert_eq!(uid.uid().to_string(), "01563e3a-b5d3-d676-4c61-efb99302bd5b");
/// assert_eq!(uid.to_bytes().as_slice(), b"01ARZ3NDEKTSV4RRFFQ69G5FAV");
/// # Ok::<(), opamp_model::InvalidInstanceUid>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WireUid {
    uid: InstanceUid,
    spelling: Spelling,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Bytes,
    Ulid,
}

/// The bytes that stand in a message for an instance uid.
#[derive(Clone, Copy, Debug)]
pub struct WireUidBytes {
    bytes: [u8; ULID_BYTES],
    length: usize,
}

impl WireUid {
    /// Reads the wire form: 16 bytes, or a ULID's text in capitals.
    ///
    /// # Errors
    /// [`InvalidInstanceUid::Length`] for all else.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidInstanceUid> {
        match bytes.try_into().ok().and_then(parse_ulid) {
            Some(uid) => Ok(Self {
                uid,
                spelling: Spelling::Ulid,
            }),
            None => InstanceUid::from_slice(bytes).map(Self::from),
        }
    }

    /// The identity, whatever its spelling.
    pub const fn uid(self) -> InstanceUid {
        self.uid
    }

    /// Another identity in the spelling of this one.
    #[must_use]
    pub const fn spell(self, uid: InstanceUid) -> Self {
        Self { uid, ..self }
    }

    /// The wire form: what [`from_slice`](Self::from_slice) read.
    pub fn to_bytes(self) -> WireUidBytes {
        match self.spelling {
            Spelling::Bytes => {
                let mut bytes = [0; ULID_BYTES];
                bytes[..16].copy_from_slice(self.uid.as_bytes());
                WireUidBytes { bytes, length: 16 }
            }
            Spelling::Ulid => WireUidBytes {
                bytes: ulid_text(self.uid),
                length: ULID_BYTES,
            },
        }
    }
}

impl WireUidBytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl From<InstanceUid> for WireUid {
    fn from(uid: InstanceUid) -> Self {
        Self {
            uid,
            spelling: Spelling::Bytes,
        }
    }
}

impl fmt::Display for WireUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uid.fmt(f)
    }
}

impl fmt::Debug for WireUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_bytes();
        match self.spelling {
            Spelling::Bytes => self.uid.fmt(f),
            Spelling::Ulid => write!(f, "WireUid({})", text.as_slice().escape_ascii()),
        }
    }
}

/// 26 digits of five bits are 130: the first has three.
fn parse_ulid(text: &[u8; ULID_BYTES]) -> Option<InstanceUid> {
    if b'7' < text[0] {
        return None;
    }
    let value = text.iter().try_fold(0_u128, |value, byte| {
        let digit = DIGITS.iter().position(|digit| digit == byte)?;
        Some((value << 5) | u128::try_from(digit).ok()?)
    })?;
    Some(InstanceUid::new(value.to_be_bytes()))
}

fn ulid_text(uid: InstanceUid) -> [u8; ULID_BYTES] {
    let mut value = u128::from_be_bytes(uid.into_bytes());
    let mut text = [0; ULID_BYTES];
    for place in text.iter_mut().rev() {
        *place = DIGITS[usize::from(value.to_le_bytes()[0] & 31)];
        value >>= 5;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn st_11_both_spellings_of_an_identity_round_trip(bytes: [u8; 16]) {
            let uid = InstanceUid::new(bytes);
            let text = ulid_text(uid);
            for wire in [&bytes[..], &text] {
                let read = WireUid::from_slice(wire).expect("an identity");
                prop_assert_eq!(read.uid(), uid);
                let written = read.to_bytes();
                prop_assert_eq!(written.as_slice(), wire);
            }
        }

        #[test]
        fn what_is_read_is_written_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(uid) = WireUid::from_slice(&bytes) {
                let written = uid.to_bytes();
                prop_assert_eq!(written.as_slice(), bytes);
            }
        }
    }

    #[test]
    fn id_01_text_that_is_no_ulid_in_capitals_is_refused() {
        for text in [
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
            "01arz3ndektsv4rrffq69g5fav",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "01ARZ3NDEKTSV4RRFFQ69G5FA\u{0}",
        ] {
            assert_eq!(
                WireUid::from_slice(text.as_bytes()),
                Err(InvalidInstanceUid::Length { bytes: text.len() }),
                "{text}"
            );
        }
    }

    #[test]
    fn a_new_identity_is_spelled_like_the_old() {
        let old = WireUid::from_slice(b"01ARZ3NDEKTSV4RRFFQ69G5FAV").expect("an identity");
        let new = old.spell(InstanceUid::new([0xff; 16]));
        assert_eq!(new.to_bytes().as_slice(), b"7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        let plain = WireUid::from(InstanceUid::new([1; 16])).spell(InstanceUid::new([2; 16]));
        assert_eq!(plain.to_bytes().as_slice(), [2; 16]);
    }
}
