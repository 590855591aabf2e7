//! The 16-byte identity that an agent gives itself on the wire.

use std::fmt;
use std::str::FromStr;

/// The 16 bytes that name an agent on the wire, shown as UUID text.
///
/// Spec: "AgentToServer.instance_uid". The bytes should be a UUID version 7, but peers may send
/// any 16 bytes, so nothing is assumed about version and variant.
///
/// ```
/// use opamp_model::InstanceUid;
///
/// let uid: InstanceUid = "0192a4a0-5d3e-7000-8000-00000000002a".parse()?;
/// assert_eq!(uid.as_bytes()[15], 0x2a);
/// assert_eq!(uid.to_string(), "0192a4a0-5d3e-7000-8000-00000000002a");
/// # Ok::<(), opamp_model::InvalidInstanceUid>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InstanceUid([u8; 16]);

/// Bytes or text that are no instance uid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidInstanceUid {
    /// The byte form has another length than 16.
    Length {
        /// How many bytes there were.
        bytes: usize,
    },
    /// The text form is not a UUID in its 36-character or 32-digit form.
    Text,
}

impl InstanceUid {
    /// Wraps 16 bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Makes a UUID version 7 of a time and random bytes, as the specification advises.
    ///
    /// `unix_ms` is the time in milliseconds since the Unix epoch; its low 48 bits are used.
    pub const fn v7(unix_ms: u64, random: [u8; 10]) -> Self {
        let [.., t0, t1, t2, t3, t4, t5] = unix_ms.to_be_bytes();
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
        let (r0, r2) = (0x70 | (r0 & 0x0f), 0x80 | (r2 & 0x3f));
        Self([
            t0, t1, t2, t3, t4, t5, r0, r1, r2, r3, r4, r5, r6, r7, r8, r9,
        ])
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// [`InvalidInstanceUid::Length`] unless there are exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidInstanceUid> {
        let length = bytes.len();
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| InvalidInstanceUid::Length { bytes: length })
    }

    /// The wire form.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The wire form, by value.
    pub const fn into_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for InstanceUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = HEX[usize::from(byte >> 4)];
            text[at + 1] = HEX[usize::from(byte & 0x0f)];
            at += 2;
        }
        f.pad(std::str::from_utf8(&text).expect("hexadecimal digits and dashes are ASCII"))
    }
}

impl fmt::Debug for InstanceUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceUid({self})")
    }
}

impl FromStr for InstanceUid {
    type Err = InvalidInstanceUid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let dashed = match bytes.len() {
            36 => true,
            32 => false,
            _ => return Err(InvalidInstanceUid::Text),
        };
        let mut uid = [0_u8; 16];
        let mut at = 0;
        for (index, byte) in uid.iter_mut().enumerate() {
            if dashed && matches!(index, 4 | 6 | 8 | 10) {
                if bytes[at] != b'-' {
                    return Err(InvalidInstanceUid::Text);
                }
                at += 1;
            }
            *byte = (digit(bytes[at])? << 4) | digit(bytes[at + 1])?;
            at += 2;
        }
        Ok(Self(uid))
    }
}

fn digit(byte: u8) -> Result<u8, InvalidInstanceUid> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(InvalidInstanceUid::Text),
    }
}

impl From<[u8; 16]> for InstanceUid {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for InvalidInstanceUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => write!(f, "instance_uid has {bytes} bytes instead of 16"),
            Self::Text => f.write_str("not a UUID"),
        }
    }
}

impl std::error::Error for InvalidInstanceUid {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn id_01_text_and_bytes_round_trip(bytes: [u8; 16]) {
            let uid = InstanceUid::new(bytes);
            prop_assert_eq!(uid.to_string().parse(), Ok(uid));
            prop_assert_eq!(uid.to_string().replace('-', "").to_uppercase().parse(), Ok(uid));
            prop_assert_eq!(InstanceUid::from_slice(&bytes), Ok(uid));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}") {
            if let Ok(uid) = text.parse::<InstanceUid>() {
                prop_assert_eq!(uid.to_string().replace('-', ""), text.replace('-', "").to_lowercase());
            }
        }
    }

    #[test]
    fn id_01_other_lengths_than_16_are_refused() {
        for bytes in [0, 1, 15, 17, 26] {
            let given = vec![7; bytes];
            assert_eq!(
                InstanceUid::from_slice(&given),
                Err(InvalidInstanceUid::Length { bytes })
            );
        }
    }

    #[test]
    fn version_7_carries_time_version_and_variant() {
        let uid = InstanceUid::v7(0x0192_a4a0_5d3e, [0xff; 10]);
        assert_eq!(uid.to_string(), "0192a4a0-5d3e-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn dashes_in_wrong_places_are_refused() {
        assert_eq!(
            "0192a4a05-d3e-7000-8000-00000000002a".parse::<InstanceUid>(),
            Err(InvalidInstanceUid::Text)
        );
    }
}
