//! Secrets that texts refer to: which of them layers name, and putting their values in.
//!
//! What is stored, shown and checked has the references. The values are put in when a content is offered, and its hash is
//! that of the files with them, which an agent can check.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::model::{ConfigFile, ConfigMap};
use domain::{SecretName, SecretVersion, Secrets};
use otelcol::{Position, SecretFaultKind, secret_references};

use crate::layer::Layer;
use crate::renderer::Combined;
use crate::values::Values;

/// Why a value could not be put in for a reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {fault}")]
pub struct NoValue {
    /// Where.
    pub at: Position,
    /// What is wrong there, and what to do.
    pub fault: SecretFaultKind,
}

impl NoValue {
    /// Where the reference at fault stands in another text, if it does.
    pub(crate) fn place_in(&self, text: &[u8]) -> Option<Position> {
        let SecretFaultKind::Unknown { name } = &self.fault else {
            let text = std::str::from_utf8(text).ok()?;
            let first = secret_references(text).next()?;
            return Some(position(text, first.range.start));
        };
        let text = std::str::from_utf8(text).ok()?;
        let mut references = secret_references(text);
        let found = references.find(|reference| reference.name == Some(name.as_str()))?;
        Some(position(text, found.range.start))
    }
}

/// The place of a byte, counted as an editor counts.
fn position(text: &str, offset: usize) -> Position {
    let before = &text[..offset];
    let line = before.rsplit('\n').next().unwrap_or_default();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position {
        offset: count(offset),
        line: count(before.matches('\n').count() + 1),
        column: count(line.chars().count() + 1),
    }
}

/// The secrets that a body or the values of its template name, of all that there are.
pub(crate) fn named(
    body: &[u8],
    values: Option<&Values>,
    all: &Secrets,
) -> Vec<Arc<SecretVersion>> {
    let mut named = BTreeMap::new();
    let mut look = |text: &str| {
        for secret in references(text).filter_map(|name| all.get(&name)) {
            named.insert(&secret.name, Arc::clone(secret));
        }
    };
    look(&String::from_utf8_lossy(body));
    if let Some(values) = values {
        look(values.as_json());
    }
    named.into_values().collect()
}

/// The names of secrets that a text refers to.
pub fn references(text: &str) -> impl Iterator<Item = SecretName> {
    secret_references(text).filter_map(|reference| SecretName::new(reference.name?).ok())
}

/// Whether files refer to any.
pub(crate) fn are_named(files: &ConfigMap) -> bool {
    let mut texts = files
        .values()
        .map(|file| String::from_utf8_lossy(&file.body));
    texts.any(|text| secret_references(&text).next().is_some())
}

/// The secrets that layers name together, by name.
pub(crate) fn of(layers: &[Layer]) -> BTreeMap<&SecretName, &SecretVersion> {
    let secrets = layers.iter().filter_map(Layer::secrets).flatten();
    secrets.map(|secret| (&secret.name, &**secret)).collect()
}

/// Those of these secrets that files refer to.
pub(crate) fn used(files: &ConfigMap, known: Vec<Arc<SecretVersion>>) -> Vec<Arc<SecretVersion>> {
    if known.is_empty() {
        return known;
    }
    let texts = files
        .values()
        .map(|file| String::from_utf8_lossy(&file.body));
    let texts: Vec<_> = texts.collect();
    let names: Vec<SecretName> = texts.iter().flat_map(|text| references(text)).collect();
    let mut used = known;
    used.retain(|secret| names.contains(&secret.name));
    used
}

/// Files with the values of these secrets in place of their references.
///
/// # Errors
/// [`NoValue`]: a reference to another secret, one that is none, or a value that does not fit where it stands.
pub fn filled(files: &ConfigMap, secrets: &[Arc<SecretVersion>]) -> Result<ConfigMap, NoValue> {
    let value = |name: &str| {
        let found = secrets.iter().find(|secret| secret.name.as_str() == name)?;
        Some(found.expose())
    };
    let file = |(name, file): (&String, &ConfigFile)| {
        let filled = match std::str::from_utf8(&file.body) {
            Ok(text) => otelcol::fill_secrets(text, value)
                .map_err(|found| NoValue {
                    at: found.at,
                    fault: found.fault,
                })?
                .into_bytes(),
            // What is no text refers to nothing.
            Err(_) => file.body.clone(),
        };
        Ok((
            name.clone(),
            ConfigFile::new(filled, file.content_type.as_str()),
        ))
    };
    files.iter().map(file).collect()
}

impl Combined {
    /// The secrets that the layers name; nothing: of some layer it is not known what there is.
    pub(crate) fn secrets(&self) -> Option<Vec<Arc<SecretVersion>>> {
        let mut all = BTreeMap::new();
        for layer in &self.layers {
            for secret in layer.secrets()? {
                all.insert(&secret.name, Arc::clone(secret));
            }
        }
        Some(all.into_values().collect())
    }
}
