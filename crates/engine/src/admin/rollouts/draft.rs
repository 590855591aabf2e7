//! What a rollout comes to: drafted beside the world, looked at, and stored in the transaction that puts it in force.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use domain::{
    AgentId, BaselineRecord, ConfigName, ContentHash, EventId, EventKind, InvalidTransition,
    NewEvent, Revision, RevisionNumber, Rollout, RolloutId, RolloutState, Strategy,
};
use jiff::Timestamp;
use store::refusals::RefusalRecord;
use store::rollouts::AddRolloutError;
use store::{StoreError, Tx, configs, desired, events, refusals, rollouts};

use super::required::{Answers, Topic};
use super::{OnErrors, Refusals, Started};
use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::admin::unix_ms;
use crate::change::{Alike, Change, Judged};
use crate::desire::DesireError;
use crate::engine::Engine;
use crate::preview::CheckErrors;
use crate::refused::MOST_REFUSED;

/// How many refusals the audit log tells of those for which agents were left out, and how much of each, in bytes.
const MOST_TOLD: usize = 5;
const TOLD_MAX_BYTES: usize = 256;

/// What a rollout comes to, before anything of it is stored.
pub(in crate::admin) struct Draft {
    pub started: Started,
    contents: Vec<desired::DesiredContent>,
    /// What agents can be asked about before.
    pub(super) topics: Vec<Topic>,
    /// What agents are known to refuse of what they would get.
    known: Option<Refusals>,
    /// Who refuses which content, and is not given it.
    pub(super) kept: HashSet<(ContentHash, AgentId)>,
    /// Who refuses what from now on.
    judged: Vec<Judged>,
    /// As many refusals are kept as can be.
    pub(super) is_full: bool,
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
    /// What agents said that were asked before.
    pub answers: Option<&'a Answers>,
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
        match step.target.clone() {
            Some(revision) if force => change.force_baseline(revision),
            Some(revision) => change.set_baseline(revision),
            None => change.remove_config(&caller.namespace, step.config),
        }
        if let Some(answers) = step.answers {
            change.hear(answers, &step, (caller, now));
        }
        let outcomes = change.outcomes();
        let affected = outcomes.iter().map(|alike| alike.agents).sum();
        let all = step.on_errors == OnErrors::Exclude;
        let left_out = change.left_out(&outcomes, all, now).await?;
        let (kept, outcomes): (Vec<Alike>, Vec<Alike>) = outcomes
            .into_iter()
            .partition(|alike| left_out.contains(alike));
        let refused = |alike: &Alike| change.is_kept_by_refusal(alike);
        let refused: Vec<Alike> = kept.into_iter().filter(refused).collect();
        let mut contents = change.make(&outcomes, now).await?;
        // What is refused is looked up wherever an agent is pointed to it.
        contents.extend(change.make(&refused, now).await?);
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
            excluded: left_out.agents,
            refused: left_out.refused,
            dry_run: None,
        };
        let known = change.known_refusals(heeded.iter().copied());
        let topics = change.topics(&heeded, &refused, step.on_errors);
        let looked_at = outcomes.iter().chain(&refused);
        let looked_at = looked_at.filter_map(|alike| change.looked_at(alike));
        let looked_at = looked_at.map(|content| content.hash).collect();
        change.judge_only(&looked_at);
        for alike in &outcomes {
            if change.is_forced(alike) {
                change.overrule(alike);
            }
        }
        Ok(Draft {
            kept: change.who_refuses(&caller.namespace, &looked_at),
            topics,
            known,
            judged: change.judged(),
            is_full: MOST_REFUSED < change.count_refused(&caller.namespace),
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
    /// Whether nobody refuses what is given, as far as that is known from before.
    pub(in crate::admin) fn check_known(&self) -> Result<(), Box<Refusals>> {
        match &self.known {
            Some(refusals) => Err(Box::new(refusals.clone())),
            None => Ok(()),
        }
    }

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
        for judged in &self.judged {
            refusals::replace(tx, &judged.namespace, &judged.hash, &judged.refusals).await?;
        }
        let rollout = &self.started.rollout;
        rollouts::add(tx, rollout).await?;
        match rollout.target {
            Some(revision) => configs::set_baseline(tx, &baseline(rollout, revision, now)).await?,
            None => drop(configs::clear_baseline(tx, &rollout.namespace, &rollout.config).await?),
        }
        let judged = self.judged.iter().flat_map(|judged| &judged.refusals);
        let told: Vec<&RefusalRecord> = judged.filter(|refusal| refusal.at == now).collect();
        let noted = (self.overruled, &told[..]);
        let event = note(tx, caller, &self.started, noted, now).await?;
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
    (overruled, told): (Overruled, &[&RefusalRecord]),
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
    if 0 < started.refused {
        let refused = started.refused.to_string();
        detail.insert("excluded_by_dry_run".to_owned(), refused);
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
    if 0 < started.refused {
        new["excluded_by_dry_run"] = started.refused.into();
    }
    if !told.is_empty() {
        let told = told.iter().take(MOST_TOLD).map(|refusal| {
            let end = refusal.reason.floor_char_boundary(TOLD_MAX_BYTES);
            serde_json::json!({ "agent": refusal.agent.to_string(), "reason": &refusal.reason[..end] })
        });
        new["refused"] = told.collect::<Vec<_>>().into();
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
