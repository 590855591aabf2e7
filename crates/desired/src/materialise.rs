//! From the layers of an agent to the content it is offered.

use std::sync::Arc;

use domain::model::{ConfigFile, ConfigMap};
use domain::{ConfigName, ContentHash, RevisionNumber, SecretVersion};
use otelcol::{Document, Position};

use crate::body::BodyError;
use crate::hash::content_hash;
use crate::renderer::{Combined, Renderer};
use crate::secrets::{self, NoValue};
use crate::template::TemplateError;
use crate::{CONFIG_FILE, CONTENT_TYPE, Layer, Limits, Needs};

/// What agents with the same layers should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The files to offer, with references in place of secrets; for a collector the one `config.yaml`.
    pub files: ConfigMap,
    /// What the offer says its hash is: [`content_hash`] of the files, with the values of secrets in them.
    pub hash: ContentHash,
    /// The secrets whose values are put in when it is offered.
    pub secrets: Vec<Arc<SecretVersion>>,
    /// The components that it defines.
    pub needs: Needs,
}

/// Why layers make no content.
#[derive(Debug, thiserror::Error)]
pub enum MaterialiseError {
    /// There is no layer: such an agent is unassigned and is offered nothing.
    #[error("no config applies")]
    NoLayers,
    /// The body of a layer is no configuration.
    #[error("revision {revision} of config {config} cannot be used")]
    Body {
        /// Its config.
        config: ConfigName,
        /// Its number.
        revision: RevisionNumber,
        /// What is wrong with it.
        #[source]
        source: BodyError,
    },
    /// The template of a layer fails.
    #[error("the template that is revision {revision} of config {config} fails")]
    Template {
        /// Its config.
        config: ConfigName,
        /// Its number.
        revision: RevisionNumber,
        /// Where, and why.
        #[source]
        source: TemplateError,
    },
    /// What the template of a layer makes is no configuration.
    #[error(
        "{at} of the template that is revision {revision} of config {config} makes what cannot be used; in what it makes"
    )]
    Rendered {
        /// Its config.
        config: ConfigName,
        /// Its number.
        revision: RevisionNumber,
        /// Where in the template.
        at: Position,
        /// What is wrong with it, with its place in what was made.
        #[source]
        source: Box<BodyError>,
    },
    /// What the template of a layer makes is too large.
    #[error(
        "the template that is revision {revision} of config {config} makes {bytes} bytes, allowed are {limit}: shorten its loops, or raise the limit"
    )]
    RenderedTooLarge {
        /// Its config.
        config: ConfigName,
        /// Its number.
        revision: RevisionNumber,
        /// Size of what it makes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A value cannot be put in for a secret.
    #[error("revision {revision} of config {config} refers to a secret")]
    Secret {
        /// Its config.
        config: ConfigName,
        /// Its number.
        revision: RevisionNumber,
        /// Where in the text that it makes, and why.
        #[source]
        source: NoValue,
    },
    /// The layers merge to more than an agent may be sent.
    #[error(
        "the layers merge to {bytes} bytes, allowed are {limit}: match fewer configs, or raise the limit"
    )]
    TooLarge {
        /// Size of the merged document.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The merged document does not read back as what was merged: a bug of ours, caught in time.
    #[error("the merged configuration does not read back as what was merged")]
    Unfaithful,
}

impl MaterialiseError {
    /// Whether a template is at fault.
    #[must_use]
    pub const fn is_of_a_template(&self) -> bool {
        matches!(
            self,
            Self::Template { .. } | Self::Rendered { .. } | Self::RenderedTooLarge { .. }
        )
    }

    /// Whether a secret is at fault.
    #[must_use]
    pub const fn is_of_a_secret(&self) -> bool {
        matches!(self, Self::Secret { .. })
    }

    /// Line and column in the template, counted from 1, where a template is at fault.
    #[must_use]
    pub const fn place_in_template(&self) -> Option<(u32, u32)> {
        let at = match self {
            Self::Template { source, .. } => source.at,
            Self::Rendered { at, .. } => *at,
            _ => return None,
        };
        Some((at.line, at.column))
    }
}

/// The content that these layers make, within the default limits.
///
/// # Errors
/// As [`materialise_within`].
pub fn materialise(layers: &[Layer]) -> Result<Content, MaterialiseError> {
    materialise_within(layers, &Limits::default())
}

/// The content that these layers make: [`Renderer::combine`] and [`Combined::content`].
///
/// # Errors
/// No layer, a template that fails, a body that is no configuration, or a merged document above the limit.
pub fn materialise_within(layers: &[Layer], limits: &Limits) -> Result<Content, MaterialiseError> {
    Renderer::new(*limits).combine(layers)?.content()
}

impl Combined {
    /// What agents with these layers should run. A single layer is passed on byte for byte.
    ///
    /// # Errors
    /// The merged document is above the limit.
    pub fn content(&self) -> Result<Content, MaterialiseError> {
        let body = match self.layers.as_slice() {
            [only] => only.text().to_vec(),
            _ => written(&self.merged.document, self.limits())?,
        };
        let body = self.writing.finish(body);
        let files =
            ConfigMap::from([(CONFIG_FILE.to_owned(), ConfigFile::new(body, CONTENT_TYPE))]);
        let (hash, secrets) = match self.secrets() {
            Some(secrets) if secrets::are_named(&files) => self.with_values(&files, secrets)?,
            _ => (content_hash(&files), Vec::new()),
        };
        Ok(Content {
            files,
            hash,
            secrets,
            needs: Needs::of(&self.merged.document),
        })
    }

    /// The hash of the files with the values of secrets in them, and those of these secrets that they refer to.
    fn with_values(
        &self,
        files: &ConfigMap,
        known: Vec<Arc<SecretVersion>>,
    ) -> Result<(ContentHash, Vec<Arc<SecretVersion>>), MaterialiseError> {
        let used = secrets::used(files, known);
        let filled = secrets::filled(files, &used).map_err(|fault| self.at_fault(fault))?;
        let sizes = filled.values().map(|file| file.body.len());
        let (bytes, limit) = (sizes.sum::<usize>(), self.limits().merged_bytes);
        if limit < bytes {
            return Err(MaterialiseError::TooLarge { bytes, limit });
        }
        Ok((content_hash(&filled), used))
    }

    /// The last layer that refers to it; the place is that in the text of the layer.
    fn at_fault(&self, fault: NoValue) -> MaterialiseError {
        let found = self.layers.iter().rev().find_map(|layer| {
            let at = fault.place_in(layer.text())?;
            Some((layer, at))
        });
        let (layer, source) = match found {
            Some((layer, at)) => (layer, NoValue { at, ..fault }),
            // Merging joins no texts, so that what is wrong stands in a layer.
            None => (&self.layers[0], fault),
        };
        let revision = layer.revision();
        MaterialiseError::Secret {
            config: revision.config.clone(),
            revision: revision.number,
            source,
        }
    }
}

/// The merged document as YAML, proved to read back as what was merged.
fn written(merged: &Document, limits: &Limits) -> Result<Vec<u8>, MaterialiseError> {
    // A style that cannot be kept must not keep a change from its agents: values come second.
    for write in [Document::to_yaml, |merged: &Document| {
        merged.value().to_yaml()
    }] {
        let text = write(merged);
        let (bytes, limit) = (text.len(), limits.merged_bytes);
        if limit < bytes {
            return Err(MaterialiseError::TooLarge { bytes, limit });
        }
        if merged.reads_back(&text) {
            return Ok(text.into_bytes());
        }
    }
    Err(MaterialiseError::Unfaithful)
}
