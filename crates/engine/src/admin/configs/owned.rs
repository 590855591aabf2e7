//! Configs that come from a config source: nobody else changes them.

use domain::{ConfigName, ConfigRecord};

/// A config that comes from a config source, and is changed there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the config {config} comes from the Git repository {repository}: change it there")]
pub struct OwnedBySource {
    /// The config.
    pub config: ConfigName,
    /// The repository.
    pub repository: String,
}

impl OwnedBySource {
    /// Refuses what would change a config that comes from a source.
    pub(super) fn check(config: Option<&ConfigRecord>) -> Result<(), Self> {
        let Some(config) = config else { return Ok(()) };
        let Some(source) = &config.source else {
            return Ok(());
        };
        Err(Self {
            config: config.name.clone(),
            repository: source.repository.clone(),
        })
    }

    /// Refuses to delete one that its source still has.
    pub(super) fn check_deletion(config: &ConfigRecord) -> Result<(), Self> {
        match &config.source {
            Some(source) if source.gone_at.is_some() => Ok(()),
            _ => Self::check(Some(config)),
        }
    }
}
