//! Rollouts: putting a revision in force. The one strategy there is, `all_at_once`, is complete when it is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{
    AgentId, BaselineRecord, ConfigName, ConfigState, EventKind, InvalidTransition, Labels,
    Namespace, NewEvent, Revision, RevisionNumber, Rollout, RolloutId, RolloutState, Selector,
    Strategy,
};
use jiff::Timestamp;
use store::rollouts::AddRolloutError;
use store::{Conn, StoreError, Tx, configs, desired, events, rollouts};

use super::access::Caller;
use super::audit::Act;
use super::configs::standing;
use super::idempotency::{Created, Creation, KeyReused};
use super::{PageOf, Paged, retry_contended};
use crate::desire::DesireError;
use crate::engine::Engine;

/// The longest message of a rollout, in bytes.
const MESSAGE_MAX_BYTES: usize = 4096;

/// What to release, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Release {
    /// The revision; the newest when `None`.
    pub revision: Option<RevisionNumber>,
    /// The strategy as the caller wrote it; `all_at_once` when `None`.
    pub strategy: Option<String>,
    /// Why.
    pub message: String,
}

/// A rollout that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// It.
    pub rollout: Rollout,
    /// How many agents it concerns: those that the old or the new revision matches.
    pub affected: u64,
}

/// A rollout and how its agents stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutDetail {
    /// It.
    pub rollout: Rollout,
    /// The agents that its revision's selector matches now.
    pub agents: AgentCounts,
}

/// Agents, counted by where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentCounts {
    /// All.
    pub total: u64,
    /// Those without a connection.
    pub disconnected: u64,
    /// By where they stand with what they should run; every state is there.
    pub by_state: BTreeMap<ConfigState, u64>,
}

/// Why a rollout did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartRolloutError {
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
    /// The strategy does not exist.
    #[error("the strategy {strategy:?} does not exist yet: this version has \"all_at_once\"")]
    UnknownStrategy {
        /// What was asked for.
        strategy: String,
    },
    /// The message is too long.
    #[error("the message has {bytes} bytes, allowed are {MESSAGE_MAX_BYTES}")]
    MessageTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Another rollout of the config is under way.
    #[error("another rollout of the config is under way")]
    UnderWay,
    /// Revisions that some agent would get do not merge, or the database failed while looking.
    #[error(transparent)]
    Desire(#[from] DesireError),
    /// The idempotency key belongs to another request.
    #[error(transparent)]
    Key(#[from] KeyReused),
    /// A rollout that was just made was not in its first state.
    #[error(transparent)]
    State(#[from] InvalidTransition),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AddRolloutError> for StartRolloutError {
    fn from(error: AddRolloutError) -> Self {
        match error {
            AddRolloutError::Running { .. } => Self::UnderWay,
            AddRolloutError::Store(error) => Self::Store(error),
        }
    }
}

impl StartRolloutError {
    fn is_contended(&self) -> bool {
        match self {
            Self::Store(error) | Self::Desire(DesireError::Store(error)) => error.is_contended(),
            _ => false,
        }
    }
}

impl Engine {
    /// Puts a revision in force. When it returns, the release is durable and agents are being woken.
    ///
    /// # Errors
    /// [`StartRolloutError`].
    pub async fn start_rollout(
        &self,
        caller: &Caller,
        config: &ConfigName,
        release: &Release,
        creation: &Creation,
        now: Timestamp,
    ) -> Result<Created<Started>, StartRolloutError> {
        retry_contended!(self.try_start_rollout(caller, config, release, creation, now))
    }

    async fn try_start_rollout(
        &self,
        caller: &Caller,
        config: &ConfigName,
        release: &Release,
        creation: &Creation,
        now: Timestamp,
    ) -> Result<Created<Started>, StartRolloutError> {
        let strategy = read_strategy(release)?;
        if MESSAGE_MAX_BYTES < release.message.len() {
            return Err(StartRolloutError::MessageTooLong {
                bytes: release.message.len(),
            });
        }
        // From here on no other change comes between what is read and what is put in force.
        let mut change = self.begin_change().await;
        let mut conn = self.db().read().await?;
        if let Some(started) = earlier(&mut conn, caller, creation).await? {
            return Ok(Created::Earlier(started));
        }
        let revision = Arc::new(find_revision(&mut conn, caller, config, release.revision).await?);
        let previous = configs::baseline(&mut conn, &caller.namespace, config).await?;
        drop(conn);
        change.set_baseline(Arc::clone(&revision));
        let contents = change.materialise(now).await?;
        let rollout = Rollout {
            id: self.rollout_id(now),
            namespace: caller.namespace.clone(),
            config: config.clone(),
            target: Some(revision.number),
            previous: previous.map(|baseline| baseline.revision),
            strategy,
            state: RolloutState::Running,
            created_by: caller.actor.clone(),
            created_at: now,
            message: release.message.clone(),
        };
        let started = Started {
            rollout: rollout.complete(now)?,
            affected: count(change.affected()),
        };

        let mut tx = self.db().begin().await?;
        lock_standing(&mut tx, caller, config).await?;
        for content in &contents {
            desired::put(&mut tx, content).await?;
        }
        rollouts::add(&mut tx, &started.rollout).await?;
        configs::set_baseline(&mut tx, &baseline(&started.rollout, revision.number, now)).await?;
        if !creation
            .save(&mut tx, &caller.namespace, reference(&started), now)
            .await?
        {
            return Err(KeyReused.into());
        }
        let event = note(&mut tx, caller, &started.rollout, now).await?;
        tx.commit().await?;
        change.publish(now);
        event.into_iter().for_each(|event| self.announce(event));
        Ok(Created::New(started))
    }

    pub(super) fn rollout_id(&self, now: Timestamp) -> RolloutId {
        RolloutId::from_parts(unix_ms(now), self.random())
    }

    /// Rollouts of the caller's namespace, or of one of its configs, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rollouts(
        &self,
        caller: &Caller,
        config: Option<&ConfigName>,
        page: PageOf<RolloutId>,
    ) -> Result<Paged<Rollout, RolloutId>, StoreError> {
        let mut conn = self.db().read().await?;
        let read = rollouts::list(
            &mut conn,
            &caller.namespace,
            config,
            page.after,
            page.probe(),
        )
        .await?;
        Ok(page.cut(read, |last| last.id))
    }

    /// One rollout, and how the agents stand that its revision matches.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rollout(
        &self,
        caller: &Caller,
        id: RolloutId,
    ) -> Result<Option<RolloutDetail>, StoreError> {
        let mut conn = self.db().read().await?;
        let Some(rollout) = rollouts::find(&mut conn, &caller.namespace, id).await? else {
            return Ok(None);
        };
        // A rollout that takes a config away is of interest to those who had it.
        let number = rollout.target.or(rollout.previous);
        let revision = match number {
            Some(number) => {
                configs::revision(&mut conn, &caller.namespace, &rollout.config, number).await?
            }
            None => None,
        };
        drop(conn);
        let agents =
            revision.map(|revision| self.count_agents(&caller.namespace, &revision.selector));
        Ok(Some(RolloutDetail {
            rollout,
            agents: agents.unwrap_or_else(AgentCounts::none),
        }))
    }

    /// Counts from memory, which is ahead of what is stored.
    fn count_agents(&self, namespace: &Namespace, selector: &Selector) -> AgentCounts {
        let mut counts = AgentCounts::none();
        for (_, standing) in self.standings(namespace, |_: AgentId, labels: &Labels| {
            selector.matches(labels)
        }) {
            counts.total += 1;
            counts.disconnected += u64::from(!standing.connected);
            *counts.by_state.entry(standing.config_state).or_default() += 1;
        }
        counts
    }
}

impl AgentCounts {
    fn none() -> Self {
        Self {
            by_state: ConfigState::ALL
                .into_iter()
                .map(|state| (state, 0))
                .collect(),
            ..Self::default()
        }
    }
}

fn read_strategy(release: &Release) -> Result<Strategy, StartRolloutError> {
    let Some(text) = &release.strategy else {
        return Ok(Strategy::AllAtOnce);
    };
    Strategy::parse(text).ok_or_else(|| StartRolloutError::UnknownStrategy {
        strategy: text.clone(),
    })
}

async fn find_revision(
    conn: &mut Conn,
    caller: &Caller,
    config: &ConfigName,
    number: Option<RevisionNumber>,
) -> Result<Revision, StartRolloutError> {
    let record = standing(configs::find(conn, &caller.namespace, config).await?);
    let record = record.ok_or_else(|| StartRolloutError::NoConfig {
        config: config.clone(),
    })?;
    if rollouts::running(conn, &caller.namespace, config)
        .await?
        .is_some()
    {
        return Err(StartRolloutError::UnderWay);
    }
    let number = number.unwrap_or(record.latest);
    let revision = configs::revision(conn, &caller.namespace, config, number).await?;
    revision.ok_or_else(|| StartRolloutError::NoRevision {
        config: config.clone(),
        revision: number,
    })
}

/// Nobody deletes the config until the transaction ends. (Deleting takes the same change lock on this node; another
/// node has its own.)
async fn lock_standing(
    tx: &mut Tx,
    caller: &Caller,
    config: &ConfigName,
) -> Result<(), StartRolloutError> {
    match standing(configs::lock(tx, &caller.namespace, config).await?) {
        Some(_) => Ok(()),
        None => Err(StartRolloutError::NoConfig {
            config: config.clone(),
        }),
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
pub(super) async fn note(
    tx: &mut Tx,
    caller: &Caller,
    rollout: &Rollout,
    now: Timestamp,
) -> Result<Option<domain::EventId>, StoreError> {
    let mut detail = BTreeMap::from([
        ("rollout".to_owned(), rollout.id.to_string()),
        ("config".to_owned(), rollout.config.to_string()),
    ]);
    detail.extend(
        rollout
            .target
            .map(|target| ("revision".to_owned(), target.to_string())),
    );
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
    Act::new(
        "rollout.started",
        "release",
        format!("configs/{}", rollout.config),
    )
    .old(serde_json::json!({ "revision": rollout.previous.map(|number| number.0) }))
    .new_value(serde_json::json!({
        "revision": rollout.target.map(|number| number.0),
        "rollout": rollout.id.to_string(),
        "strategy": rollout.strategy.as_str(),
    }))
    .done(tx, caller, now)
    .await?;
    Ok(last)
}

/// What an idempotency key remembers of a rollout.
fn reference(started: &Started) -> String {
    format!("{} {}", started.rollout.id, started.affected)
}

async fn earlier(
    conn: &mut Conn,
    caller: &Caller,
    creation: &Creation,
) -> Result<Option<Started>, StartRolloutError> {
    let Some(reference) = creation.earlier(conn, &caller.namespace).await?? else {
        return Ok(None);
    };
    let corrupt = || StoreError::Corrupt {
        what: "saved answer",
    };
    let (id, affected) = reference.split_once(' ').ok_or_else(corrupt)?;
    let (id, affected) = (
        id.parse().map_err(|_| corrupt())?,
        affected.parse().map_err(|_| corrupt())?,
    );
    let rollout = rollouts::find(conn, &caller.namespace, id)
        .await?
        .ok_or_else(corrupt)?;
    Ok(Some(Started { rollout, affected }))
}

pub(super) fn count(agents: &[AgentId]) -> u64 {
    u64::try_from(agents.len()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970, for ids that sort by time.
pub(super) fn unix_ms(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}
