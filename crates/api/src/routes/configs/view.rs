//! Configs and revisions as the API shows them.

use api_types::configs::{Config, ConfigKind, ConfigOwner, Revision, RevisionSummary, Tag};
use api_types::rollouts::Rollout;
use engine::admin::agents::redacted_body;
use engine::admin::configs::{ConfigOverview, RevisionHead, redacted_variables};
use engine::domain;
use engine::domain::{ConfigName, Kind};

use super::template;

pub(super) fn to_config(
    overview: ConfigOverview,
    last_rollout: Option<Rollout>,
    tags: Vec<Tag>,
) -> Config {
    let ConfigOverview {
        config,
        latest,
        baseline,
    } = overview;
    Config {
        namespace: config.namespace.to_string(),
        kind: to_kind(latest.kind),
        latest: to_head(&config.name, latest),
        name: config.name.to_string(),
        baseline: baseline.map(|number| number.0),
        last_rollout,
        tags,
        source: config.source.map(|source| ConfigOwner {
            repository: source.repository,
            gone_at: source.gone_at,
        }),
        created_at: config.created_at,
    }
}

pub(super) fn to_head(config: &ConfigName, head: RevisionHead) -> RevisionSummary {
    RevisionSummary {
        config: config.to_string(),
        number: head.number.0,
        version: head.version,
        kind: to_kind(head.kind),
        selector: head.selector.to_string(),
        priority: head.priority,
        is_template: head.template.is_some(),
        sha256: head.sha256.to_string(),
        size_bytes: head.body_bytes,
        author: head.author.to_string(),
        message: head.message,
        origin: head.origin,
        created_at: head.created_at,
    }
}

/// A revision with its secrets replaced.
pub(super) fn to_revision(revision: &domain::Revision) -> Revision {
    let body = body(revision.kind, &revision.body);
    let template = revision.template.as_ref();
    let (shown, whole) = (
        template.map(template::redacted),
        template.map(template::revealed),
    );
    let redacted = body.as_bytes() != &*revision.body || shown != whole;
    Revision {
        summary: to_summary(revision),
        body,
        template: shown,
        redacted,
    }
}

/// A body of this kind with its secrets replaced.
pub(super) fn body(kind: Kind, body: &[u8]) -> String {
    match kind {
        Kind::Collector => redacted_body(body),
        Kind::Variables => redacted_variables(body),
    }
}

/// A revision as it is, secrets included.
pub(super) fn to_revealed_revision(revision: &domain::Revision) -> Revision {
    let body = String::from_utf8_lossy(&revision.body).into_owned();
    Revision {
        summary: to_summary(revision),
        body,
        template: revision.template.as_ref().map(template::revealed),
        redacted: false,
    }
}

fn to_summary(revision: &domain::Revision) -> RevisionSummary {
    RevisionSummary {
        config: revision.config.to_string(),
        number: revision.number.0,
        version: revision.version.clone(),
        kind: to_kind(revision.kind),
        selector: revision.selector.to_string(),
        priority: revision.priority,
        is_template: revision.template.is_some(),
        sha256: revision.sha256.to_string(),
        size_bytes: u64::try_from(revision.body.len()).unwrap_or(u64::MAX),
        author: revision.author.to_string(),
        message: revision.message.clone(),
        origin: revision.origin.clone(),
        created_at: revision.created_at,
    }
}

fn to_kind(kind: Kind) -> ConfigKind {
    match kind {
        Kind::Collector => ConfigKind::Collector,
        Kind::Variables => ConfigKind::Variables,
    }
}
