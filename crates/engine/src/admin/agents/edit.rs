//! What an operator does to one agent: labels, approval, restart, retry, deletion.

use std::collections::BTreeMap;

use domain::labels::InvalidLabel;
use domain::{
    AgentId, Approval, ConfigState, EventId, EventKind, Labels, LabelsBySource, NewEvent,
};
use jiff::Timestamp;
use store::agents::{AgentDetail, By};
use store::{StoreError, Tx, Versioned, agents, desired, events};

use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::admin::retry_contended;
use crate::admin::rollouts::Refusals;
use crate::agent::Command;
use crate::desire::DesireError;
use crate::engine::{Engine, NotDelivered};
use crate::preview::{CheckErrors, Group};

/// The most labels that one request may set or remove.
pub const MAX_LABEL_EDITS: usize = 256;

/// Labels to set (`Some`) and to remove (`None`).
pub type LabelEdits = BTreeMap<String, Option<String>>;

/// Why something was not done to an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentActionError {
    /// There is no such agent.
    #[error("there is no such agent")]
    NotFound,
    /// The agent has another version than the caller expects.
    #[error("the agent has version {current} now")]
    Version {
        /// Its version.
        current: u64,
    },
    /// What the agent would get has errors.
    #[error(transparent)]
    Checks(Box<CheckErrors>),
    /// The agent's Collector, or that of another agent of its build, refused in a dry run what it would get.
    #[error(transparent)]
    Refused(Box<Refusals>),
    /// A label cannot be.
    #[error("label {key:?}: {source}")]
    Label {
        /// Its key.
        key: String,
        /// Why.
        source: InvalidLabel,
    },
    /// The agent would have too many labels, or the request names too many.
    #[error("{count} labels are too many")]
    TooManyLabels {
        /// How many.
        count: usize,
    },
    /// What the agent would have to run cannot be made.
    #[error(transparent)]
    Desire(#[from] DesireError),
    /// It could not be queued.
    #[error(transparent)]
    NotDelivered(#[from] NotDelivered),
    /// It waits for approval: nothing is sent to it.
    #[error("the agent waits for approval")]
    AwaitsApproval,
    /// A hold covers it: nothing is sent to it.
    #[error("a hold covers the agent")]
    Held,
    /// There is nothing to retry.
    #[error("the agent's config is {}: there is nothing to retry", state.as_str())]
    NothingToRetry {
        /// Where it stands.
        state: ConfigState,
    },
    /// Others change the agent at the same time, again and again.
    #[error("others change the agent at the same time")]
    Raced,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AgentActionError {
    fn is_contended(&self) -> bool {
        match self {
            Self::Store(error) | Self::Desire(DesireError::Store(error)) => error.is_contended(),
            Self::Raced => true,
            _ => false,
        }
    }
}

impl Engine {
    /// Sets and removes an agent's operator labels; the agent moves to what it should run then.
    ///
    /// # Errors
    /// [`AgentActionError`].
    pub async fn edit_labels(
        &self,
        caller: &Caller,
        agent: AgentId,
        edits: &LabelEdits,
        expected: Option<&[u64]>,
        now: Timestamp,
    ) -> Result<(), AgentActionError> {
        check(edits)?;
        retry_contended!(self.try_edit_labels(caller, agent, edits, expected, now))
    }

    /// What a change of an agent's operator labels would do to it; `None` on a node that does not know the agent yet. Nothing
    /// happens and nothing is stored.
    ///
    /// # Errors
    /// [`AgentActionError`].
    pub async fn plan_labels(
        &self,
        caller: &Caller,
        id: AgentId,
        edits: &LabelEdits,
        now: Timestamp,
    ) -> Result<Option<Group>, AgentActionError> {
        check(edits)?;
        let mut change = self.begin_change(now).await?;
        let agent = self.stored_agent(caller, id).await?;
        let operator = edited(&agent.labels.operator, edits)?;
        change.set_labels(
            id,
            LabelsBySource {
                operator,
                ..agent.labels
            },
        );
        change.stay_a_draft();
        Ok(change.preview(now).await?.pop())
    }

    async fn try_edit_labels(
        &self,
        caller: &Caller,
        id: AgentId,
        edits: &LabelEdits,
        expected: Option<&[u64]>,
        now: Timestamp,
    ) -> Result<(), AgentActionError> {
        let mut change = self.begin_change(now).await?;
        let agent = self.stored_agent(caller, id).await?;
        let version = agent.summary.version;
        if expected.is_some_and(|expected| !expected.contains(&version)) {
            return Err(AgentActionError::Version { current: version });
        }
        let operator = edited(&agent.labels.operator, edits)?;
        if operator == agent.labels.operator {
            return Ok(());
        }
        let old = agent.labels.operator.clone();
        change.set_labels(
            id,
            LabelsBySource {
                operator: operator.clone(),
                ..agent.labels
            },
        );
        let mut outcomes = change.outcomes();
        let left_out = change.left_out(&outcomes, false, now).await?;
        outcomes.retain(|alike| !left_out.contains(alike));
        let contents = change.make(&outcomes, now).await?;
        let unforced = outcomes.iter().filter(|alike| !change.is_forced(alike));
        let unforced: Vec<_> = unforced.collect();
        if let Some(errors) = change.errors(unforced.iter().copied()).await? {
            return Err(AgentActionError::Checks(Box::new(errors)));
        }
        if let Some(refusals) = change.known_refusals(unforced.into_iter()) {
            return Err(AgentActionError::Refused(Box::new(refusals)));
        }

        let mut tx = self.db().begin().await?;
        for content in &contents {
            desired::put(&mut tx, content).await?;
        }
        let by = By {
            actor: &caller.actor,
            at: now,
        };
        let set = agents::set_operator_labels(
            &mut tx,
            &caller.namespace,
            id,
            &operator,
            Some(version),
            by,
        );
        match set.await? {
            Versioned::Done(_) => {}
            Versioned::NotFound => return Err(AgentActionError::NotFound),
            Versioned::Conflict { .. } => return Err(AgentActionError::Raced),
        }
        let event = happened(&mut tx, caller, id, EventKind::AgentLabelsChanged, now).await?;
        Act::on_agent("agent.labels_changed", "patch", id)
            .old(shown(&old))
            .new_value(shown(&operator))
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await?;
        change.publish(now);
        event.into_iter().for_each(|event| self.announce(event));
        Ok(())
    }

    async fn stored_agent(
        &self,
        caller: &Caller,
        id: AgentId,
    ) -> Result<AgentDetail, AgentActionError> {
        let mut conn = self.db().read().await?;
        agents::find(&mut conn, &caller.namespace, id)
            .await?
            .ok_or(AgentActionError::NotFound)
    }

    /// Lets a pending agent in; it is offered what it should run.
    ///
    /// # Errors
    /// [`AgentActionError`].
    pub async fn approve_agent(
        &self,
        caller: &Caller,
        agent: AgentId,
        now: Timestamp,
    ) -> Result<(), AgentActionError> {
        retry_contended!(self.try_approve(caller, agent, now))
    }

    async fn try_approve(
        &self,
        caller: &Caller,
        id: AgentId,
        now: Timestamp,
    ) -> Result<(), AgentActionError> {
        let mut change = self.begin_change(now).await?;
        let agent = self.stored_agent(caller, id).await?;
        if agent.summary.approval == Approval::Approved {
            return Ok(());
        }
        change.set_approval(id, Approval::Approved);
        let mut tx = self.db().begin().await?;
        let by = By {
            actor: &caller.actor,
            at: now,
        };
        if !agents::set_approval(&mut tx, &caller.namespace, id, Approval::Approved, by).await? {
            return Err(AgentActionError::NotFound);
        }
        let event = happened(&mut tx, caller, id, EventKind::AgentApprovalChanged, now).await?;
        Act::on_agent("agent.approved", "approve", id)
            .old(Approval::Pending.as_str())
            .new_value(Approval::Approved.as_str())
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await?;
        change.publish(now);
        event.into_iter().for_each(|event| self.announce(event));
        Ok(())
    }

    /// Has an agent restart what it runs. The agent is told after the request stands in the audit log; if it cannot be
    /// told after all, that stands there, too.
    ///
    /// # Errors
    /// [`AgentActionError`].
    pub async fn restart_agent(
        &self,
        caller: &Caller,
        agent: AgentId,
        now: Timestamp,
    ) -> Result<(), AgentActionError> {
        // Nobody puts a hold on between the check and the command.
        let _change = self.begin_change(now).await?;
        self.check_restart(caller, agent)?;
        let act = || Act::on_agent("agent.restart_requested", "restart", agent);
        let mut tx = self.db().begin().await?;
        act().done(&mut tx, caller, now).await?;
        tx.commit().await?;
        let sent = self.send_command(&caller.namespace, agent, Command::Restart);
        let mut tx = self.db().begin().await?;
        let event = match &sent {
            Ok(()) => happened(&mut tx, caller, agent, EventKind::AgentCommandSent, now).await?,
            Err(reason) => {
                let failed = act().failed(&mut tx, caller, now, reason.to_string());
                failed.await?;
                None
            }
        };
        tx.commit().await?;
        event.into_iter().for_each(|event| self.announce(event));
        Ok(sent?)
    }

    fn check_restart(&self, caller: &Caller, agent: AgentId) -> Result<(), AgentActionError> {
        let namespace = &caller.namespace;
        self.check_command(namespace, agent, Command::Restart)?;
        if self.approval(namespace, agent) == Some(Approval::Pending) {
            return Err(AgentActionError::AwaitsApproval);
        }
        match self.standing(namespace, agent) {
            Some(live) if live.held => Err(AgentActionError::Held),
            _ => Ok(()),
        }
    }

    /// Offers a config once more that the agent failed to apply, or was sent and never came to an end with.
    ///
    /// It concerns the present connection only: an agent that is away is not offered anything, and a restarted server
    /// has forgotten the wish.
    ///
    /// # Errors
    /// [`AgentActionError`].
    pub async fn retry_agent(
        &self,
        caller: &Caller,
        agent: AgentId,
        now: Timestamp,
    ) -> Result<(), AgentActionError> {
        let mut change = self.begin_change(now).await?;
        let live = self
            .standing(&caller.namespace, agent)
            .ok_or(AgentActionError::NotFound)?;
        match live.config_state {
            ConfigState::Failed | ConfigState::Applying | ConfigState::Offered => {}
            state @ (ConfigState::Unassigned | ConfigState::Pending | ConfigState::Applied) => {
                return Err(AgentActionError::NothingToRetry { state });
            }
        }
        if !live.connected {
            return Err(NotDelivered::NotConnected.into());
        }
        change.retry_config(agent);
        let mut tx = self.db().begin().await?;
        Act::on_agent("agent.retry_requested", "retry", agent)
            .new_value(
                serde_json::json!({ "config_hash": live.desired.map(|hash| hash.to_string()) }),
            )
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await?;
        change.publish(now);
        Ok(())
    }

    /// Forgets an agent. One that is connected is cut off, and is a new agent when it comes back.
    ///
    /// # Errors
    /// [`AgentActionError`].
    pub async fn delete_agent(
        &self,
        caller: &Caller,
        agent: AgentId,
        expected: Option<&[u64]>,
        now: Timestamp,
    ) -> Result<(), AgentActionError> {
        retry_contended!(self.try_delete_agent(caller, agent, expected, now))
    }

    async fn try_delete_agent(
        &self,
        caller: &Caller,
        agent: AgentId,
        expected: Option<&[u64]>,
        now: Timestamp,
    ) -> Result<(), AgentActionError> {
        let mut change = self.begin_change(now).await?;
        if let Some(expected) = expected {
            let current = self.stored_agent(caller, agent).await?.summary.version;
            if !expected.contains(&current) {
                return Err(AgentActionError::Version { current });
            }
        }
        change.forget_agent(agent);
        let mut tx = self.db().begin().await?;
        if !agents::delete(&mut tx, &caller.namespace, agent).await? {
            return Err(AgentActionError::NotFound);
        }
        let event = happened(&mut tx, caller, agent, EventKind::AgentDeleted, now).await?;
        Act::on_agent("agent.deleted", "delete", agent)
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await?;
        change.publish(now);
        event.into_iter().for_each(|event| self.announce(event));
        Ok(())
    }
}

fn check(edits: &LabelEdits) -> Result<(), AgentActionError> {
    if MAX_LABEL_EDITS < edits.len() {
        return Err(AgentActionError::TooManyLabels { count: edits.len() });
    }
    for (key, value) in edits {
        Labels::check(key, value.as_deref().unwrap_or_default()).map_err(|source| {
            AgentActionError::Label {
                key: key.clone(),
                source,
            }
        })?;
    }
    Ok(())
}

fn edited(labels: &Labels, edits: &LabelEdits) -> Result<Labels, AgentActionError> {
    let mut edited: BTreeMap<&str, &str> = labels.iter().collect();
    for (key, value) in edits {
        match value {
            Some(value) => edited.insert(key, value),
            None => edited.remove(key.as_str()),
        };
    }
    if Labels::MAX_COUNT < edited.len() {
        return Err(AgentActionError::TooManyLabels {
            count: edited.len(),
        });
    }
    Ok(edited.into_iter().collect())
}

fn shown(labels: &Labels) -> serde_json::Value {
    labels
        .iter()
        .map(|(key, value)| (key.to_owned(), serde_json::Value::from(value)))
        .collect()
}

async fn happened(
    tx: &mut Tx,
    caller: &Caller,
    agent: AgentId,
    kind: EventKind,
    now: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    let event = NewEvent {
        namespace: caller.namespace.clone(),
        agent: Some(agent),
        at: now,
        kind,
        detail: BTreeMap::from([("actor".to_owned(), caller.actor.to_string())]),
    };
    events::append(tx, &[event]).await
}
