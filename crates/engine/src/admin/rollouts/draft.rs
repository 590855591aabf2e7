//! What a rollout comes to: drafted beside the world, looked at, and stored in the transaction that puts it in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{
    BaselineRecord, ConfigName, EventId, EventKind, InvalidTransition, NewEvent, Revision,
    RevisionNumber, Rollout, RolloutId, RolloutState, Strategy,
};
use jiff::Timestamp;
use store::rollouts::AddRolloutError;
use store::{StoreError, Tx, configs, desired, events, rollouts};

use super::{OnErrors, Started};
use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::admin::unix_ms;
use crate::change::{Alike, Change};
use crate::desire::DesireError;
use crate::dry_run::Inquiry;
use crate::engine::Engine;
use crate::preview::CheckErrors;

/// What a rollout comes to, before anything of it is stored.
pub(in crate::admin) struct Draft {
    pub started: Started,
    contents: Vec<desired::DesiredContent>,
    /// What agents can be asked about before.
    pub(super) inquiries: Vec<Inquiry>,
    /// How many errors did not matter.
    pub(super) overruled: Overruled,
}

/// Errors that a release was forced over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Overruled {
    /// Of the checks.
    errors: usize,
    /// Agents that refused in the dry run.
    pub refusals: usize,
}

/// What a rollout is about.
pub(in crate::admin) struct Move<'a> {
    pub config: &'a ConfigName,
    /// What to put in force; `None` takes the config away.
    pub target: Option<Arc<Revision>>,
    pub previous: Option<RevisionNumber>,
    pub strategy: Strategy,
    pub message: &'a str,
    pub on_errors: OnErrors,
}

impl Engine {
    /// Drafts a rollout that is complete when it is committed.
    pub(in crate::admin) async fn draft(
        &self,
        change: &mut Change,
        caller: &Caller,
        step: Move<'_>,
        now: Timestamp,
    ) -> Result<Draft, DraftError> {
        let target = step.target.as_ref().map(|revision| revision.number);
        // The revision that is in force by force already stays so: releasing it again takes nothing back.
        let stays = |revision: &Arc<Revision>| change.is_forced_baseline(revision);
        let force = step.on_errors == OnErrors::Force || step.target.as_ref().is_some_and(stays);
        match step.target {
            Some(revision) if force => change.force_baseline(revision),
            Some(revision) => change.set_baseline(revision),
            None => change.remove_config(&caller.namespace, step.config),
        }
        let mut outcomes = change.outcomes();
        let affected = outcomes.iter().map(|alike| alike.agents).sum();
        let all = step.on_errors == OnErrors::Exclude;
        let left_out = change.left_out(&outcomes, all, now).await?;
        outcomes.retain(|alike| !left_out.contains(alike));
        let excluded = left_out.agents;
        let contents = change.make(&outcomes, now).await?;
        // What was forced before is not this release's to answer for; what it forces itself is counted.
        let heeded = |alike: &&Alike| force || !change.is_forced(alike);
        let heeded: Vec<&Alike> = outcomes.iter().filter(heeded).collect();
        let errors = change.errors(heeded.iter().copied()).await?;
        let overruled = Overruled {
            errors: errors.as_ref().map_or(0, CheckErrors::count),
            refusals: 0,
        };
        if let Some(errors) = errors.filter(|_| !force) {
            return Err(DraftError::Checks(Box::new(errors)));
        }
        let rollout = Rollout {
            id: RolloutId::from_parts(unix_ms(now), self.random()),
            namespace: caller.namespace.clone(),
            config: step.config.clone(),
            target,
            previous: step.previous,
            strategy: step.strategy,
            forced: force,
            state: RolloutState::Running,
            created_by: caller.actor.clone(),
            created_at: now,
            message: step.message.to_owned(),
        };
        let started = Started {
            rollout: rollout.complete(now)?,
            affected,
            excluded,
            dry_run: None,
        };
        Ok(Draft {
            inquiries: change.inquiries(&heeded),
            started,
            contents,
            overruled,
        })
    }
}

/// Why a rollout could not be drafted or stored.
#[derive(Debug, thiserror::Error)]
pub(in crate::admin) enum DraftError {
    #[error(transparent)]
    Checks(Box<CheckErrors>),
    #[error(transparent)]
    Desire(#[from] DesireError),
    #[error(transparent)]
    Add(#[from] AddRolloutError),
    #[error(transparent)]
    State(#[from] InvalidTransition),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Draft {
    /// Stores all of it, in the transaction that puts it in force.
    pub(in crate::admin) async fn store(
        self,
        tx: &mut Tx,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(Started, Option<EventId>), DraftError> {
        for content in &self.contents {
            desired::put(tx, content).await?;
        }
        let rollout = &self.started.rollout;
        rollouts::add(tx, rollout).await?;
        match rollout.target {
            Some(revision) => configs::set_baseline(tx, &baseline(rollout, revision, now)).await?,
            None => drop(configs::clear_baseline(tx, &rollout.namespace, &rollout.config).await?),
        }
        let event = note(tx, caller, &self.started, self.overruled, now).await?;
        Ok((self.started, event))
    }
}

fn baseline(rollout: &Rollout, revision: RevisionNumber, now: Timestamp) -> BaselineRecord {
    BaselineRecord {
        namespace: rollout.namespace.clone(),
        config: rollout.config.clone(),
        revision,
        rollout: rollout.id,
        set_at: now,
    }
}

/// Writes events and the audit entry of a rollout that was committed as completed.
async fn note(
    tx: &mut Tx,
    caller: &Caller,
    started: &Started,
    overruled: Overruled,
    now: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    let (rollout, excluded) = (&started.rollout, started.excluded);
    let mut detail = BTreeMap::from([
        ("rollout".to_owned(), rollout.id.to_string()),
        ("config".to_owned(), rollout.config.to_string()),
    ]);
    detail.extend(
        rollout
            .target
            .map(|target| ("revision".to_owned(), target.to_string())),
    );
    if rollout.forced {
        detail.insert("forced".to_owned(), "true".to_owned());
        detail.insert("errors".to_owned(), overruled.errors.to_string());
    }
    if 0 < overruled.refusals {
        detail.insert(
            "refused_by_agents".to_owned(),
            overruled.refusals.to_string(),
        );
    }
    if 0 < excluded {
        detail.insert("excluded".to_owned(), excluded.to_string());
    }
    let event = |kind| NewEvent {
        namespace: caller.namespace.clone(),
        agent: None,
        at: now,
        kind,
        detail: detail.clone(),
    };
    let last = events::append(
        tx,
        &[
            event(EventKind::RolloutStarted),
            event(EventKind::RolloutCompleted),
        ],
    )
    .await?;
    let mut new = serde_json::json!({
        "revision": rollout.target.map(|number| number.0),
        "rollout": rollout.id.to_string(),
        "strategy": rollout.strategy.as_str(),
    });
    if rollout.forced {
        new["forced"] = true.into();
        new["errors"] = overruled.errors.into();
    }
    if let Some(counts) = &started.dry_run {
        new["dry_run"] = serde_json::json!({ "asked": counts.asked, "refused": counts.refused });
    }
    if 0 < excluded {
        new["excluded"] = excluded.into();
    }
    Act::new(
        "rollout.started",
        "release",
        format!("configs/{}", rollout.config),
    )
    .old(serde_json::json!({ "revision": rollout.previous.map(|number| number.0) }))
    .new_value(new)
    .done(tx, caller, now)
    .await?;
    Ok(last)
}
