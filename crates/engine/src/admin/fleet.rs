//! The fleet as a whole: its counts and the emergency brake.

use std::collections::BTreeMap;

use domain::{ConfigName, EventId, EventKind, Hold, HoldScope, NewEvent, Selector};
use jiff::Timestamp;
use store::{StoreError, Tx, agents, configs, events, holds};

use super::access::{Caller, Reach};
use super::audit::Act;
use super::{MAX_PAGE, retry_contended};
use crate::engine::Engine;

pub use store::agents::FleetCounts;

/// The longest reason of a hold, in bytes.
const REASON_MAX_BYTES: usize = 1024;

/// Counts over a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// Its agents.
    pub agents: FleetCounts,
    /// Its configs.
    pub configs: u64,
    /// Those of them that are in force.
    pub configs_in_force: u64,
    /// The holds that concern it.
    pub holds: u64,
}

/// Why a hold was not put on or lifted.
#[derive(Debug, thiserror::Error)]
pub enum SetHoldError {
    /// The credential does not reach every namespace.
    #[error("a hold of the whole fleet takes a credential that reaches every namespace")]
    BeyondReach,
    /// The reason is too long.
    #[error("the reason has {bytes} bytes, allowed are {REASON_MAX_BYTES}")]
    ReasonTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SetHoldError {
    fn is_contended(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_contended())
    }
}

impl Engine {
    /// Counts over the caller's namespace.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fleet(&self, caller: &Caller) -> Result<Fleet, StoreError> {
        let mut conn = self.db().read().await?;
        let mut fleet = Fleet {
            agents: agents::counts(&mut conn, &caller.namespace).await?,
            ..Fleet::default()
        };
        // What is stored follows a release a moment later: it would say that all is well.
        let counted = self.count_agents(&caller.namespace, &Selector::default());
        fleet.agents.config_states = counted.by_state.into_iter().collect();
        let mut after: Option<ConfigName> = None;
        loop {
            let page =
                configs::list(&mut conn, &caller.namespace, after.as_ref(), MAX_PAGE).await?;
            for config in &page {
                fleet.configs += 1;
                fleet.configs_in_force += u64::from(config.baseline.is_some());
            }
            match page.last() {
                Some(last) if usize::try_from(MAX_PAGE).is_ok_and(|full| page.len() == full) => {
                    after = Some(last.config.name.clone());
                }
                _ => break,
            }
        }
        fleet.holds = u64::try_from(concerning(caller, holds::load_all(&mut conn).await?).len())
            .unwrap_or(u64::MAX);
        Ok(fleet)
    }

    /// The holds that concern the caller's namespace.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holds(&self, caller: &Caller) -> Result<Vec<Hold>, StoreError> {
        let mut conn = self.db().read().await?;
        Ok(concerning(caller, holds::load_all(&mut conn).await?))
    }

    /// Puts a hold on. When this returns, no offer leaves for the agents it covers.
    ///
    /// # Errors
    /// [`SetHoldError`].
    pub async fn put_hold(
        &self,
        caller: &Caller,
        scope: HoldScope,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), SetHoldError> {
        check_reach(caller, &scope)?;
        if REASON_MAX_BYTES < reason.len() {
            return Err(SetHoldError::ReasonTooLong {
                bytes: reason.len(),
            });
        }
        let hold = Hold {
            scope,
            reason: reason.to_owned(),
            set_by: caller.actor.clone(),
            set_at: now,
        };
        retry_contended!(self.try_put_hold(caller, &hold, now))
    }

    async fn try_put_hold(
        &self,
        caller: &Caller,
        hold: &Hold,
        now: Timestamp,
    ) -> Result<(), SetHoldError> {
        let mut change = self.begin_change(now).await?;
        change.set_hold(hold.clone());
        let mut tx = self.db().begin().await?;
        holds::set(&mut tx, hold).await?;
        let event = note(&mut tx, caller, &hold.scope, Some(&hold.reason), now).await?;
        tx.commit().await?;
        change.publish(now);
        event.into_iter().for_each(|event| self.announce(event));
        Ok(())
    }

    /// Lifts a hold, whether or not it is on.
    ///
    /// # Errors
    /// [`SetHoldError`].
    pub async fn lift_hold(
        &self,
        caller: &Caller,
        scope: &HoldScope,
        now: Timestamp,
    ) -> Result<(), SetHoldError> {
        check_reach(caller, scope)?;
        retry_contended!(self.try_lift_hold(caller, scope, now))
    }

    async fn try_lift_hold(
        &self,
        caller: &Caller,
        scope: &HoldScope,
        now: Timestamp,
    ) -> Result<(), SetHoldError> {
        let mut change = self.begin_change(now).await?;
        change.lift_hold(scope);
        let mut tx = self.db().begin().await?;
        if !holds::lift(&mut tx, scope).await? {
            return Ok(());
        }
        let event = note(&mut tx, caller, scope, None, now).await?;
        tx.commit().await?;
        change.publish(now);
        event.into_iter().for_each(|event| self.announce(event));
        Ok(())
    }
}

fn check_reach(caller: &Caller, scope: &HoldScope) -> Result<(), SetHoldError> {
    match (scope, caller.reach) {
        (HoldScope::Fleet, Reach::Namespace) => Err(SetHoldError::BeyondReach),
        _ => Ok(()),
    }
}

fn concerning(caller: &Caller, holds: Vec<Hold>) -> Vec<Hold> {
    let concerns = |scope: &HoldScope| match scope {
        HoldScope::Fleet => true,
        HoldScope::Namespace(held) | HoldScope::Selector(held, _) => *held == caller.namespace,
    };
    holds
        .into_iter()
        .filter(|hold| concerns(&hold.scope))
        .collect()
}

/// Writes the event and the audit entry of a hold that is put on (with its reason) or lifted.
pub(super) async fn note(
    tx: &mut Tx,
    caller: &Caller,
    scope: &HoldScope,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    let (name, selector) = match scope {
        HoldScope::Fleet => ("fleet", None),
        HoldScope::Namespace(_) => ("namespace", None),
        HoldScope::Selector(_, selector) => ("selector", Some(selector.to_string())),
    };
    let mut detail = BTreeMap::from([
        ("scope".to_owned(), name.to_owned()),
        ("held".to_owned(), reason.is_some().to_string()),
    ]);
    detail.extend(selector.map(|selector| ("selector".to_owned(), selector)));
    detail.extend(reason.map(|reason| ("reason".to_owned(), reason.to_owned())));
    let value = serde_json::json!(detail);
    let event = NewEvent {
        namespace: caller.namespace.clone(),
        agent: None,
        at: now,
        kind: EventKind::HoldChanged,
        detail,
    };
    let last = events::append(tx, &[event]).await?;
    let (event_type, action) = match reason {
        Some(_) => ("hold.put_on", "hold"),
        None => ("hold.lifted", "lift"),
    };
    Act::new(event_type, action, "fleet/hold")
        .new_value(value)
        .done(tx, caller, now)
        .await?;
    Ok(last)
}
