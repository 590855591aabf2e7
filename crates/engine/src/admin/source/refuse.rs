//! Refusing a commit: what is wrong with it is kept and told, and nothing else changes.

use std::collections::BTreeMap;

use domain::EventKind;
use jiff::Timestamp;
use store::sources::{RefusedCommit, SourceFinding, SourceRecord};
use store::{StoreError, Tx, events, sources};

use super::{ConfigSource, NewCommit};
use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::engine::Engine;
use crate::events as told;

/// How many findings are kept of a commit.
const MOST_FINDINGS: usize = 100;

impl Engine {
    /// Refuses a commit, in the transaction that has locked its source. The same refusal again is not told again.
    pub(super) async fn refuse_in(
        &self,
        mut tx: Tx,
        (source, mut record): (&ConfigSource, SourceRecord),
        commit: &NewCommit,
        mut findings: Vec<SourceFinding>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let more = findings.len().saturating_sub(MOST_FINDINGS) as u64;
        findings.truncate(MOST_FINDINGS);
        let refused = RefusedCommit {
            commit: commit.record(),
            at: now,
            findings,
            more,
        };
        let is_news = record.refused.as_ref().is_none_or(|known| {
            (&known.commit, &known.findings) != (&refused.commit, &refused.findings)
        });
        record.seen = commit.id().to_string();
        if !is_news {
            sources::save(&mut tx, &record).await?;
            return tx.commit().await;
        }
        let first = refused.findings.first().map(line).unwrap_or_default();
        let count = refused.findings.len() as u64 + more;
        let detail = BTreeMap::from([
            ("commit".to_owned(), refused.commit.id.clone()),
            ("author".to_owned(), refused.commit.author.clone()),
            ("message".to_owned(), refused.commit.message.clone()),
            ("findings".to_owned(), count.to_string()),
            ("first".to_owned(), first.clone()),
        ]);
        record.refused = Some(refused);
        sources::save(&mut tx, &record).await?;
        let event = source.event(EventKind::ConfigSourceRefused, now, detail);
        let last = events::append(&mut tx, &[event]).await?;
        let resource = format!("config-source/commits/{}", commit.id());
        Act::new("config_source.refused", "apply", resource)
            .failed(&mut tx, &Caller::git(&source.namespace), now, first.clone())
            .await?;
        tx.commit().await?;
        last.into_iter().for_each(|event| self.announce(event));
        told::source_commit_refused(&commit.id().to_string(), count, &first);
        Ok(())
    }
}

/// A finding in one line.
fn line(finding: &SourceFinding) -> String {
    let numbers = [finding.line, finding.column].into_iter().flatten();
    let place = numbers.fold(finding.file.clone(), |place, number| {
        format!("{place}:{number}")
    });
    match place.as_str() {
        "" => format!("{}: {}", finding.code, finding.problem),
        place => format!("{place}: {}: {}", finding.code, finding.problem),
    }
}
