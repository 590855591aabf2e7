//! Identifiers and names: one newtype per noun, so that none is passed where another is meant.

use std::fmt;
use std::str::FromStr;

/// An identifier or name that does not have the form its type asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: {reason}")]
pub struct InvalidName {
    /// The noun, for example `namespace`.
    pub what: &'static str,
    /// What is wrong, fit to be shown to the person who wrote it.
    pub reason: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Makes an id (a UUID of version 7) from a time in milliseconds since 1970 and random bytes.
            ///
            /// Ids made later sort later, which keeps the indexes over them compact.
            #[must_use]
            pub fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid().into_bytes())
            }

            /// Takes 16 bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Takes a slice of exactly 16 bytes.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                uuid::Uuid::try_parse(text)
                    .map(|id| Self(id.into_bytes()))
                    .map_err(|_| InvalidName { what: $what, reason: "must be UUID text" })
            }
        }
    };
}

uuid_id! {
    /// One agent as this control plane knows it: stable, ours, made when a (namespace, instance uid) is first seen.
    AgentId, "agent id"
}

uuid_id! {
    /// One rollout.
    RolloutId, "rollout id"
}

uuid_id! {
    /// One token of an agent or of an administrator; public, unlike the token's text.
    TokenId, "token id"
}

/// What a character of a name may be, beside lowercase letters and digits.
const NAMESPACE_PUNCTUATION: &[u8] = b"-";
const CONFIG_PUNCTUATION: &[u8] = b"-._";

fn check_name(
    what: &'static str,
    text: &str,
    max_bytes: usize,
    punctuation: &[u8],
) -> Result<(), InvalidName> {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let refuse = |reason| Err(InvalidName { what, reason });
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return refuse("must not be empty");
    };
    if max_bytes < bytes.len() {
        return refuse("is too long");
    }
    if !bytes
        .iter()
        .all(|byte| alphanumeric(byte) || punctuation.contains(byte))
    {
        return refuse(
            "may hold lowercase letters, digits and punctuation ('-', in config names also '.' and '_') only",
        );
    }
    if !alphanumeric(first) || !alphanumeric(last) {
        return refuse("must begin and end with a lowercase letter or a digit");
    }
    Ok(())
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max_bytes:expr, $punctuation:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The longest allowed name, in bytes.
            pub const MAX_BYTES: usize = $max_bytes;

            /// Checks and takes a name.
            ///
            /// # Errors
            /// [`InvalidName`] says what is wrong with it.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                check_name($what, text, Self::MAX_BYTES, $punctuation)?;
                Ok(Self(text.into()))
            }

            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name's text, shared: it costs no allocation.
            #[must_use]
            pub fn to_shared(&self) -> std::sync::Arc<str> {
                std::sync::Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }
    };
}

text_name! {
    /// A tenant; `default` where nobody says otherwise.
    Namespace, "namespace", 63, NAMESPACE_PUNCTUATION
}

text_name! {
    /// The name of a config within its namespace.
    ConfigName, "config name", 128, CONFIG_PUNCTUATION
}

text_name! {
    /// The name of a secret within its namespace.
    SecretName, "secret name", 128, CONFIG_PUNCTUATION
}

impl Default for Namespace {
    fn default() -> Self {
        Self("default".into())
    }
}

/// The name of one running server, unique among those that share a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(std::sync::Arc<str>);

impl NodeName {
    /// Takes a node's name as its configuration gives it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a config's revision: 1 is the first, and a number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionNumber(pub u64);

impl RevisionNumber {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for RevisionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an event in the one order of all events; later events have larger ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId(pub i64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which attachment of an agent a report belongs to; a larger one is newer and wins.
///
/// The number is chosen by the node that attaches the agent. It only has to grow: nodes that share a database
/// take it from their clock (microseconds), but never less than one more than the epoch they last saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub i64);

/// The SHA-256 of content that this server computed itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Takes the 32 bytes of a SHA-256.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Takes a slice of exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidName {
            what: "content hash",
            reason: "must be 64 hexadecimal digits",
        };
        let digits: Vec<u8> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
            .collect::<Option<_>>()
            .ok_or_else(invalid)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        if digits.len() != 64 {
            return Err(invalid());
        }
        Self::from_slice(&bytes).ok_or_else(invalid)
    }
}

/// A hash as an agent echoed it: opaque, only compared and shown.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ReportedHash(Box<[u8]>);

impl ReportedHash {
    /// The most bytes that are kept of one. It is kept for every agent and forever, and an agent may send megabytes.
    ///
    /// More than a [`ContentHash`] has, so that what was cut off never names a content.
    pub const MAX_BYTES: usize = 64;

    /// Takes the bytes an agent sent; beyond [`Self::MAX_BYTES`] they are cut off.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        let bytes = bytes.into();
        match bytes.get(..Self::MAX_BYTES) {
            Some(kept) if kept.len() < bytes.len() => Self(kept.into()),
            _ => Self(bytes),
        }
    }

    /// The bytes an agent sent, as far as they are kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The content that the agent names, if it can be one of this server's.
    #[must_use]
    pub fn as_content(&self) -> Option<ContentHash> {
        <[u8; 32]>::try_from(&*self.0).ok().map(ContentHash)
    }

    /// Whether the agent names exactly this content.
    #[must_use]
    pub fn names(&self, content: &ContentHash) -> bool {
        *self.0 == content.0
    }
}

impl fmt::Display for ReportedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for ReportedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReportedHash({self})")
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Who did something: a person, a token, or the server itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(std::sync::Arc<str>);

impl Actor {
    /// The server acting by itself.
    #[must_use]
    pub fn server() -> Self {
        Self("server".into())
    }

    /// The administrator who holds the bootstrap token.
    #[must_use]
    pub fn admin() -> Self {
        Self("admin".into())
    }

    /// Takes a name such as `token:ci` as it is stored and shown.
    #[must_use]
    pub fn named(text: &str) -> Self {
        Self(text.into())
    }

    /// The actor as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_their_own_text() {
        let id = AgentId::from_parts(1_700_000_000_000, [7; 10]);
        assert_eq!(id.to_string().parse::<AgentId>(), Ok(id));
        assert!("nonsense".parse::<AgentId>().is_err());
    }

    #[test]
    fn later_ids_sort_later() {
        assert!(AgentId::from_parts(1, [0xff; 10]) < AgentId::from_parts(2, [0; 10]));
    }

    #[test]
    fn names_are_checked() {
        for good in ["default", "a", "team-1"] {
            assert!(Namespace::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "ä", "a b", &"x".repeat(64)] {
            assert!(Namespace::new(bad).is_err(), "{bad}");
        }
        assert!(ConfigName::new("edge.collector_v2").is_ok());
        assert!(ConfigName::new("edge/collector").is_err());
    }

    #[test]
    fn content_hashes_read_back_their_own_text() {
        let hash = ContentHash::from_bytes(std::array::from_fn(|i| u8::try_from(i * 7).unwrap()));
        assert_eq!(hash.to_string().parse::<ContentHash>(), Ok(hash));
        for bad in [
            "",
            "00",
            &"0".repeat(63),
            &"0".repeat(66),
            &"g".repeat(64),
            &"é".repeat(64),
        ] {
            assert!(bad.parse::<ContentHash>().is_err(), "{bad}");
        }
        assert!(ReportedHash::new(*hash.as_bytes()).names(&hash));
        assert!(!ReportedHash::default().names(&hash));
    }

    #[test]
    fn a_reported_hash_is_cut_off_and_then_names_nothing() {
        let most = ReportedHash::MAX_BYTES;
        let kept = |bytes: usize| ReportedHash::new(vec![7; bytes]).as_bytes().len();
        assert_eq!(
            [kept(0), kept(most), kept(most + 1), kept(4 << 20)],
            [0, most, most, most]
        );
        let named = ContentHash::from_bytes([7; 32]);
        assert!(!ReportedHash::new(vec![7; 4 << 20]).names(&named));
    }
}
