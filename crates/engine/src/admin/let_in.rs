//! Credentials that were let in a moment ago: a request need not ask the database again for each of them.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use trust::TokenHash;

use super::access::Operator;

/// How long what was asked counts. A token that another node revokes lets in for so long; one that this node revokes does
/// not.
const COUNTS_FOR: SignedDuration = SignedDuration::from_secs(1);
/// How many are remembered.
const MOST: usize = 1_000;

/// Credentials that were let in a moment ago.
#[derive(Default)]
pub(crate) struct LetIn(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Grows with each revocation: what was asked before it does not count.
    generation: u64,
    operators: HashMap<[u8; 32], Remembered>,
}

struct Remembered {
    operator: Operator,
    asked_at: Timestamp,
    expires_at: Option<Timestamp>,
}

/// A time before which nothing was asked.
#[derive(Clone, Copy)]
pub(super) struct Asking(u64);

impl LetIn {
    pub(super) fn find(&self, credential: TokenHash, now: Timestamp) -> Option<Operator> {
        let known = self.0.lock();
        let one = known.operators.get(credential.as_bytes())?;
        let age = now.duration_since(one.asked_at);
        let is_young = !age.is_negative() && age < COUNTS_FOR;
        let is_over = one.expires_at.is_some_and(|end| end <= now);
        (is_young && !is_over).then(|| one.operator.clone())
    }

    /// Before the database is asked.
    pub(super) fn asking(&self) -> Asking {
        Asking(self.0.lock().generation)
    }

    /// Remembers an answer, unless something was revoked since it was asked for.
    pub(super) fn remember(
        &self,
        asking: Asking,
        credential: TokenHash,
        (operator, expires_at): (Operator, Option<Timestamp>),
        now: Timestamp,
    ) {
        let mut known = self.0.lock();
        if known.generation != asking.0 {
            return;
        }
        if MOST <= known.operators.len() {
            known.operators.clear();
        }
        let asked_at = now;
        known.operators.insert(
            *credential.as_bytes(),
            Remembered {
                operator,
                asked_at,
                expires_at,
            },
        );
    }

    /// Something was revoked or replaced: everybody is asked for anew.
    pub(super) fn forget(&self) {
        let mut known = self.0.lock();
        known.generation += 1;
        known.operators.clear();
    }
}
