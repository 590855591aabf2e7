//! What differs between two configurations, as the API shows it.

use std::time::Duration;

use api_types::diffs::{ChangeKind, ComponentChange, ConfigChanges, ListChange, PipelineChange};
use engine::difference::{Difference, Rewired, Settings, Wiring};
use similar::TextDiff;

/// Two texts in unified format under these names. It settles for a coarser comparison when its time is up.
pub(crate) fn unified(
    (old_name, old): (&str, &str),
    (new_name, new): (&str, &str),
    limit: Duration,
) -> String {
    TextDiff::configure()
        .timeout(limit)
        .diff_lines(old, new)
        .unified_diff()
        .header(old_name, new_name)
        .to_string()
}

pub(crate) fn to_changes(difference: Difference) -> ConfigChanges {
    let paths = |paths: Vec<_>| paths.iter().map(ToString::to_string).collect();
    let component = |found: engine::difference::ComponentChange| {
        let (change, settings) = match found.change {
            Settings::Added => (ChangeKind::Added, Vec::new()),
            Settings::Removed => (ChangeKind::Removed, Vec::new()),
            Settings::Changed(settings) => (ChangeKind::Changed, settings),
        };
        ComponentChange {
            kind: found.kind.to_string(),
            id: found.id,
            change,
            settings: paths(settings),
        }
    };
    ConfigChanges {
        components: difference.components.into_iter().map(component).collect(),
        pipelines: difference.pipelines.into_iter().map(to_pipeline).collect(),
        extensions: to_list(difference.extensions),
        settings: paths(difference.settings),
        more: difference.more as u64,
    }
}

fn to_pipeline(found: engine::difference::PipelineChange) -> PipelineChange {
    let mut shown = PipelineChange {
        id: found.id,
        change: ChangeKind::Changed,
        receivers: None,
        processors: None,
        exporters: None,
    };
    match found.change {
        Wiring::Added => shown.change = ChangeKind::Added,
        Wiring::Removed => shown.change = ChangeKind::Removed,
        Wiring::Rewired {
            receivers,
            processors,
            exporters,
        } => {
            shown.receivers = to_list(receivers);
            shown.processors = to_list(processors);
            shown.exporters = to_list(exporters);
        }
    }
    shown
}

fn to_list(found: Rewired) -> Option<ListChange> {
    (!found.is_empty()).then_some(ListChange {
        added: found.added,
        removed: found.removed,
        reordered: found.is_reordered,
    })
}
