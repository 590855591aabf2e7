//! The audit log: what is written to it, and reading and verifying it.

use domain::{AgentId, AuditEntry, AuditOutcome, ContentHash};
use jiff::Timestamp;
use store::{Db, StoreError, Tx, audit};
use trust::{ChainHash, ChainVerifier, Entry};

use super::access::Caller;
use super::{PageOf, Paged};
use crate::engine::Engine;

pub use store::audit::AuditRecord;

/// Entries that verification reads at a time.
const VERIFY_STEP: u32 = 500;

/// One audited act, before it has an actor, a time and a place in the chain.
#[derive(Debug, Clone)]
pub struct Act {
    event_type: &'static str,
    action: String,
    resource: String,
    agent: Option<AgentId>,
    old_value: Option<String>,
    new_value: Option<String>,
}

impl Act {
    pub(crate) fn new(
        event_type: &'static str,
        action: impl Into<String>,
        resource: impl Into<String>,
    ) -> Self {
        Self {
            event_type,
            action: action.into(),
            resource: resource.into(),
            agent: None,
            old_value: None,
            new_value: None,
        }
    }

    pub(crate) fn on_agent(event_type: &'static str, action: &'static str, agent: AgentId) -> Self {
        Self {
            agent: Some(agent),
            ..Self::new(event_type, action, format!("agents/{agent}"))
        }
    }

    pub(crate) fn old(self, value: impl ToString) -> Self {
        Self {
            old_value: Some(value.to_string()),
            ..self
        }
    }

    pub(crate) fn new_value(self, value: impl ToString) -> Self {
        Self {
            new_value: Some(value.to_string()),
            ..self
        }
    }

    /// Writes the act as done, in the transaction that does it. The last statement of that transaction.
    pub(crate) async fn done(
        self,
        tx: &mut Tx,
        caller: &Caller,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.append(tx, caller, at, AuditOutcome::Success).await
    }

    /// Writes the act as one that came to nothing.
    pub(crate) async fn failed(
        self,
        tx: &mut Tx,
        caller: &Caller,
        at: Timestamp,
        error: String,
    ) -> Result<(), StoreError> {
        let outcome = AuditOutcome::Failure { error };
        self.append(tx, caller, at, outcome).await
    }

    async fn append(
        self,
        tx: &mut Tx,
        caller: &Caller,
        at: Timestamp,
        outcome: AuditOutcome,
    ) -> Result<(), StoreError> {
        let entry = AuditEntry {
            namespace: caller.namespace.clone(),
            at,
            event_type: self.event_type.to_owned(),
            agent: self.agent,
            user: caller.actor.clone(),
            action: self.action,
            resource: self.resource,
            old_value: self.old_value,
            new_value: self.new_value,
            outcome,
        };
        audit::append(tx, &entry, chain_hash).await.map(drop)
    }
}

/// A request that was refused, for the audit log.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP method.
    pub action: String,
    /// The path that was asked for, without its query.
    pub resource: String,
    /// What the caller was told.
    pub error: String,
}

/// What verification of the audit chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Entries that were checked and fit.
    pub entries: u64,
    /// The hash of the last entry that fits.
    pub head: ChainHash,
    /// Where the chain breaks, and how; `None`: it is whole.
    pub broken: Option<Break>,
}

/// Where the audit chain is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The sequence number of the entry that stands there.
    pub sequence: u64,
    /// How it does not fit.
    pub reason: String,
}

impl Engine {
    /// Notes a refused request.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_refusal(
        &self,
        caller: &Caller,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db().begin().await?;
        let outcome = AuditOutcome::Failure {
            error: refusal.error,
        };
        Act::new("request.refused", refusal.action, refusal.resource)
            .append(&mut tx, caller, now, outcome)
            .await?;
        tx.commit().await
    }

    /// Entries of the caller's namespace, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_entries(
        &self,
        caller: &Caller,
        page: PageOf<u64>,
    ) -> Result<Paged<AuditRecord, u64>, StoreError> {
        let mut conn = self.db().read().await?;
        let read = audit::list(&mut conn, &caller.namespace, page.after, page.probe()).await?;
        Ok(page.cut(read, |last| last.sequence))
    }

    /// Verifies the whole chain, over all namespaces: it is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn verify_audit(&self) -> Result<Verification, StoreError> {
        verify(self.db()).await
    }
}

/// Verifies the whole chain of a database.
pub(super) async fn verify(db: &Db) -> Result<Verification, StoreError> {
    let mut verifier = ChainVerifier::from_genesis();
    let mut entries = 0;
    loop {
        // A connection a step: a long chain does not keep one from others.
        let mut conn = db.read().await?;
        let step = audit::chain(&mut conn, entries, VERIFY_STEP).await?;
        drop(conn);
        if step.is_empty() {
            return Ok(Verification {
                entries,
                head: verifier.head(),
                broken: None,
            });
        }
        for record in &step {
            if let Err(reason) = check(&mut verifier, record) {
                let broken = Some(Break {
                    sequence: record.sequence,
                    reason: reason.to_string(),
                });
                return Ok(Verification {
                    entries,
                    head: verifier.head(),
                    broken,
                });
            }
            entries += 1;
        }
    }
}

fn check(verifier: &mut ChainVerifier, record: &AuditRecord) -> Result<(), trust::ChainBroken> {
    let previous = ChainHash::from_bytes(*record.previous.as_bytes());
    let stored = ChainHash::from_bytes(*record.hash.as_bytes());
    with_entry(record.sequence, previous, &record.entry, |entry| {
        verifier.accept(entry, stored)
    })
}

/// The hash of an entry, for the store to put beside it.
pub(crate) fn chain_hash(sequence: u64, previous: &ContentHash, entry: &AuditEntry) -> ContentHash {
    let previous = ChainHash::from_bytes(*previous.as_bytes());
    let hash = with_entry(sequence, previous, entry, |entry| entry.hash());
    ContentHash::from_bytes(*hash.as_bytes())
}

/// Lays an audit entry out as the chain hashes it. The order and names are for good: they are in every stored hash.
fn with_entry<T>(
    sequence: u64,
    previous: ChainHash,
    entry: &AuditEntry,
    read: impl FnOnce(&Entry<'_>) -> T,
) -> T {
    let at = entry.at.as_microsecond().to_be_bytes();
    let agent = entry.agent.map(|agent| *agent.as_bytes());
    let (success, error) = match &entry.outcome {
        AuditOutcome::Success => (b"1".as_slice(), None),
        AuditOutcome::Failure { error } => (b"0".as_slice(), Some(error.as_str())),
    };
    let mut fields: Vec<(&str, &[u8])> = vec![
        ("namespace", entry.namespace.as_str().as_bytes()),
        ("time_us", &at),
        ("event_type", entry.event_type.as_bytes()),
        ("user", entry.user.as_str().as_bytes()),
        ("action", entry.action.as_bytes()),
        ("resource", entry.resource.as_bytes()),
        ("success", success),
    ];
    // What is absent is left out, so that it is not the same as what is empty.
    let optional: [(&str, Option<&[u8]>); 4] = [
        ("agent", agent.as_ref().map(<[u8; 16]>::as_slice)),
        ("old_value", entry.old_value.as_ref().map(String::as_bytes)),
        ("new_value", entry.new_value.as_ref().map(String::as_bytes)),
        ("error", error.map(str::as_bytes)),
    ];
    fields.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    read(&Entry {
        sequence,
        previous,
        fields: &fields,
    })
}

#[cfg(test)]
mod tests {
    use domain::{Actor, Namespace};

    use super::*;

    fn entry() -> AuditEntry {
        AuditEntry {
            namespace: Namespace::default(),
            at: Timestamp::from_microsecond(1_700_000_000_000_001).unwrap(),
            event_type: "config.put".into(),
            agent: None,
            user: Actor::admin(),
            action: "put".into(),
            resource: "configs/edge".into(),
            old_value: None,
            new_value: Some("2".into()),
            outcome: AuditOutcome::Success,
        }
    }

    #[test]
    fn every_field_is_in_the_hash() {
        let genesis = ContentHash::from_bytes([0; 32]);
        let hash = |entry: &AuditEntry| chain_hash(1, &genesis, entry);
        let changes: [fn(&mut AuditEntry); 10] = [
            |entry| entry.namespace = Namespace::new("other").unwrap(),
            |entry| entry.at = Timestamp::UNIX_EPOCH,
            |entry| entry.event_type.push('x'),
            |entry| entry.agent = Some(AgentId::from_bytes([1; 16])),
            |entry| entry.user = Actor::server(),
            |entry| entry.action.push('x'),
            |entry| entry.resource.push('x'),
            |entry| entry.old_value = Some(String::new()),
            |entry| entry.new_value = None,
            |entry| {
                entry.outcome = AuditOutcome::Failure {
                    error: String::new(),
                }
            },
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = entry();
            change(&mut changed);
            assert_ne!(hash(&changed), hash(&entry()), "change {index}");
        }
        assert_ne!(chain_hash(2, &genesis, &entry()), hash(&entry()));
        assert_ne!(
            chain_hash(1, &ContentHash::from_bytes([1; 32]), &entry()),
            hash(&entry())
        );
    }
}
