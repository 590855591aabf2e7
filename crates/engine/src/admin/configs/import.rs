//! Importing: what an agent runs by now as a revision, the way in for a fleet that already runs.

use desired::ImportError;
use domain::{AgentId, ConfigName};
use jiff::Timestamp;
use store::{StoreError, agents};

use super::{Aim, NewRevision, Origin, Precondition, Put, PutConfigError, Version};
use crate::admin::access::Caller;
use crate::engine::Engine;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportConfigError {
    /// There is no such agent.
    #[error("there is no agent {agent}")]
    NoAgent {
        /// Its id.
        agent: AgentId,
    },
    /// What it runs cannot become a config.
    #[error(transparent)]
    Effective(#[from] ImportError),
    /// The revision could not be made.
    #[error(transparent)]
    Put(#[from] PutConfigError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Makes a revision of what an agent reports to run. No agent changes, and the plan of its release says so of this
    /// agent.
    ///
    /// # Errors
    /// [`ImportConfigError`].
    pub async fn import_config(
        &self,
        caller: &Caller,
        config: &ConfigName,
        (agent, aim): (AgentId, Aim),
        message: Option<String>,
        precondition: &Precondition,
        now: Timestamp,
    ) -> Result<Put, ImportConfigError> {
        let mut conn = self.db().read().await?;
        let found = agents::find(&mut conn, &caller.namespace, agent).await?;
        drop(conn);
        let found = found.ok_or(ImportConfigError::NoAgent { agent })?;
        let effective = found.effective_config.unwrap_or_default();
        let new = NewRevision {
            kind: "collector".to_owned(),
            aim,
            body: desired::importable(&effective, &self.options().limits.desired)?,
            template: None,
            message: message.unwrap_or_else(|| format!("what agent {agent} runs")),
            version: Version::Counted,
            origin: Origin::Import(agent),
        };
        Ok(self
            .put_config(caller, config, &new, precondition, now)
            .await?)
    }
}
