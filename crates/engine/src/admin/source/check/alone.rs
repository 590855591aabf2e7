//! What can be said of each document alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use desired::{AgentFacts, Finding, Layer, MaterialiseError, Severity};
use domain::{ConfigName, Labels, Template};

use super::agents::{NOBODY, failure};
use super::builds::{self, Found};
use super::code::{NOT_RENDERED, of_body};
use super::report::{CheckFinding, Report, place_of};
use super::{Documents, Written};

/// What is known of the configs that a document is merged with.
#[derive(Clone, Copy)]
enum Others {
    /// They were checked together.
    Checked,
    /// There may be some.
    Possible,
    /// There are none.
    None,
}

/// Checks each document alone, and tells what is not told of it together with others.
pub(super) fn check(documents: &Documents<'_>, agents: &[Vec<ConfigName>], report: &mut Report) {
    let checked: BTreeSet<&ConfigName> = agents.iter().flatten().collect();
    let has_sets = documents.written.iter().any(Written::is_set);
    let layers = || documents.written.iter().filter(|written| !written.is_set());
    for written in layers() {
        let others = match checked.contains(&written.config.name) {
            true => Others::Checked,
            false if layers().count() == 1 => Others::None,
            false => Others::Possible,
        };
        match (&written.revision.template, others) {
            // Of its agents each text was checked.
            (Some(_), Others::Checked) => {}
            (Some(template), _) if depends_on_the_agent(template, has_sets) => {
                not_rendered(written, report);
            }
            _ => body(documents, written, others, report),
        }
    }
}

/// Whether agents get different texts of a template. Sets of variables may be for some agents alone.
fn depends_on_the_agent(template: &Template, has_sets: bool) -> bool {
    let uses = &template.uses;
    let may_differ = !template.overrides.is_empty() || has_sets && !uses.variables.is_empty();
    uses.uid || !uses.labels.is_empty() || may_differ
}

fn not_rendered(written: &Written<'_>, report: &mut Report) {
    let message = "what this template makes depends on the agent and was not checked: give the labels of one with --labels";
    let place = written.config.place.clone();
    report.tell(NOT_RENDERED, place, message.to_owned(), None);
}

fn body(documents: &Documents<'_>, written: &Written<'_>, others: Others, report: &mut Report) {
    match findings(documents, written) {
        Ok(findings) => findings
            .iter()
            .for_each(|(found, build)| tell(written, (found, *build), others, report)),
        Err(error) => {
            let by_name = BTreeMap::from([(&written.config.name, written.config)]);
            let (code, place, message) = failure(&error, &by_name);
            report.tell(code, place, message, None);
        }
    }
}

fn findings(
    documents: &Documents<'_>,
    written: &Written<'_>,
) -> Result<Vec<Found>, MaterialiseError> {
    let facts = AgentFacts {
        uid: NOBODY,
        labels: &Labels::default(),
    };
    let layer = Layer::of(Arc::clone(&written.revision), facts, &Arc::default());
    let combined = documents.renderer.combine(&[layer])?;
    Ok(builds::findings(&combined, documents.builds))
}

/// Tells a finding; what only the whole of an agent's configs shows is no more than advice where others may mend it.
fn tell(
    written: &Written<'_>,
    (found, build): (&Finding, Option<usize>),
    others: Others,
    report: &mut Report,
) {
    match others {
        Others::Checked if found.code.is_of_the_whole() => {}
        Others::Possible if found.code.is_of_the_whole() => report.add(lack(written, found)),
        _ => report.tell_of(written.config, found, (None, build)),
    }
}

/// What a document lacks that another may have.
fn lack(written: &Written<'_>, found: &Finding) -> CheckFinding {
    CheckFinding {
        severity: Severity::Advice,
        code: of_body(found.code),
        place: place_of(written.config, found),
        message: format!(
            "{}: {}; or leave it to another config of the same agents",
            found.message, found.advice
        ),
        refuses: false,
        agents: BTreeSet::new(),
        builds: BTreeSet::new(),
    }
}
