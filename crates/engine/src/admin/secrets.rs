//! Secrets that configs refer to as `${secret:NAME}`: giving them values, which nobody gets to see again, and taking them away.

use std::sync::Arc;

use domain::{Actor, ConfigName, SecretName, SecretVersion};
use jiff::Timestamp;
use store::secrets::{self as stored, SecretRecord};
use store::{StoreError, desired};
use trust::Secret;

use super::access::Caller;
use super::audit::Act;
use super::{PageOf, Paged, retry_contended};
use crate::desire::DesireError;
use crate::engine::Engine;
use crate::vault::{SHORTEST_HIDDEN, configs_that_refer, place};

/// The longest value, in bytes.
const VALUE_MAX_BYTES: usize = 32 << 10;

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretView {
    /// Its name.
    pub name: SecretName,
    /// How often it was given a value.
    pub version: u32,
    /// Who gave it the newest.
    pub author: Actor,
    /// When.
    pub created_at: Timestamp,
    /// Whether this server has the key that it is sealed with.
    pub is_open: bool,
    /// The configs that are in force and refer to it.
    pub used_by: Vec<ConfigName>,
}

/// A secret that was given a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutSecret {
    /// It.
    pub secret: SecretView,
    /// Whether there was none of that name.
    pub is_new: bool,
    /// How many agents are offered another configuration for it.
    pub affected: u64,
}

/// Why a secret was not given a value.
#[derive(Debug, thiserror::Error)]
pub enum PutSecretError {
    /// This server has no key to seal it with.
    #[error(
        "this server has no key to seal secrets with: name a file with 64 hexadecimal digits in secrets.key_file, the same for every node"
    )]
    NoKey,
    /// The value is too short or too long.
    #[error("the value has {bytes} bytes, allowed are {SHORTEST_HIDDEN} to {VALUE_MAX_BYTES}")]
    Length {
        /// Its length.
        bytes: usize,
    },
    /// The value has a character that no configuration can have.
    #[error("the value has the character U+{:04X}, which no configuration can have", u32::from(*.character))]
    Character {
        /// It.
        character: char,
    },
    /// There are too many.
    #[error("there are {limit} secrets already: delete those that no config refers to")]
    TooMany {
        /// The most that there can be.
        limit: usize,
    },
    /// What some agent would get cannot be made with it.
    #[error(transparent)]
    Desire(#[from] DesireError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PutSecretError {
    fn is_contended(&self) -> bool {
        match self {
            Self::Store(error) | Self::Desire(DesireError::Store(error)) => error.is_contended(),
            _ => false,
        }
    }
}

/// Why a secret was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteSecretError {
    /// There is none.
    #[error("there is no secret {name}")]
    NotFound {
        /// Its name.
        name: SecretName,
    },
    /// Configs that are in force refer to it.
    #[error("configs that are in force refer to the secret: {}", names(.used_by))]
    Used {
        /// They.
        used_by: Vec<ConfigName>,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeleteSecretError {
    fn is_contended(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_contended())
    }
}

fn names(configs: &[ConfigName]) -> String {
    let names: Vec<&str> = configs.iter().map(ConfigName::as_str).collect();
    names.join(", ")
}

impl Engine {
    /// The secrets of the caller's namespace, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn secrets(
        &self,
        caller: &Caller,
        page: PageOf<SecretName>,
    ) -> Result<Paged<SecretView, SecretName>, StoreError> {
        let mut conn = self.db().read().await?;
        let all = stored::load_all(&mut conn).await?;
        let own = all.into_iter().filter(|record| {
            record.is_current
                && record.namespace == caller.namespace
                && page.after.as_ref().is_none_or(|after| *after < record.name)
        });
        let probe = usize::try_from(page.probe()).unwrap_or(usize::MAX);
        let read = own.take(probe).map(|record| self.secret_view(record));
        Ok(page.cut(read.collect(), |last| last.name.clone()))
    }

    /// One secret.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn secret(
        &self,
        caller: &Caller,
        name: &SecretName,
    ) -> Result<Option<SecretView>, StoreError> {
        let mut conn = self.db().read().await?;
        let found = stored::newest(&mut conn, &caller.namespace, name).await?;
        let found = found.filter(|record| record.is_current);
        Ok(found.map(|record| self.secret_view(record)))
    }

    fn secret_view(&self, record: SecretRecord) -> SecretView {
        let world = self.inner.world.get();
        let released = world.released.get(&record.namespace);
        let key = self.options().sealing_key.as_ref();
        SecretView {
            used_by: released
                .map(|set| configs_that_refer(set, &record.name))
                .unwrap_or_default(),
            is_open: key.is_some_and(|key| key.id() == record.key_id),
            name: record.name,
            version: record.version,
            author: record.created_by,
            created_at: record.created_at,
        }
    }

    /// Gives a secret a value. Agents whose configs refer to it are offered these with the new value; the value that stands
    /// already changes nothing.
    ///
    /// # Errors
    /// [`PutSecretError`].
    pub async fn put_secret(
        &self,
        caller: &Caller,
        name: &SecretName,
        value: &Secret,
        now: Timestamp,
    ) -> Result<PutSecret, PutSecretError> {
        check_value(value.expose())?;
        retry_contended!(self.try_put_secret(caller, name, value, now))
    }

    async fn try_put_secret(
        &self,
        caller: &Caller,
        name: &SecretName,
        value: &Secret,
        now: Timestamp,
    ) -> Result<PutSecret, PutSecretError> {
        let namespace = &caller.namespace;
        let mut change = self.begin_change(now).await?;
        let vault = Arc::clone(&self.inner.world.get().vault);
        let key = self.options().sealing_key.as_ref();
        let key = key.ok_or(PutSecretError::NoKey)?;
        let mut conn = self.db().read().await?;
        let before = stored::newest(&mut conn, namespace, name).await?;
        drop(conn);
        let current = vault.current(namespace);
        let limit = self.options().limits.secrets;
        match (&before, current.get(name)) {
            (Some(before), Some(known))
                if before.is_current
                    && before.version == known.version
                    && Secret::new(known.expose()) == *value =>
            {
                return Ok(PutSecret {
                    secret: self.secret_view(before.clone()),
                    is_new: false,
                    affected: 0,
                });
            }
            (_, None) if limit <= current.len() => return Err(PutSecretError::TooMany { limit }),
            _ => {}
        }
        let version = before.as_ref().map_or(1, |before| before.version + 1);
        let opened = Arc::new(SecretVersion::new(name.clone(), version, value.expose()));
        change.set_secret(namespace, name, Some(opened));
        let mut outcomes = change.outcomes();
        let left_out = change.left_out(&outcomes, false, now).await?;
        outcomes.retain(|alike| !left_out.contains(alike));
        let contents = change.make(&outcomes, now).await?;
        let changed = outcomes.iter().filter(|alike| change.changes(alike));
        let affected = changed.map(|alike| alike.agents).sum();

        let record = SecretRecord {
            namespace: namespace.clone(),
            name: name.clone(),
            version,
            is_current: true,
            sealed: key.seal(
                self.random(),
                &place(namespace, name, version),
                value.expose(),
            ),
            key_id: key.id().to_owned(),
            created_by: caller.actor.clone(),
            created_at: now,
        };
        // Not before: making contents may take a while, and reports are committed meanwhile.
        let mut tx = self.db().begin().await?;
        stored::add(&mut tx, &record).await?;
        for content in &contents {
            desired::put(&mut tx, content).await?;
        }
        Act::new("secret.set", "update", format!("secrets/{name}"))
            .new_value(serde_json::json!({ "version": version, "affected": affected }))
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await?;
        change.publish(now);
        Ok(PutSecret {
            secret: self.secret_view(record),
            is_new: before.is_none_or(|before| !before.is_current),
            affected,
        })
    }

    /// Deletes a secret that no config in force refers to. Its value is dropped when no agent runs what was made with it.
    ///
    /// # Errors
    /// [`DeleteSecretError`].
    pub async fn delete_secret(
        &self,
        caller: &Caller,
        name: &SecretName,
        now: Timestamp,
    ) -> Result<(), DeleteSecretError> {
        retry_contended!(self.try_delete_secret(caller, name, now))
    }

    async fn try_delete_secret(
        &self,
        caller: &Caller,
        name: &SecretName,
        now: Timestamp,
    ) -> Result<(), DeleteSecretError> {
        let mut change = self.begin_change(now).await?;
        let world = self.inner.world.get();
        let released = world.released.get(&caller.namespace);
        let used_by = released
            .map(|set| configs_that_refer(set, name))
            .unwrap_or_default();
        let mut tx = self.db().begin().await?;
        if !stored::retire(&mut tx, &caller.namespace, name).await? {
            return Err(DeleteSecretError::NotFound { name: name.clone() });
        }
        if !used_by.is_empty() {
            return Err(DeleteSecretError::Used { used_by });
        }
        change.set_secret(&caller.namespace, name, None);
        Act::new("secret.deleted", "delete", format!("secrets/{name}"))
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await?;
        change.publish(now);
        Ok(())
    }
}

fn check_value(value: &str) -> Result<(), PutSecretError> {
    if !(SHORTEST_HIDDEN..=VALUE_MAX_BYTES).contains(&value.len()) {
        return Err(PutSecretError::Length { bytes: value.len() });
    }
    let unfit = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    match value.chars().find(unfit) {
        Some(character) => Err(PutSecretError::Character { character }),
        None => Ok(()),
    }
}
