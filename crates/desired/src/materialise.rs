//! From the layers of an agent to the content it is offered.

use domain::model::{ConfigFile, ConfigMap};
use domain::{ConfigName, ContentHash, RevisionNumber};
use otelcol::{Document, Merged};

use crate::body::{self, BodyError};
use crate::hash::content_hash;
use crate::layer::{Layer, in_order};
use crate::provenance::{LeafSource, Overridden, Provenance, Sources};
use crate::{CONFIG_FILE, CONTENT_TYPE, Limits};

/// What agents with the same layers should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The files to offer; for a collector the one `config.yaml`.
    pub files: ConfigMap,
    /// What the offer says its hash is: [`content_hash`] of the files.
    pub hash: ContentHash,
    /// Where every value comes from.
    pub provenance: Provenance,
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

/// The content that these layers make, within the default limits.
///
/// A single layer is passed on byte for byte. Several are merged in ascending (priority, name),
/// whatever order they are given in, exactly as the Collector merges several `--config`.
///
/// # Errors
/// As [`materialise_within`].
pub fn materialise(layers: &[Layer<'_>]) -> Result<Content, MaterialiseError> {
    materialise_within(layers, &Limits::default())
}

/// The content that these layers make.
///
/// # Errors
/// No layer, a body that is no configuration, or a merged document above the limit.
pub fn materialise_within(
    layers: &[Layer<'_>],
    limits: &Limits,
) -> Result<Content, MaterialiseError> {
    let (layers, merged) = merged(layers, limits)?;
    let body = match layers.as_slice() {
        [only] => only.body.to_vec(),
        _ => written(&merged.document, limits)?,
    };
    let files = ConfigMap::from([(CONFIG_FILE.to_owned(), ConfigFile::new(body, CONTENT_TYPE))]);
    let hash = content_hash(&files);
    Ok(Content {
        files,
        hash,
        provenance: provenance(&merged, &layers),
    })
}

/// The layers in the order in which they merge, of which there is at least one, and what they merge to.
pub(crate) fn merged<'a>(
    layers: &[Layer<'a>],
    limits: &Limits,
) -> Result<(Vec<Layer<'a>>, Merged), MaterialiseError> {
    let layers = in_order(layers);
    if layers.is_empty() {
        return Err(MaterialiseError::NoLayers);
    }
    let documents = layers
        .iter()
        .map(|layer| parsed(layer, limits))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((layers, otelcol::merge(documents)))
}

fn parsed(layer: &Layer<'_>, limits: &Limits) -> Result<Document, MaterialiseError> {
    body::parse(layer.body, limits).map_err(|source| MaterialiseError::Body {
        config: layer.config.clone(),
        revision: layer.revision,
        source,
    })
}

/// The merged document as YAML, proved to read back as what was merged.
fn written(merged: &Document, limits: &Limits) -> Result<Vec<u8>, MaterialiseError> {
    let expected = merged.value();
    // A style that cannot be kept must not keep a change from its agents: values come second.
    for write in [Document::to_yaml, |merged: &Document| {
        merged.value().to_yaml()
    }] {
        let text = write(merged);
        let (bytes, limit) = (text.len(), limits.merged_bytes);
        if limit < bytes {
            return Err(MaterialiseError::TooLarge { bytes, limit });
        }
        if reads_as(&text, &expected) {
            return Ok(text.into_bytes());
        }
    }
    Err(MaterialiseError::Unfaithful)
}

fn reads_as(text: &str, expected: &otelcol::Value) -> bool {
    let limits = otelcol::Limits {
        bytes: text.len(),
        nodes: usize::MAX,
        ..otelcol::Limits::default()
    };
    Document::parse_within(text.as_bytes(), &limits)
        .is_ok_and(|document| document.value() == *expected)
}

fn provenance(merged: &Merged, layers: &[Layer<'_>]) -> Provenance {
    let sources = Sources(layers);
    let leaves = merged.document.leaves();
    Provenance {
        leaves: leaves
            .into_iter()
            .map(|(path, origin)| LeafSource {
                path,
                source: sources.of(origin),
            })
            .collect(),
        overridden: merged
            .overridden
            .iter()
            .map(|lost| Overridden {
                path: lost.path.clone(),
                by: sources.of(lost.by),
                source: sources.of(lost.origin),
            })
            .collect(),
    }
}
