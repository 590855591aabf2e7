//! What an agent should run, was sent, answered and runs, as the API shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use api_types::agents::{
    AgentConfig, ConfigDiff, ConfigFile, ConfigState, DesiredConfig, Drift, DriftKind,
    DriftedPlace, EffectiveConfig, LayerRef, OfferedConfig, ReportedConfig,
};
use engine::admin::agents::{
    AgentView, DesiredView, drift_of, hash_of_body, hash_of_files, redacted_files,
    redacted_for_diff,
};
use engine::admin::configs::GivenBySet;
use engine::difference::{self, How};

use engine::Layer;
use engine::domain::model;
use engine::domain::model::ConfigMap;

use super::hex;
use super::report::to_apply_status;
use crate::dry_runs::to_known_refusal;
use crate::routes::configs::{redacted_values, to_shared};

/// How long a comparison may take before it settles for a coarser one.
const DIFF_LIMIT: Duration = Duration::from_millis(200);

/// Whether secrets are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::routes::agents) enum Secrets {
    /// They are replaced.
    Redacted,
    /// As they are.
    Shown,
}

pub(super) fn to_config(agent: &AgentView, state: ConfigState, secrets: Secrets) -> AgentConfig {
    let stored = &agent.stored;
    let effective = stored.effective_config.as_ref();
    let diff = match (&agent.desired, effective) {
        (Some(desired), Some(effective)) => Some(to_diff(&desired.files, effective, secrets)),
        _ => None,
    };
    let drift = match (&agent.desired, effective) {
        (Some(desired), Some(effective)) => drift_of(&desired.files, effective).map(to_drift),
        _ => None,
    };
    AgentConfig {
        state,
        desired: agent
            .desired
            .as_ref()
            .map(|desired| to_desired(desired, secrets)),
        offered: stored.summary.offered.map(|offered| OfferedConfig {
            hash: offered.hash.to_string(),
            at: offered.at,
        }),
        reported: stored
            .summary
            .remote_config_status
            .as_ref()
            .map(|status| ReportedConfig {
                hash: hex(&status.last_hash),
                status: to_apply_status(status.state),
                error: status.error.clone(),
            }),
        effective: effective.map(|files| EffectiveConfig {
            hash: hash_of_files(files).to_string(),
            files: to_files(files, secrets),
        }),
        diff,
        drift,
        missing_components: agent.missing_components.clone(),
        refused: agent.refusal.as_deref().map(to_known_refusal),
    }
}

fn to_drift(drift: difference::Drift) -> Drift {
    let place = |place: difference::Drifted| DriftedPlace {
        path: place.path.to_string(),
        how: match place.how {
            How::Missing => DriftKind::Missing,
            How::Different => DriftKind::Different,
            How::Added => DriftKind::Added,
            How::Further => DriftKind::Further,
        },
    };
    Drift {
        drifted: !drift.is_at_most_further(),
        places: drift.places.into_iter().map(place).collect(),
        more: drift.more as u64,
    }
}

fn to_desired(desired: &DesiredView, secrets: Secrets) -> DesiredConfig {
    DesiredConfig {
        hash: desired.hash.to_string(),
        layers: desired
            .layers
            .iter()
            .map(|layer| to_layer(layer, secrets))
            .collect(),
        files: to_files(&desired.files, secrets),
    }
}

fn to_layer(layer: &Layer, secrets: Secrets) -> LayerRef {
    let revision = &layer.revision;
    let values = layer.values.as_ref();
    let values = values.and_then(|values| serde_json::from_str(values.as_json()).ok());
    LayerRef {
        values: match secrets {
            Secrets::Shown => values,
            Secrets::Redacted => values.map(redacted_values),
        },
        shared: to_shared(GivenBySet::of(layer)),
        config: revision.config.to_string(),
        revision: revision.number.0,
        version: revision.version.clone(),
        priority: revision.priority,
    }
}

fn to_files(files: &ConfigMap, secrets: Secrets) -> BTreeMap<String, ConfigFile> {
    let shown = match secrets {
        Secrets::Shown => files.clone(),
        Secrets::Redacted => redacted_files(files),
    };
    let pairs = files.iter().zip(shown.into_values());
    pairs
        .map(|((name, file), shown)| (name.clone(), to_file(file, shown)))
        .collect()
}

fn to_file(file: &model::ConfigFile, shown: model::ConfigFile) -> ConfigFile {
    let readable = std::str::from_utf8(&file.body).is_ok();
    let redacted = readable && shown.body != file.body;
    ConfigFile {
        content_type: file.content_type.clone(),
        size_bytes: u64::try_from(file.body.len()).unwrap_or(u64::MAX),
        sha256: hash_of_body(&file.body).to_string(),
        body: if readable {
            String::from_utf8(shown.body).ok()
        } else {
            None
        },
        redacted,
    }
}

/// From desired to effective, file by file. Where each side has a single file these are compared whatever their names:
/// collectors report theirs under the empty name.
fn to_diff(desired: &ConfigMap, effective: &ConfigMap, secrets: Secrets) -> ConfigDiff {
    let bodies = |files: &ConfigMap| {
        files
            .values()
            .map(|file| file.body.clone())
            .collect::<Vec<_>>()
    };
    if let (1, 1, Some((name, before)), Some(after)) = (
        desired.len(),
        effective.len(),
        desired.iter().next(),
        effective.values().next(),
    ) {
        let identical = before.body == after.body;
        return ConfigDiff {
            identical,
            unified: unified(name, Some(before), Some(after), secrets),
        };
    }
    let identical = desired.keys().eq(effective.keys()) && bodies(desired) == bodies(effective);
    let names: std::collections::BTreeSet<&String> =
        desired.keys().chain(effective.keys()).collect();
    let parts = names
        .into_iter()
        .map(|name| unified(name, desired.get(name), effective.get(name), secrets));
    ConfigDiff {
        identical,
        unified: parts.collect(),
    }
}

fn unified(
    name: &str,
    before: Option<&model::ConfigFile>,
    after: Option<&model::ConfigFile>,
    secrets: Secrets,
) -> String {
    let empty = model::ConfigFile::default();
    let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
    let (before, after) = match secrets {
        Secrets::Redacted => redacted_for_diff(before, after),
        Secrets::Shown => (
            String::from_utf8_lossy(&before.body).into(),
            String::from_utf8_lossy(&after.body).into(),
        ),
    };
    crate::diffs::unified(
        (&format!("desired/{name}"), &before),
        (&format!("effective/{name}"), &after),
        DIFF_LIMIT,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> ConfigMap {
        entries
            .iter()
            .map(|(name, body)| {
                (
                    (*name).to_owned(),
                    model::ConfigFile::new(*body, "text/yaml"),
                )
            })
            .collect()
    }

    #[test]
    fn single_files_are_compared_whatever_their_names() {
        let desired = files(&[("config.yaml", "a: 1\n")]);
        let same = to_diff(&desired, &files(&[("", "a: 1\n")]), Secrets::Redacted);
        assert_eq!(
            same,
            ConfigDiff {
                identical: true,
                unified: String::new()
            }
        );
        let other = to_diff(&desired, &files(&[("", "a: 2\n")]), Secrets::Redacted);
        assert!(!other.identical);
        assert!(
            other.unified.contains("-a: 1\n+a: 2\n"),
            "{}",
            other.unified
        );
    }

    #[test]
    fn a_secret_that_differs_shows_without_being_told() {
        let desired = files(&[(
            "config.yaml",
            "exporters:\n  otlp:\n    headers: {api-key: hunter2}\n",
        )]);
        let effective = files(&[(
            "config.yaml",
            "exporters:\n  otlp:\n    headers: {api-key: hunter3}\n",
        )]);
        let diff = to_diff(&desired, &effective, Secrets::Redacted);
        assert!(!diff.identical);
        assert!(
            !diff.unified.is_empty() && !diff.unified.contains("hunter"),
            "{}",
            diff.unified
        );
        assert!(
            to_diff(&desired, &effective, Secrets::Shown)
                .unified
                .contains("hunter3")
        );
    }

    #[test]
    fn a_file_of_one_side_only_is_all_new() {
        let diff = to_diff(
            &files(&[("a", "x: 1\n"), ("b", "y: 1\n")]),
            &files(&[("a", "x: 1\n")]),
            Secrets::Redacted,
        );
        assert!(
            diff.unified.contains("-y: 1\n") && !diff.unified.contains("x: 1"),
            "{}",
            diff.unified
        );
    }

    #[test]
    fn a_body_that_is_no_text_is_told_by_its_hash_only() {
        let file = model::ConfigFile::new([0xff, 0xfe], "");
        let shown = to_files(
            &ConfigMap::from([("x".to_owned(), file)]),
            Secrets::Redacted,
        );
        assert_eq!(
            (
                shown["x"].body.as_ref(),
                shown["x"].size_bytes,
                shown["x"].redacted
            ),
            (None, 2, false)
        );
    }
}
