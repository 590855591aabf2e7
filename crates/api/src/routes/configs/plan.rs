//! `POST /configs/{config}/plan`: what a change would do to every agent, before it does.

use std::time::Duration;

use api_types::ProblemKind;
use api_types::diffs::ConfigChanges;
use api_types::plans::{Plan, PlanConfig, PlanGroup, PlanOutcome};
use axum::Json;
use axum::extract::State;
use engine::admin::agents::redacted_for_diff;
use engine::admin::configs::{Plan as Planned, PlanError, Proposal};
use engine::domain::RevisionNumber;
use engine::domain::model::ConfigFile;
use engine::{Apart, DesiredContent, DryRunOrder, Engine, Fate, Finding, Group};

use super::ConfigPath;
use super::put;
use crate::access::Acting;
use crate::diffs::{to_changes, unified};
use crate::dry_runs::{to_counts, to_dry_run, to_known_refusal, to_order};
use crate::extract::{ConfigJson as Body, Path};
use crate::findings::to_finding;
use crate::problem::{ApiError, ApiResult, shortened};
use crate::state::ApiState;

/// How many groups are shown.
const MOST_GROUPS: usize = 100;
/// How many of the groups are shown with what would change: each takes a while, and nobody reads more.
const MOST_DIFFS: usize = 25;
/// How many findings of a group are shown.
const MOST_FINDINGS: usize = 20;
/// The longest diff of a group, in bytes.
const DIFF_MAX_BYTES: usize = 64 << 10;
/// How long one diff may be worked at before it settles for a coarser one; of [`MOST_DIFFS`] all together a quarter of a second.
const DIFF_LIMIT: Duration = Duration::from_millis(10);

/// Says what a release, an edit that is not saved, or a deletion would do to every agent that it concerns: alike agents
/// together, with the diff of what they would run, and what checks find in it. Nothing changes.
///
/// With `dry_run`, some agents of each group that would change, connected to the node that answers, have their own
/// Collector check it. They apply nothing.
#[utoipa::path(post, path = "/configs/{config}/plan", tag = "configs",
    params(("config" = String, Path, description = "The config's name")),
    request_body = PlanConfig,
    responses((status = 200, body = Plan)))]
pub(crate) async fn plan_config(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    Body(body): Body<PlanConfig>,
) -> ApiResult<Json<Plan>> {
    let name = path.name()?;
    let excludes = body.exclude_incompatible.unwrap_or_default();
    let (proposal, dry_run) = read(body)?;
    let apart = if excludes {
        Apart::Builds
    } else {
        Apart::Contents
    };
    let mut planned = state
        .engine
        .plan_config(&caller, &name, (&proposal, apart), state.now())
        .await?;
    let dry_run = match dry_run {
        // Releases go on meanwhile.
        Some(order) => {
            let asking = state.engine.dry_run(&caller, &mut planned.groups, order);
            Some(to_counts(asking.await))
        }
        None => None,
    };
    // Diffs take a while.
    let engine = state.engine.clone();
    let shown =
        tokio::task::spawn_blocking(move || to_plan(&engine, path.config, (planned, apart))).await;
    let shown = shown.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(Plan { dry_run, ..shown }))
}

fn read(body: PlanConfig) -> ApiResult<(Proposal, Option<DryRunOrder>)> {
    let PlanConfig {
        revision,
        edit,
        remove,
        exclude_incompatible: _,
        dry_run,
    } = body;
    let dry_run = to_order("dry_run", dry_run)?;
    let removes = remove.unwrap_or_default();
    let proposal = match (revision, edit, removes) {
        (revision, None, false) => Ok(Proposal::Release(revision.map(RevisionNumber))),
        (None, Some(edit), false) => put::read(edit)
            .map(Proposal::Edit)
            .map_err(|error| error.within("edit")),
        (None, None, true) => Ok(Proposal::Remove),
        _ => Err(ApiError::new(ProblemKind::InvalidField)
            .field("revision")
            .detail("give one of \"revision\", \"edit\" and \"remove\": they are different plans")),
    };
    Ok((proposal?, dry_run))
}

fn to_plan(engine: &Engine, config: String, (planned, apart): (Planned, Apart)) -> Plan {
    let mut groups = planned.groups;
    // The largest come first already.
    groups.sort_by_key(|group| !group.is_blocked());
    // Of those that block, a release that leaves out what is incompatible gives it to some at most.
    let excluded = |group: &Group| match apart {
        Apart::Contents => 0,
        Apart::Builds => group.excluded(),
    };
    let count = |which: fn(&Group) -> bool| {
        let counted = groups.iter().filter(|group| which(group));
        counted.map(|group| group.agents).sum::<u64>()
    };
    let excluded_of = |which: fn(&Group) -> bool| {
        let counted = groups.iter().filter(|group| which(group));
        counted.map(excluded).sum::<u64>()
    };
    let is_changed = |group: &Group| matches!(group.fate, Fate::Changed(_)) && !group.is_left_out();
    Plan {
        config,
        revision: planned.revision.map(|number| number.0),
        previous_revision: planned.previous.map(|number| number.0),
        blocked: apart == Apart::Contents && groups.iter().any(Group::is_blocked),
        agents: count(|_| true),
        changed: count(is_changed) - excluded_of(is_changed),
        refused: match apart {
            Apart::Contents => count(Group::is_blocked),
            Apart::Builds => 0,
        },
        excluded: excluded_of(|_| true),
        presumably_incompatible: count(|group| group.doubt().is_some()),
        more_groups: groups.len().saturating_sub(MOST_GROUPS) as u64,
        dry_run: None,
        groups: groups
            .into_iter()
            .take(MOST_GROUPS)
            .enumerate()
            .map(|(place, group)| to_group(engine, group, place < MOST_DIFFS))
            .collect(),
        findings: planned.alone.into_iter().map(to_finding).collect(),
    }
}

pub(crate) fn to_group(engine: &Engine, group: Group, with_diff: bool) -> PlanGroup {
    let fails_checks = group.fails_checks();
    let (after, error) = match &group.fate {
        Fate::Changed(content) | Fate::Running(content) => (Some(&**content), None),
        Fate::Unchanged => (group.before.as_deref(), None),
        Fate::Unassigned => (None, None),
        Fate::Unrenderable(why) | Fate::Unmergeable(why) => (None, Some(why.clone())),
    };
    let outcome = match &group.fate {
        Fate::Unrenderable(_) => PlanOutcome::TemplateFailed,
        Fate::Unmergeable(_) => PlanOutcome::MergeFailed,
        _ if group.lacks_components() => PlanOutcome::MissingComponents,
        _ if fails_checks => PlanOutcome::CheckErrors,
        _ if group.is_left_out() || group.is_refused_by_agent() => PlanOutcome::RefusedByAgent,
        Fate::Unchanged | Fate::Running(_) => PlanOutcome::NoChange,
        Fate::Changed(_) => PlanOutcome::Change,
        Fate::Unassigned => PlanOutcome::Unassigned,
    };
    let diff = match &group.fate {
        Fate::Changed(content) if with_diff => Some(diff(group.before.as_deref(), content)),
        _ => None,
    };
    let changes = match &group.fate {
        Fate::Changed(content) if with_diff => changes(engine, group.before.as_deref(), content),
        _ => None,
    };
    let doubt = group.doubt().cloned();
    let mut findings: Vec<Finding> = group.findings.to_vec();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
    PlanGroup {
        outcome,
        agents: group.agents,
        disconnected: group.disconnected,
        examples: group.examples.iter().map(ToString::to_string).collect(),
        layers: group
            .layers
            .iter()
            .map(|layer| format!("{}@{}", layer.revision.config, layer.revision.number))
            .collect(),
        before: group
            .before
            .as_ref()
            .map(|content| content.hash.to_string()),
        after: after.map(|content| content.hash.to_string()),
        diff,
        changes,
        error,
        missing_components: group.lacking,
        known_refusal: group.refusal.as_deref().map(to_known_refusal),
        presumed_build: doubt.as_ref().map(|doubt| doubt.release.to_string()),
        presumably_missing: doubt.map_or_else(Vec::new, |doubt| doubt.lacking),
        dry_runs: group.dry_runs.into_iter().map(to_dry_run).collect(),
        more_findings: findings.len().saturating_sub(MOST_FINDINGS) as u64,
        findings: findings
            .into_iter()
            .take(MOST_FINDINGS)
            .map(to_finding)
            .collect(),
    }
}

/// From what agents should run now to what they would be given, file by file.
fn diff(before: Option<&DesiredContent>, after: &DesiredContent) -> String {
    let empty = ConfigFile::default();
    let names: std::collections::BTreeSet<&String> = before
        .map(|before| &before.files)
        .into_iter()
        .flat_map(|files| files.keys())
        .chain(after.files.keys())
        .collect();
    let mut text = String::new();
    for name in names {
        let old = before.and_then(|before| before.files.get(name));
        let new = after.files.get(name);
        let (old, new) = redacted_for_diff(old.unwrap_or(&empty), new.unwrap_or(&empty));
        text.push_str(&unified(
            (&format!("now/{name}"), &old),
            (&format!("then/{name}"), &new),
            DIFF_LIMIT,
        ));
    }
    shortened(text, DIFF_MAX_BYTES)
}

/// What differs in the Collector's own terms; it is given one file.
fn changes(
    engine: &Engine,
    before: Option<&DesiredContent>,
    after: &DesiredContent,
) -> Option<ConfigChanges> {
    let body =
        |content: &DesiredContent| content.files.values().next().map(|file| file.body.clone());
    let old = before.and_then(body).unwrap_or_default();
    engine.difference(&old, &body(after)?).map(to_changes)
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::NoSuch(error) => error.into(),
            PlanError::Edit(error) => Self::from(error).within("edit"),
            PlanError::Store(error) => error.into(),
        }
    }
}
