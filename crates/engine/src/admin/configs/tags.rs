//! Tags: names for revisions. They change no agent.

use domain::{ConfigName, RevisionNumber};
use jiff::Timestamp;
use store::configs::Tag;
use store::{StoreError, configs};

use super::{NoSuch, find_config, find_revision};
use crate::admin::access::Caller;
use crate::admin::audit::Act;
use crate::engine::Engine;

/// The longest tag, in bytes.
const TAG_MAX_BYTES: usize = 64;
/// The most tags of a config.
const MOST_TAGS: usize = 100;

/// Why a tag was not set or removed.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// There is no such config or revision.
    #[error(transparent)]
    NoSuch(#[from] NoSuch),
    /// There is no such tag.
    #[error("the config {config} has no tag {tag:?}")]
    NoTag {
        /// The config.
        config: ConfigName,
        /// The tag.
        tag: String,
    },
    /// It cannot be a tag.
    #[error(
        "a tag has at most {TAG_MAX_BYTES} letters, digits, dots, dashes and underscores, and begins with a letter"
    )]
    Invalid,
    /// There are too many.
    #[error("the config has {MOST_TAGS} tags already: remove one")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Gives a revision a name, which another revision of the config may have had until now.
    ///
    /// # Errors
    /// [`TagError`].
    pub async fn set_tag(
        &self,
        caller: &Caller,
        config: &ConfigName,
        (tag, revision): (&str, RevisionNumber),
        now: Timestamp,
    ) -> Result<Tag, TagError> {
        if !is_tag(tag) {
            return Err(TagError::Invalid);
        }
        let namespace = &caller.namespace;
        let mut tx = self.db().begin().await?;
        // Retention does not drop the revision meanwhile.
        configs::lock(&mut tx, namespace, config).await?;
        let _ = find_revision::<TagError>(&mut tx, caller, config, Some(revision)).await?;
        let tags = configs::tags(&mut tx, namespace, config).await?;
        let old = tags.iter().find(|known| known.name == tag);
        if old.is_none() && MOST_TAGS <= tags.len() {
            return Err(TagError::TooMany);
        }
        let set = Tag {
            name: tag.to_owned(),
            revision,
            set_by: caller.actor.clone(),
            set_at: now,
        };
        configs::set_tag(&mut tx, namespace, config, &set).await?;
        let mut act = Act::new("config.tagged", "tag", format!("configs/{config}"))
            .new_value(serde_json::json!({ "tag": tag, "revision": revision.0 }));
        if let Some(old) = old {
            act = act.old(serde_json::json!({ "tag": tag, "revision": old.revision.0 }));
        }
        act.done(&mut tx, caller, now).await?;
        tx.commit().await?;
        Ok(set)
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// [`TagError`].
    pub async fn remove_tag(
        &self,
        caller: &Caller,
        config: &ConfigName,
        tag: &str,
        now: Timestamp,
    ) -> Result<(), TagError> {
        let mut tx = self.db().begin().await?;
        find_config::<TagError>(&mut tx, caller, config).await?;
        if !configs::remove_tag(&mut tx, &caller.namespace, config, tag).await? {
            return Err(TagError::NoTag {
                config: config.clone(),
                tag: tag.chars().take(TAG_MAX_BYTES).collect(),
            });
        }
        Act::new("config.untagged", "untag", format!("configs/{config}"))
            .old(serde_json::json!({ "tag": tag }))
            .done(&mut tx, caller, now)
            .await?;
        Ok(tx.commit().await?)
    }

    /// The tags of a config, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tags(&self, caller: &Caller, config: &ConfigName) -> Result<Vec<Tag>, StoreError> {
        let mut conn = self.db().read().await?;
        configs::tags(&mut conn, &caller.namespace, config).await
    }
}

fn is_tag(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.len() <= TAG_MAX_BYTES
        && text.chars().all(fits)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
}
