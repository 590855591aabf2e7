//! What agents with these labels would get: the layers that match, rendered, merged and checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use backends::documents::{Place, SourceConfig};
use desired::{AgentFacts, Layer, MaterialiseError};
use domain::model::InstanceUid;
use domain::{ConfigName, Labels};

use super::builds::{self, Found};
use super::code::{CheckCode, NOT_MERGED, TEMPLATE, UNASSIGNED};
use super::report::Report;
use super::{Documents, Written};

/// The uid of agents that nobody has.
pub(super) const NOBODY: InstanceUid = InstanceUid::new([0; 16]);

/// Checks what agents would get, and says which configs each matches, in the order in which they merge.
pub(super) fn check(
    documents: &Documents<'_>,
    agents: &[Labels],
    report: &mut Report,
) -> Vec<Vec<ConfigName>> {
    let by_name = documents.by_name();
    let agents = agents.iter().enumerate();
    agents
        .map(|(agent, labels)| {
            let (sets, matching): (Vec<_>, Vec<_>) = matching(documents, labels)
                .into_iter()
                .partition(|written| written.is_set());
            if matching.is_empty() {
                let message =
                    "no config matches these labels: correct them, or leave them out".to_owned();
                report.tell(UNASSIGNED, Place::file(""), message, Some(agent));
                return Vec::new();
            }
            match findings(documents, (&matching, &sets), labels) {
                Ok(findings) => findings.iter().for_each(|(found, build)| {
                    let audience = (Some(agent), *build);
                    report.tell_of(by_name[&found.source.config], found, audience);
                }),
                Err(error) => {
                    let (code, place, message) = failure(&error, &by_name);
                    report.tell(code, place, message, Some(agent));
                }
            }
            let names = matching.iter().map(|layer| layer.config.name.clone());
            names.collect()
        })
        .collect()
}

/// The documents for an agent with these labels, in the order in which they merge.
fn matching<'d>(documents: &'d Documents<'_>, labels: &Labels) -> Vec<&'d Written<'d>> {
    let written = documents.written.iter();
    let mut matching: Vec<_> = written
        .filter(|written| written.revision.selector.matches(labels))
        .collect();
    matching.sort_by_key(|written| (written.revision.priority, &written.config.name));
    matching
}

fn findings(
    documents: &Documents<'_>,
    (matching, sets): (&[&Written<'_>], &[&Written<'_>]),
    labels: &Labels,
) -> Result<Vec<Found>, MaterialiseError> {
    let facts = AgentFacts {
        uid: NOBODY,
        labels,
    };
    let revision = |written: &&Written<'_>| Arc::clone(&written.revision);
    let sets = sets.iter().map(revision).collect();
    let layers = matching.iter().map(revision);
    let layers: Vec<Layer> = layers
        .map(|revision| Layer::of(revision, facts, &sets))
        .collect();
    let combined = documents.renderer.combine(&layers)?;
    combined.content()?;
    Ok(builds::findings(&combined, documents.builds))
}

/// Why layers make nothing, in terms of their documents.
pub(super) fn failure(
    error: &MaterialiseError,
    by_name: &BTreeMap<&ConfigName, &SourceConfig>,
) -> (CheckCode, Place, String) {
    let at = error.place_in_template();
    let place = |config: &ConfigName| {
        let (line, column) = at.unwrap_or((1, 1));
        by_name[config].body.place(line.into(), column.into())
    };
    match error {
        MaterialiseError::Template { config, source, .. } => (
            TEMPLATE,
            place(config),
            format!("the template fails: {}", source.message),
        ),
        MaterialiseError::Rendered { config, source, .. } => (
            TEMPLATE,
            place(config),
            format!("the template makes what cannot be used; in what it makes, {source}"),
        ),
        MaterialiseError::RenderedTooLarge {
            config,
            bytes,
            limit,
            ..
        } => (
            TEMPLATE,
            place(config),
            format!(
                "the template makes {bytes} bytes, allowed are {limit}: shorten its loops, or raise the limit"
            ),
        ),
        MaterialiseError::NoLayers
        | MaterialiseError::Body { .. }
        | MaterialiseError::Secret { .. }
        | MaterialiseError::TooLarge { .. }
        | MaterialiseError::Unfaithful => (
            NOT_MERGED,
            Place::file(""),
            crate::drive::error_chain(error),
        ),
    }
}
