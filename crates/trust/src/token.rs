//! Bearer tokens: their text, which kind they are of, and the hash that is all we keep.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::{Secret, hex, sha256};

/// Lower-case base32 (RFC 4648): a token is one word to a double click and to a log scanner.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 32 bytes in base32 without padding.
const BODY_CHARS: usize = 52;

/// What a token opens. The two planes never share credentials, and the text shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// For the agent plane: `opamp_agt_…`.
    Agent,
    /// For the admin plane: `opamp_adm_…`.
    Admin,
}

impl TokenKind {
    /// What each token of this kind begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Agent => "opamp_agt_",
            Self::Admin => "opamp_adm_",
        }
    }

    /// The kind of a text that has the form of a token made here, however it came to be.
    ///
    /// A cheap first look: a text of the wrong plane can be refused with a better message than
    /// "unknown token". It is no proof of anything.
    pub fn of(text: &str) -> Option<Self> {
        [Self::Agent, Self::Admin].into_iter().find(|kind| {
            text.strip_prefix(kind.prefix()).is_some_and(|body| {
                body.len() == BODY_CHARS && body.bytes().all(|byte| ALPHABET.contains(&byte))
            })
        })
    }
}

/// A token that was just made: shown to its owner once, kept by nobody.
///
/// ```
/// use trust::{Token, TokenHash, TokenKind};
/// # let random = [7; 32];
/// let token = Token::generate(TokenKind::Agent, &random);
/// assert!(token.expose().starts_with("opamp_agt_"));
/// assert_eq!(token.hash(), TokenHash::of(token.expose()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Secret);

impl Token {
    /// A token from 32 bytes of a cryptographic random source.
    pub fn generate(kind: TokenKind, random: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(kind.prefix().len() + BODY_CHARS);
        text.push_str(kind.prefix());
        push_base32(random, &mut text);
        Self(Secret::new(text))
    }

    /// The text to hand to its owner.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is stored instead of the token.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose())
    }
}

fn push_base32(bytes: &[u8], text: &mut String) {
    let mut buffer = 0_u16;
    let mut bits = 0;
    for byte in bytes {
        buffer = buffer << 8 | u16::from(*byte);
        bits += 8;
        while 5 <= bits {
            bits -= 5;
            text.push(char::from(ALPHABET[usize::from(buffer >> bits & 31)]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits != 0 {
        text.push(char::from(ALPHABET[usize::from(buffer << (5 - bits) & 31)]));
    }
}

/// The SHA-256 of a token's text, which is what is stored and looked up.
///
/// A plain hash is enough, and no slow one is needed: tokens carry 256 bits of randomness, so
/// there is nothing to guess. (A token that a person configured is their choice.)
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of any text that was presented as a token.
    pub fn of(text: &str) -> Self {
        Self(sha256(text.as_bytes()))
    }

    /// A hash as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl std::hash::Hash for TokenHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for TokenHash {
    /// The first four bytes: enough to tell two apart in a log, useless for anything else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}…)", hex(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base32_is_rfc_4648_in_lower_case() {
        let check = |input: &[u8], expected: &str| {
            let mut text = String::new();
            push_base32(input, &mut text);
            assert_eq!(text, expected);
        };
        check(b"", "");
        check(b"f", "my");
        check(b"fo", "mzxq");
        check(b"foo", "mzxw6");
        check(b"foob", "mzxw6yq");
        check(b"fooba", "mzxw6ytb");
        check(b"foobar", "mzxw6ytboi");
    }

    #[test]
    fn a_token_shows_its_plane_and_nothing_when_debugged() {
        let token = Token::generate(TokenKind::Admin, &[0xab; 32]);
        assert_eq!(TokenKind::of(token.expose()), Some(TokenKind::Admin));
        assert!(!format!("{token:?}").contains(&token.expose()[10..]));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let good = Token::generate(TokenKind::Agent, &[1; 32]);
        let good = good.expose();
        for text in [
            "",
            "opamp_agt_",
            "Bearer x",
            &good[1..],
            &good[..good.len() - 1],
        ] {
            assert_eq!(TokenKind::of(text), None, "{text}");
        }
        assert_eq!(TokenKind::of(&good.to_uppercase()), None);
        assert_eq!(TokenKind::of(&format!("{good}a")), None);
    }

    proptest! {
        #[test]
        fn distinct_bytes_make_distinct_tokens(a: [u8; 32], b: [u8; 32]) {
            let [left, right] = [a, b].map(|random| Token::generate(TokenKind::Agent, &random));
            prop_assert_eq!(left == right, a == b);
            prop_assert_eq!(left.hash() == right.hash(), a == b);
            prop_assert_eq!(TokenKind::of(left.expose()), Some(TokenKind::Agent));
        }

        #[test]
        fn looking_at_any_text_never_panics(text in ".*") {
            TokenKind::of(&text);
        }
    }
}
