//! Everything that is hashed or verified, in one small auditable place.
//!
//! What is here decides whether bytes are what they claim to be: digests, secrets that do not
//! print themselves, bearer tokens, texts sealed under a key, and the hash chain of the audit log. Nothing here reads a
//! clock, a random source, a file or a socket; random bytes are given by the caller.
//!
//! Left out on purpose: storage of any of it, and the transport's TLS.
//!
//! Start at [`sha256`] and [`Token`].

mod chain;
mod content;
mod digest;
mod hmac;
mod seal;
mod secret;
mod token;

pub use chain::{ChainBroken, ChainHash, ChainVerifier, Entry};
pub use content::content_hash;
pub use digest::{InvalidDigest, hex, parse_hex, sha256, sha256_of_parts};
pub use hmac::HmacSha256;
pub use seal::{CannotOpen, InvalidSealingKey, SealingKey};
pub use secret::Secret;
pub use token::{Token, TokenHash, TokenKind};
