//! Where the source stands: what was taken of it, and what of that is not in force.

use domain::{ConfigName, RevisionNumber};
use store::sources::SourceRecord;
use store::{StoreError, configs, sources};

use super::ConfigSource;
use crate::engine::Engine;

/// What was taken of a source, and what of it waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceStanding {
    /// What was taken; nothing, if nothing was yet.
    pub record: Option<SourceRecord>,
    /// Configs whose newest revision is not in force, or that are in force although the source has them no more.
    pub waiting: Vec<Waiting>,
}

/// A config that waits for its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// It.
    pub config: ConfigName,
    /// Its newest revision.
    pub latest: RevisionNumber,
    /// The revision in force.
    pub baseline: Option<RevisionNumber>,
    /// Whether the source has it no more: it waits for being taken away.
    pub is_gone: bool,
    /// Why it was not released, where the source tried.
    pub refused: Option<String>,
}

impl SourceStanding {
    /// The commit from which to go on: the one that was looked at last.
    #[must_use]
    pub fn seen(&self) -> Option<&str> {
        let record = self.record.as_ref()?;
        Some(record.seen.as_str()).filter(|seen| !seen.is_empty())
    }

    /// Whether the commit that was looked at last was refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| record.refused.is_some())
    }
}

impl Engine {
    /// Where a source stands. Of another repository, branch or directory that was configured before nothing is told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn source_standing(
        &self,
        source: &ConfigSource,
    ) -> Result<SourceStanding, StoreError> {
        let mut conn = self.db().read().await?;
        let record = sources::find(&mut conn, &source.namespace).await?;
        let record = record.filter(|record| source.is_of(record));
        let releases = record.as_ref().map_or(&[][..], |record| &record.releases);
        let owned = configs::owned(&mut conn, &source.namespace).await?;
        let mut waiting = Vec::new();
        for overview in owned {
            let config = overview.config;
            let is_gone = config.source.is_some_and(|owner| owner.gone_at.is_some());
            if !is_gone && overview.baseline == Some(config.latest) {
                continue;
            }
            let release = releases
                .iter()
                .find(|release| release.config == config.name.as_str());
            waiting.push(Waiting {
                refused: release.and_then(|release| release.refused.clone()),
                config: config.name,
                latest: config.latest,
                baseline: overview.baseline,
                is_gone,
            });
        }
        Ok(SourceStanding { record, waiting })
    }
}
