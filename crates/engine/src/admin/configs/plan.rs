//! Planning: what a release, an edit or a deletion would do to every agent, before it does.

use std::sync::Arc;

use desired::{Finding, Layer};
use domain::{ConfigName, Kind, Revision, RevisionNumber};
use jiff::Timestamp;
use store::{Conn, StoreError, configs};

use super::put::{ReadBody, check_kind, revision_of};
use super::{NewRevision, NoSuch, PutConfigError, find_config, find_revision, standing};
use crate::admin::access::Caller;
use crate::engine::Engine;
use crate::preview::{Apart, Group};

/// What somebody thinks of doing to a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// Release this revision; the newest when `None`.
    Release(Option<RevisionNumber>),
    /// Make this the next revision and release it.
    Edit(NewRevision),
    /// Delete the config and take it away from its agents.
    Remove,
}

/// What a proposal would come to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The revision that would be in force; `None`: none. Of an edit it does not exist yet.
    pub revision: Option<RevisionNumber>,
    /// The one that is in force.
    pub previous: Option<RevisionNumber>,
    /// The agents that are concerned, alike ones together, the largest groups first.
    pub groups: Vec<Group>,
    /// What checks say of the revision alone, where no agent is concerned: what it lacks, another config may have.
    pub alone: Vec<Finding>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no such config or revision.
    #[error(transparent)]
    NoSuch(#[from] NoSuch),
    /// The edit could not become a revision.
    #[error(transparent)]
    Edit(#[from] PutConfigError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// What a proposal would do, as of when it is asked, agents of one build apart where that is wanted. Nothing happens and
    /// nothing is stored.
    ///
    /// # Errors
    /// [`PlanError`].
    pub async fn plan_config(
        &self,
        caller: &Caller,
        config: &ConfigName,
        (proposal, apart): (&Proposal, Apart),
        now: Timestamp,
    ) -> Result<Plan, PlanError> {
        let read = match proposal {
            Proposal::Edit(new) => self.check_new_revision(new)?,
            Proposal::Release(_) | Proposal::Remove => ReadBody::default(),
        };
        let mut change = self.begin_change(now).await?;
        let mut conn = self.db().read().await?;
        let previous = configs::baseline(&mut conn, &caller.namespace, config).await?;
        let target = match proposal {
            Proposal::Edit(new) => Some(edited(&mut conn, caller, config, (new, read), now).await?),
            Proposal::Release(number) => {
                Some(find_revision::<PlanError>(&mut conn, caller, config, *number).await?)
            }
            Proposal::Remove => {
                find_config::<PlanError>(&mut conn, caller, config).await?;
                None
            }
        };
        let target = target.map(Arc::new);
        drop(conn);
        match &target {
            Some(revision) if change.is_forced_baseline(revision) => {
                change.force_baseline(Arc::clone(revision));
            }
            Some(revision) => change.set_baseline(Arc::clone(revision)),
            None => change.remove_config(&caller.namespace, config),
        }
        change.stay_a_draft();
        let groups = change.preview_apart(apart, now).await?;
        drop(change);
        let alone = match &target {
            Some(revision)
                if groups.is_empty()
                    && revision.kind == Kind::Collector
                    && revision.template.is_none() =>
            {
                let layer = Layer::with(Arc::clone(revision), None);
                let combined = self.inner.renderer.combine(&[layer]);
                combined
                    .map(|combined| combined.findings())
                    .unwrap_or_default()
            }
            // What a template makes of no agent is not known, and a set makes nothing alone.
            _ => Vec::new(),
        };
        Ok(Plan {
            revision: target.map(|revision| revision.number),
            previous: previous.map(|baseline| baseline.revision),
            groups,
            alone,
        })
    }
}

/// The revision that an edit would become.
pub(super) async fn edited(
    conn: &mut Conn,
    caller: &Caller,
    config: &ConfigName,
    (new, read): (&NewRevision, ReadBody),
    now: Timestamp,
) -> Result<Revision, PutConfigError> {
    let record = standing(configs::find(conn, &caller.namespace, config).await?);
    let before = configs::revisions(conn, &caller.namespace, config, None, 1).await?;
    check_kind(record.as_ref(), before.first(), &new.kind)?;
    revision_of(caller, config, (new, read), before.first(), now)
}
