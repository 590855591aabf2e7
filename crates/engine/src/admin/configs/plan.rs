//! Planning: what a release, an edit or a deletion would do to every agent, before it does.

use std::sync::Arc;

use domain::{ConfigName, Revision, RevisionNumber};
use jiff::Timestamp;
use store::{Conn, StoreError, configs};

use super::put::revision_of;
use super::{NewRevision, PutConfigError, standing};
use crate::admin::access::Caller;
use crate::engine::Engine;
use crate::preview::Group;
use desired::Finding;

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
    /// There is no such config.
    #[error("there is no config {config}")]
    NoConfig {
        /// Its name.
        config: ConfigName,
    },
    /// There is no such revision.
    #[error("the config {config} has no revision {revision}")]
    NoRevision {
        /// The config.
        config: ConfigName,
        /// The number.
        revision: RevisionNumber,
    },
    /// The edit could not become a revision.
    #[error(transparent)]
    Edit(#[from] PutConfigError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// What a proposal would do. Nothing happens and nothing is stored; releases wait until it is made.
    ///
    /// # Errors
    /// [`PlanError`].
    pub async fn plan_config(
        &self,
        caller: &Caller,
        config: &ConfigName,
        proposal: &Proposal,
        now: Timestamp,
    ) -> Result<Plan, PlanError> {
        if let Proposal::Edit(new) = proposal {
            self.check_new_revision(new)?;
        }
        let mut change = self.begin_change(now).await?;
        let mut conn = self.db().read().await?;
        let previous = configs::baseline(&mut conn, &caller.namespace, config).await?;
        let target = target(&mut conn, caller, config, proposal, now).await?;
        drop(conn);
        match &target {
            Some(revision) if change.is_forced_baseline(revision) => {
                change.force_baseline(Arc::clone(revision));
            }
            Some(revision) => change.set_baseline(Arc::clone(revision)),
            None => change.remove_config(&caller.namespace, config),
        }
        let groups = change.preview(now).await?;
        drop(change);
        let alone = match &target {
            Some(revision) if groups.is_empty() => self.findings(std::slice::from_ref(revision)),
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

async fn target(
    conn: &mut Conn,
    caller: &Caller,
    config: &ConfigName,
    proposal: &Proposal,
    now: Timestamp,
) -> Result<Option<Arc<Revision>>, PlanError> {
    let namespace = &caller.namespace;
    let record = standing(configs::find(conn, namespace, config).await?);
    let number = match (proposal, record) {
        (Proposal::Edit(new), _) => {
            let before = configs::revisions(conn, namespace, config, None, 1).await?;
            let revision = revision_of(caller, config, new, before.first(), now);
            return Ok(Some(Arc::new(revision?)));
        }
        (_, None) => {
            return Err(PlanError::NoConfig {
                config: config.clone(),
            });
        }
        (Proposal::Remove, Some(_)) => return Ok(None),
        (Proposal::Release(number), Some(record)) => number.unwrap_or(record.latest),
    };
    let revision = configs::revision(conn, namespace, config, number).await?;
    match revision {
        Some(revision) => Ok(Some(Arc::new(revision))),
        None => Err(PlanError::NoRevision {
            config: config.clone(),
            revision: number,
        }),
    }
}
