//! The config source as the API shows it.

use api_types::config_source::{
    AppliedCommit, ConfigSource, ConfigSourceKind, RefusedCommit, SourceCommit, SourceFetch,
    SourceFinding, SourceReleaseMode, SourceWaiting,
};
use engine::admin::source::{
    self, FetchOutcome, FetchReport, ReleaseBy, SourceDesk, SourceStanding,
};

pub(super) fn to_source(desk: &SourceDesk, standing: SourceStanding) -> ConfigSource {
    let source = desk.source();
    let (applied, refused) = standing
        .record
        .map_or((None, None), |record| (record.applied, record.refused));
    ConfigSource {
        kind: ConfigSourceKind::Git,
        namespace: source.namespace.to_string(),
        repository: source.repository.clone(),
        branch: source.branch.clone(),
        path: source.path.clone(),
        release: match source.release {
            ReleaseBy::Person => SourceReleaseMode::Manual,
            ReleaseBy::AllAtOnce => SourceReleaseMode::AllAtOnce,
        },
        sync_interval_seconds: desk.interval().as_secs_f64(),
        webhook: desk.webhook_secret().is_some(),
        last_fetch: desk.last().map(to_fetch),
        applied: applied.map(|applied| AppliedCommit {
            commit: to_commit(applied.commit),
            at: applied.at,
            forced: applied.forced,
        }),
        refused: refused.map(to_refused),
        waiting: standing.waiting.into_iter().map(to_waiting).collect(),
    }
}

fn to_fetch(report: FetchReport) -> SourceFetch {
    let mut shown = SourceFetch {
        at: report.at,
        success: false,
        head: None,
        forced: false,
        reason: None,
        error: None,
        failures: report.failures,
    };
    match report.outcome {
        FetchOutcome::Fetched { head, forced } => {
            (shown.success, shown.head, shown.forced) = (true, Some(head), forced);
        }
        FetchOutcome::Failed { reason, error } => {
            (shown.reason, shown.error) = (Some(reason.to_owned()), Some(error));
        }
    }
    shown
}

fn to_commit(commit: source::CommitRecord) -> SourceCommit {
    SourceCommit {
        id: commit.id,
        author: commit.author,
        message: commit.message,
        time: commit.time,
    }
}

fn to_refused(refused: source::RefusedCommit) -> RefusedCommit {
    RefusedCommit {
        commit: to_commit(refused.commit),
        at: refused.at,
        findings: refused.findings.into_iter().map(to_finding).collect(),
        more_findings: refused.more,
    }
}

fn to_finding(finding: source::SourceFinding) -> SourceFinding {
    SourceFinding {
        file: finding.file,
        line: finding.line,
        column: finding.column,
        code: finding.code,
        problem: finding.problem,
    }
}

fn to_waiting(waiting: source::Waiting) -> SourceWaiting {
    SourceWaiting {
        config: waiting.config.to_string(),
        latest: waiting.latest.0,
        baseline: waiting.baseline.map(|number| number.0),
        gone: waiting.is_gone,
        refused: waiting.refused,
    }
}
