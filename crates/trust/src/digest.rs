//! SHA-256 and its text form.

use sha2::{Digest, Sha256};

/// The SHA-256 of these bytes.
///
/// ```
/// let digest = trust::sha256(b"abc");
/// assert!(trust::hex(&digest).starts_with("ba7816bf8f01cfea"));
/// ```
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The SHA-256 of these slices, one after the other, with nothing between them.
pub fn sha256_of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hexadecimal digits")]
pub struct InvalidDigest;

/// A 32-byte digest from its hexadecimal text, in either case.
///
/// # Errors
/// Anything but exactly 64 hexadecimal digits.
pub fn parse_hex(text: &str) -> Result<[u8; 32], InvalidDigest> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(InvalidDigest);
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(digest)
}

fn nibble(digit: u8) -> Result<u8, InvalidDigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(InvalidDigest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        let check = |input: &[u8], expected: &str| assert_eq!(hex(&sha256(input)), expected);
        check(
            b"",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        check(
            b"abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
    }

    #[test]
    fn parts_hash_as_their_concatenation() {
        assert_eq!(
            sha256_of_parts([b"a".as_slice(), b"", b"bc"]),
            sha256(b"abc")
        );
    }

    #[test]
    fn hex_is_exact() {
        let digest = sha256(b"x");
        assert_eq!(parse_hex(&hex(&digest).to_uppercase()), Ok(digest));
        assert_eq!(parse_hex(&hex(&digest)[1..]), Err(InvalidDigest));
        assert_eq!(parse_hex(&"g".repeat(64)), Err(InvalidDigest));
        assert_eq!(parse_hex(&"ä".repeat(32)), Err(InvalidDigest));
    }

    proptest! {
        #[test]
        fn hex_round_trips(digest: [u8; 32]) {
            prop_assert_eq!(parse_hex(&hex(&digest)), Ok(digest));
        }
    }
}
