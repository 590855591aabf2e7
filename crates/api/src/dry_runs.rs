//! Dry runs, as requests order them and the API shows them.

use std::time::Duration;

use api_types::ProblemKind;
use api_types::dry_runs::{DryRun, DryRunCounts, DryRunInput, DryRunOutcome, KnownRefusal};
use engine::admin::rollouts::Refusal;
use engine::{DryRunOrder, MOST_ASKED_OF_A_GROUP, Verdict};

use crate::problem::{ApiError, ApiResult};

/// How long agents have for a dry run unless the request says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may give them.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// How agents are to be asked; nothing where nobody is.
pub(crate) fn to_order(field: &str, input: Option<DryRunInput>) -> ApiResult<Option<DryRunOrder>> {
    let Some(options) = input.and_then(DryRunInput::options) else {
        return Ok(None);
    };
    let refused = |name: &str, detail: String| {
        ApiError::new(ProblemKind::InvalidField)
            .field(format!("{field}.{name}"))
            .detail(detail)
    };
    let agents = options.agents_per_group.unwrap_or(1);
    let agents_per_group = usize::try_from(agents)
        .ok()
        .filter(|agents| (1..=MOST_ASKED_OF_A_GROUP).contains(agents))
        .ok_or_else(|| {
            let detail = format!("1 to {MOST_ASKED_OF_A_GROUP} agents of a group can be asked");
            refused("agents_per_group", detail)
        })?;
    let timeout = options
        .timeout_seconds
        .map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    if timeout.is_zero() || MAX_TIMEOUT < timeout {
        let most = MAX_TIMEOUT.as_secs();
        let detail = format!("agents can be waited for 1 to {most} seconds");
        return Err(refused("timeout_seconds", detail));
    }
    Ok(Some(DryRunOrder {
        agents_per_group,
        timeout,
    }))
}

pub(crate) fn to_dry_run(dry_run: engine::DryRun) -> DryRun {
    let (outcome, reason) = match dry_run.verdict {
        Verdict::Accepted => (DryRunOutcome::Accepted, None),
        Verdict::Refused(reason) => (DryRunOutcome::Refused, Some(reason)),
        Verdict::Failed(reason) => (DryRunOutcome::Failed, Some(reason)),
        Verdict::NoAnswer => (DryRunOutcome::NoAnswer, None),
        Verdict::Disconnected => {
            let reason = "its connection was lost".to_owned();
            (DryRunOutcome::NoAnswer, Some(reason))
        }
        Verdict::NotCapable(reason) => (DryRunOutcome::NotCapable, Some(reason)),
    };
    DryRun {
        agent: dry_run.agent.to_string(),
        outcome,
        reason,
        millis: to_millis(dry_run.took),
    }
}

pub(crate) fn to_refusal(refusal: Refusal) -> DryRun {
    DryRun {
        agent: refusal.agent.to_string(),
        outcome: DryRunOutcome::Refused,
        reason: Some(refusal.reason),
        millis: to_millis(refusal.took),
    }
}

pub(crate) fn to_known_refusal(refusal: &engine::KnownRefusal) -> KnownRefusal {
    KnownRefusal {
        agent: refusal.agent.to_string(),
        reason: refusal.reason.clone(),
        at: refusal.at,
    }
}

pub(crate) fn to_counts(counts: engine::DryRunCounts) -> DryRunCounts {
    DryRunCounts {
        asked: counts.asked,
        accepted: counts.accepted,
        refused: counts.refused,
        failed: counts.failed,
        no_answer: counts.no_answer,
        offline: counts.offline,
        not_capable: counts.not_capable,
        groups_not_asked: counts.groups_not_asked,
    }
}

fn to_millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
