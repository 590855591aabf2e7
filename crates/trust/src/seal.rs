//! Texts sealed for the database: AES-256-GCM under a key that is kept elsewhere.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::{Secret, hex, sha256_of_parts};

/// A key that seals and opens.
pub struct SealingKey {
    key: LessSafeKey,
    id: String,
}

/// Why a key cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealing key has 64 hexadecimal digits, as `openssl rand -hex 32` prints them")]
pub struct InvalidSealingKey;

/// Why something sealed was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed with another key, for another place, or is damaged")]
pub struct CannotOpen;

impl SealingKey {
    /// Takes the key itself.
    ///
    /// # Panics
    /// Never: every 32 bytes are a key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes");
        let id = sha256_of_parts([b"opamp-sealing-key\n".as_slice(), bytes]);
        Self {
            key: LessSafeKey::new(key),
            id: hex(&id[..8]),
        }
    }

    /// Reads the key from its digits; blanks around them do not matter.
    ///
    /// # Errors
    /// [`InvalidSealingKey`].
    pub fn from_hex(text: &str) -> Result<Self, InvalidSealingKey> {
        let digits = text.trim().as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(InvalidSealingKey);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok();
            let pair = pair.filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
            let read = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            *byte = read.ok_or(InvalidSealingKey)?;
        }
        Ok(Self::from_bytes(&bytes))
    }

    /// What tells this key from others; it tells nothing of the key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a text for one place, with 12 bytes that are never used again with this key.
    ///
    /// # Panics
    /// Never: texts of 64 GiB do not come here.
    #[must_use]
    pub fn seal(&self, nonce: [u8; NONCE_LEN], place: &[u8], text: &str) -> Vec<u8> {
        let mut sealed = text.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place),
                &mut sealed,
            )
            .expect("the text is shorter than 64 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Secret, CannotOpen> {
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(CannotOpen)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(place), &mut sealed)
            .map_err(|_| CannotOpen)?;
        let text = std::str::from_utf8(opened).map_err(|_| CannotOpen)?;
        Ok(Secret::new(text))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_at_its_place_alone() {
        let key = SealingKey::from_bytes(&[7; 32]);
        let sealed = key.seal([1; 12], b"default/db/1", "hunter2");
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        let opened = key.open(b"default/db/1", &sealed).unwrap();
        assert_eq!(opened.expose(), "hunter2");
        assert_eq!(key.open(b"default/db/2", &sealed), Err(CannotOpen));
        let other = SealingKey::from_bytes(&[8; 32]);
        assert_eq!(other.open(b"default/db/1", &sealed), Err(CannotOpen));
        assert_ne!(other.id(), key.id());
        for cut in [0, 5, 12, sealed.len() - 1] {
            assert_eq!(key.open(b"default/db/1", &sealed[..cut]), Err(CannotOpen));
        }
        for place in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[place] ^= 1;
            assert_eq!(key.open(b"default/db/1", &damaged), Err(CannotOpen));
        }
    }

    /// Databases hold what was sealed so.
    #[test]
    fn the_form_stays() {
        let key = SealingKey::from_bytes(&[7; 32]);
        let sealed = key.seal([1; 12], b"place", "a");
        assert_eq!(key.id(), "6506b155e0d9e5f2");
        let digits: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            digits,
            "0101010101010101010101011751b0efcef72d906c1d326461f1d1f14c"
        );
    }

    #[test]
    fn a_key_is_read_from_its_digits() {
        let digits = "07".repeat(32);
        let key = SealingKey::from_hex(&format!("{digits}\n")).unwrap();
        assert_eq!(key.id(), SealingKey::from_bytes(&[7; 32]).id());
        for wrong in [
            "",
            "07",
            &"0g".repeat(32),
            &"+7".repeat(32),
            &"07".repeat(33),
        ] {
            assert_eq!(SealingKey::from_hex(wrong).err(), Some(InvalidSealingKey));
        }
        assert_eq!(format!("{key:?}"), format!("SealingKey({})", key.id()));
    }
}
