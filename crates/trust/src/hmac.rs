//! HMAC-SHA256 (RFC 2104): what somebody signs who shares a secret, such as the sender of a webhook.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// A code over a message that comes in pieces.
#[derive(Clone)]
pub struct HmacSha256 {
    inner: Sha256,
    outer: Sha256,
}

impl HmacSha256 {
    /// Begins a message under a key.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if key.len() <= BLOCK {
            block[..key.len()].copy_from_slice(key);
        } else {
            block[..32].copy_from_slice(&Sha256::digest(key));
        }
        let padded = |pad: u8| Sha256::new_with_prefix(block.map(|byte| byte ^ pad));
        Self {
            inner: padded(0x36),
            outer: padded(0x5c),
        }
    }

    /// Takes the next piece of the message.
    pub fn update(&mut self, piece: &[u8]) {
        self.inner.update(piece);
    }

    /// Whether this is the message's code, in a time that does not tell how much of it is right.
    #[must_use]
    pub fn verify(self, code: &[u8]) -> bool {
        self.finish().ct_eq(code).into()
    }

    /// The message's code.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        self.outer.update(self.inner.finalize());
        self.outer.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    fn check(key: &[u8], message: &[u8], expected: &str) {
        let mut code = HmacSha256::new(key);
        message.chunks(7).for_each(|piece| code.update(piece));
        assert_eq!(hex(&code.clone().finish()), expected);
        assert!(code.clone().verify(&code.clone().finish()));
        assert!(!code.clone().verify(&code.finish()[..31]));
    }

    /// The test cases of RFC 4231.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        check(
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        );
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
    }
}
