//! The hash chain of the audit log: an entry that was changed, removed or put in shows.
//!
//! Each entry's hash covers the hash of the one before it, its own sequence number and its
//! fields. The form is fixed for good, since stored hashes must verify for ever:
//! `SHA-256("opamp-audit-v1\n" ‖ previous ‖ sequence ‖ count ‖ (length ‖ name ‖ length ‖ value)*)`,
//! numbers as 8 bytes in big-endian order.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::hex;

const DOMAIN: &[u8] = b"opamp-audit-v1\n";

/// The hash of one entry, and through it of all before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What stands before the first entry.
    pub const GENESIS: Self = Self([0; 32]);

    /// A hash as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}

/// One entry of the log as it goes into the hash.
///
/// ```
/// use trust::{ChainHash, Entry};
/// let fields = [("actor", b"alice".as_slice()), ("action", b"config.release")];
/// let entry = Entry { sequence: 1, previous: ChainHash::GENESIS, fields: &fields };
/// assert_ne!(entry.hash(), ChainHash::GENESIS);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its place in the chain: the first is 1, and none is left out.
    pub sequence: u64,
    /// The hash of the entry before it.
    pub previous: ChainHash,
    /// Name and value of each field, always in the same order. What is not listed is not covered.
    pub fields: &'a [(&'a str, &'a [u8])],
}

impl Entry<'_> {
    /// The hash to store beside this entry.
    pub fn hash(&self) -> ChainHash {
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        hasher.update(self.previous.0);
        hasher.update(self.sequence.to_be_bytes());
        hasher.update(length(self.fields.len()));
        for (name, value) in self.fields {
            for part in [name.as_bytes(), value] {
                hasher.update(length(part.len()));
                hasher.update(part);
            }
        }
        ChainHash(hasher.finalize().into())
    }
}

fn length(count: usize) -> [u8; 8] {
    // usize has at most 64 bits on every platform there is.
    (count as u64).to_be_bytes()
}

/// Where the stored chain is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainBroken {
    /// An entry is missing, doubled or out of order.
    #[error("entry {found} stands where entry {expected} belongs")]
    Sequence {
        /// The number that belongs there.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
    /// The entry does not follow from the one before it.
    #[error("entry {sequence} does not follow from the entry before it")]
    Previous {
        /// Which entry.
        sequence: u64,
    },
    /// The entry's content is not what was hashed when it was written.
    #[error("entry {sequence} was changed after it was written")]
    Content {
        /// Which entry.
        sequence: u64,
    },
}

/// Walks a stored chain, one entry after the other, and says at the first break what it is.
///
/// A chain cut off at its end verifies: compare [`head`](Self::head) with one kept elsewhere.
#[derive(Debug, Clone)]
pub struct ChainVerifier {
    head: ChainHash,
    next: u64,
}

impl ChainVerifier {
    /// From the first entry on.
    pub const fn from_genesis() -> Self {
        Self {
            head: ChainHash::GENESIS,
            next: 1,
        }
    }

    /// From the entry after one that is known to be good.
    pub const fn after(sequence: u64, hash: ChainHash) -> Self {
        Self {
            head: hash,
            next: sequence.saturating_add(1),
        }
    }

    /// The hash of the last good entry.
    pub const fn head(&self) -> ChainHash {
        self.head
    }

    /// The sequence number that the next entry must have.
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Checks the next stored entry against the hash stored beside it.
    ///
    /// # Errors
    /// The first thing that does not fit; the verifier then stays where it was.
    pub fn accept(&mut self, entry: &Entry<'_>, stored: ChainHash) -> Result<(), ChainBroken> {
        let sequence = entry.sequence;
        if sequence != self.next {
            return Err(ChainBroken::Sequence {
                expected: self.next,
                found: sequence,
            });
        }
        if entry.previous != self.head {
            return Err(ChainBroken::Previous { sequence });
        }
        if entry.hash() != stored {
            return Err(ChainBroken::Content { sequence });
        }
        self.head = stored;
        self.next = sequence.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Stored = (u64, ChainHash, Vec<u8>, ChainHash);

    fn chain(values: &[Vec<u8>]) -> Vec<Stored> {
        let mut previous = ChainHash::GENESIS;
        let mut stored = Vec::new();
        for (sequence, value) in (1..).zip(values) {
            let hash = Entry {
                sequence,
                previous,
                fields: &[("detail", value)],
            }
            .hash();
            stored.push((sequence, previous, value.clone(), hash));
            previous = hash;
        }
        stored
    }

    fn verify(stored: &[Stored]) -> Result<ChainHash, ChainBroken> {
        let mut verifier = ChainVerifier::from_genesis();
        for (sequence, previous, value, hash) in stored {
            let fields = [("detail", value.as_slice())];
            let entry = Entry {
                sequence: *sequence,
                previous: *previous,
                fields: &fields,
            };
            verifier.accept(&entry, *hash)?;
        }
        Ok(verifier.head())
    }

    #[test]
    fn golden_vector() {
        let fields = [
            ("actor", b"alice".as_slice()),
            ("action", b"config.release"),
        ];
        let entry = Entry {
            sequence: 1,
            previous: ChainHash::GENESIS,
            fields: &fields,
        };
        let expected = "fccca9144e0ee2e53480b53589e6ba22412be1112636711b6019316f152b10f3";
        assert_eq!(entry.hash().to_string(), expected);
    }

    #[test]
    fn a_field_boundary_cannot_be_moved() {
        let hash = |fields: &[(&str, &[u8])]| {
            Entry {
                sequence: 1,
                previous: ChainHash::GENESIS,
                fields,
            }
            .hash()
        };
        assert_ne!(hash(&[("ab", b"c")]), hash(&[("a", b"bc")]));
        assert_ne!(hash(&[("a", b"b"), ("c", b"d")]), hash(&[("a", b"b")]));
        assert_ne!(hash(&[]), hash(&[("", b"")]));
    }

    #[test]
    fn each_kind_of_break_is_named() {
        let whole = chain(&[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
        assert_eq!(verify(&whole), Ok(whole[2].3));

        let gap = [whole[0].clone(), whole[2].clone()];
        assert_eq!(
            verify(&gap),
            Err(ChainBroken::Sequence {
                expected: 2,
                found: 3
            })
        );

        let mut edited = whole.clone();
        edited[1].2 = b"B".to_vec();
        assert_eq!(verify(&edited), Err(ChainBroken::Content { sequence: 2 }));

        let mut rehashed = edited;
        let fields = [("detail", b"B".as_slice())];
        rehashed[1].3 = Entry {
            sequence: 2,
            previous: whole[0].3,
            fields: &fields,
        }
        .hash();
        assert_eq!(
            verify(&rehashed),
            Err(ChainBroken::Previous { sequence: 3 })
        );
    }

    #[test]
    fn verification_goes_on_from_a_known_good_entry() {
        let whole = chain(&[b"a".to_vec(), b"b".to_vec()]);
        let mut verifier = ChainVerifier::after(1, whole[0].3);
        let fields = [("detail", whole[1].2.as_slice())];
        let entry = Entry {
            sequence: 2,
            previous: whole[1].1,
            fields: &fields,
        };
        assert_eq!(verifier.accept(&entry, whole[1].3), Ok(()));
        assert_eq!(verifier.next_sequence(), 3);
    }

    proptest! {
        #[test]
        fn any_single_change_is_found(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 1..8),
            at: prop::sample::Index,
            what in 0..4_u8,
        ) {
            let whole = chain(&values);
            let head = verify(&whole).expect("an untouched chain verifies");
            let at = at.index(whole.len());
            let mut broken = whole.clone();
            match what {
                0 => broken[at].2.push(0),
                1 => broken[at].0 += 1,
                2 => broken[at].3 = ChainHash::from_bytes([1; 32]),
                _ => { broken.remove(at); }
            }
            // Only the loss of the newest entries leaves a chain that verifies, with another head.
            prop_assert_ne!(verify(&broken), Ok(head));
        }
    }
}
