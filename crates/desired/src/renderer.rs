//! From layers to what they make together: templates rendered, bodies read and merged, once for all that is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{ConfigName, ContentHash, Revision, RevisionNumber};
use otelcol::{Document, Position};

use crate::body;
use crate::hash::sha256;
use crate::layer::{Layer, in_order};
use crate::template::{Compiled, Places, Rendered, TemplateError};
use crate::values::Values;
use crate::writing::Writing;
use crate::{Limits, MaterialiseError};

/// How much is kept of texts that templates made, in bytes.
const KEPT_TEXTS: usize = 32 << 20;
/// How much is kept of compiled templates, in bytes of their texts.
const KEPT_TEMPLATES: usize = 8 << 20;
/// How much is kept of which templates were checked with what, in bytes.
const KEPT_CHECKS: usize = 1 << 20;

/// Makes what agents get, and remembers what templates made: a text is rendered once for each values of the names that
/// its template uses.
#[derive(Debug, Default)]
pub struct Renderer {
    limits: Limits,
    writing: Writing,
    templates: Mutex<Kept<ContentHash, Compiled>>,
    texts: Mutex<Kept<(ContentHash, [u8; 32]), Rendered>>,
    /// Templates that were checked with these variables, by the hash of their JSON.
    checked: Mutex<Kept<(ContentHash, ContentHash), ()>>,
}

/// Layers that are merged.
#[derive(Debug)]
pub struct Combined {
    limits: Limits,
    pub(crate) writing: Writing,
    pub(crate) layers: Vec<Ready>,
    pub(crate) merged: otelcol::Merged,
}

/// A layer with its text.
#[derive(Debug)]
pub(crate) struct Ready {
    revision: Arc<Revision>,
    /// What its template made; nothing: the body is the text.
    rendered: Option<Arc<Rendered>>,
}

impl Renderer {
    /// One that keeps to these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// One as another version of this program may have it, which writes other texts: for tests of what becomes of a fleet
    /// when its server is such a one.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn of_another_version(limits: Limits, otherwise: crate::Otherwise) -> Self {
        Self {
            writing: Writing::otherwise(otherwise),
            ..Self::new(limits)
        }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Merges layers in ascending (priority, name), whatever order they are given in, exactly as the Collector merges
    /// several `--config`.
    ///
    /// # Errors
    /// [`MaterialiseError`]: there is no layer, a template fails, or a text is no configuration.
    pub fn combine(&self, layers: &[Layer]) -> Result<Combined, MaterialiseError> {
        if layers.is_empty() {
            return Err(MaterialiseError::NoLayers);
        }
        let mut ready = Vec::with_capacity(layers.len());
        let mut documents = Vec::with_capacity(layers.len());
        for layer in in_order(layers) {
            let layer = self.ready(layer)?;
            documents.push(layer.parsed(&self.limits)?);
            ready.push(layer);
        }
        Ok(Combined {
            limits: self.limits,
            writing: self.writing,
            layers: ready,
            merged: otelcol::merge(documents),
        })
    }

    /// The text of one layer, as it goes into the merge.
    ///
    /// # Errors
    /// [`MaterialiseError`]: its template fails, or what it makes is too large. It need not be a configuration.
    pub fn text(&self, layer: &Layer) -> Result<Vec<u8>, MaterialiseError> {
        Ok(self.ready(layer)?.text().to_vec())
    }

    fn ready(&self, layer: &Layer) -> Result<Ready, MaterialiseError> {
        let rendered = match &layer.values {
            Some(values) => Some(self.rendered(layer, values)?),
            None => None,
        };
        Ok(Ready {
            revision: Arc::clone(&layer.revision),
            rendered,
        })
    }

    fn rendered(
        &self,
        layer: &Layer,
        values: &Values,
    ) -> Result<Arc<Rendered>, MaterialiseError> {
        let revision = &layer.revision;
        let key = (revision.sha256, *values.digest());
        if let Some(known) = find(&self.texts, &key) {
            return Ok(known);
        }
        let failed = |mut source: TemplateError| {
            let template = revision.template.as_ref();
            let looks = template.is_some_and(|template| !template.uses.variables.is_empty());
            if source.lacks_variable && looks {
                source.message = format!("{}; {}", source.message, layer.sets_in_words());
            }
            MaterialiseError::Template {
                config: revision.config.clone(),
                revision: revision.number,
                source,
            }
        };
        let template = self.compiled(revision).map_err(failed)?;
        self.check_values(&template, revision, values)
            .map_err(failed)?;
        let rendered = Arc::new(template.render(values).map_err(failed)?);
        let (bytes, limit) = (rendered.text().len(), self.limits.body_bytes);
        if limit < bytes {
            return Err(MaterialiseError::RenderedTooLarge {
                config: revision.config.clone(),
                revision: revision.number,
                bytes,
                limit,
            });
        }
        keep(&self.texts, key, &rendered, rendered.weight(), KEPT_TEXTS);
        Ok(rendered)
    }

    /// Checks what a template may cost with values that its revision does not have itself: those of shared sets come after
    /// it was checked.
    fn check_values(
        &self,
        template: &Compiled,
        revision: &Revision,
        values: &Values,
    ) -> Result<(), TemplateError> {
        let given = values.variables();
        let is_own = |(name, value): (&String, &serde_json::Value)| {
            let own = revision.template.as_ref();
            own.is_some_and(|own| own.has(name, value))
        };
        if given.iter().all(is_own) {
            return Ok(());
        }
        // Maps of what was JSON before always become JSON.
        let json = serde_json::to_vec(&given).unwrap_or_default();
        let key = (revision.sha256, sha256(&json));
        if find(&self.checked, &key).is_none() {
            template.check(&given)?;
            keep(&self.checked, key, &Arc::new(()), 0, KEPT_CHECKS);
        }
        Ok(())
    }

    fn compiled(&self, revision: &Revision) -> Result<Arc<Compiled>, TemplateError> {
        if let Some(known) = find(&self.templates, &revision.sha256) {
            return Ok(known);
        }
        // Bodies of templates were read as UTF-8 before they were stored.
        let source = String::from_utf8_lossy(&revision.body);
        let compiled = Arc::new(Compiled::of(&source)?);
        keep(
            &self.templates,
            revision.sha256,
            &compiled,
            compiled.size(),
            KEPT_TEMPLATES,
        );
        Ok(compiled)
    }
}

impl Combined {
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// From origins in the merged document to revisions.
    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources(self.layers.iter().map(SourceOf::new).collect())
    }
}

impl Ready {
    pub(crate) fn text(&self) -> &[u8] {
        match &self.rendered {
            Some(rendered) => rendered.text().as_bytes(),
            None => &self.revision.body,
        }
    }

    fn parsed(&self, limits: &Limits) -> Result<Document, MaterialiseError> {
        let (config, revision) = (self.revision.config.clone(), self.revision.number);
        body::parse(self.text(), limits).map_err(|source| match &self.rendered {
            None => MaterialiseError::Body {
                config,
                revision,
                source,
            },
            Some(rendered) => {
                let at = source.position().unwrap_or_default();
                MaterialiseError::Rendered {
                    config,
                    revision,
                    at: rendered.places().of(at),
                    source: Box::new(source),
                }
            }
        })
    }
}

/// Origins in terms of the layers that were merged in this order.
pub(crate) struct Sources<'c>(Vec<SourceOf<'c>>);

struct SourceOf<'c> {
    config: &'c ConfigName,
    revision: RevisionNumber,
    places: Option<Places<'c>>,
}

impl<'c> SourceOf<'c> {
    fn new(layer: &'c Ready) -> Self {
        Self {
            config: &layer.revision.config,
            revision: layer.revision.number,
            places: layer.rendered.as_ref().map(|rendered| rendered.places()),
        }
    }
}

impl Sources<'_> {
    pub(crate) fn of(&self, origin: otelcol::Origin) -> crate::Source {
        // Invariant: the merge numbers documents by their place among these layers.
        let layer = &self.0[origin.layer as usize];
        let place = |places: &Places<'_>| places.of(origin.position);
        let Position { line, column, .. } = layer.places.as_ref().map_or(origin.position, place);
        crate::Source {
            config: layer.config.clone(),
            revision: layer.revision,
            line,
            column,
        }
    }
}

/// Things that cost time to make, as long as they take little room; else all of them go.
#[derive(Debug)]
struct Kept<K, V> {
    known: HashMap<K, Arc<V>>,
    bytes: usize,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            bytes: 0,
        }
    }
}

fn find<K: std::hash::Hash + Eq, V>(kept: &Mutex<Kept<K, V>>, key: &K) -> Option<Arc<V>> {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.known.get(key).cloned()
}

fn keep<K: std::hash::Hash + Eq, V>(
    kept: &Mutex<Kept<K, V>>,
    key: K,
    value: &Arc<V>,
    bytes: usize,
    room: usize,
) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if room < kept.bytes + bytes {
        kept.known.clear();
        kept.bytes = 0;
    }
    // A small thing takes room, too.
    kept.bytes += bytes + 256;
    kept.known.insert(key, Arc::clone(value));
}
