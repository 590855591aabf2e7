//! Rollouts as the API shows them.

use api_types::rollouts::{Rollout, RolloutAgents, RolloutDetail, RolloutStatus, StartedRollout};
use engine::admin::rollouts::{AgentCounts, RolloutDetail as Detail, Started};
use engine::domain;
use engine::domain::{ConfigState, RolloutState};

use crate::dry_runs::to_counts;
use crate::routes::agents::to_config_state;

pub(crate) fn to_rollout(rollout: domain::Rollout) -> Rollout {
    let (status, ended_at, abort_reason) = match rollout.state {
        RolloutState::Running => (RolloutStatus::Running, None, None),
        RolloutState::Completed { at } => (RolloutStatus::Completed, Some(at), None),
        RolloutState::Aborted { at, reason } => (RolloutStatus::Aborted, Some(at), Some(reason)),
    };
    Rollout {
        id: rollout.id.to_string(),
        config: rollout.config.to_string(),
        revision: rollout.target.map(|number| number.0),
        previous_revision: rollout.previous.map(|number| number.0),
        strategy: rollout.strategy.as_str().to_owned(),
        forced: rollout.forced,
        status,
        author: rollout.created_by.to_string(),
        message: rollout.message,
        created_at: rollout.created_at,
        ended_at,
        abort_reason,
    }
}

pub(crate) fn to_started(started: Started) -> StartedRollout {
    StartedRollout {
        rollout: to_rollout(started.rollout),
        affected: started.affected,
        excluded: started.excluded,
        excluded_by_dry_run: started.refused,
        dry_run: started.dry_run.map(to_counts),
    }
}

pub(super) fn to_detail(detail: Detail) -> RolloutDetail {
    RolloutDetail {
        rollout: to_rollout(detail.rollout),
        agents: to_agents(&detail.agents),
    }
}

fn to_agents(counts: &AgentCounts) -> RolloutAgents {
    RolloutAgents {
        total: counts.total,
        in_sync: counts
            .by_state
            .get(&ConfigState::Applied)
            .copied()
            .unwrap_or_default(),
        disconnected: counts.disconnected,
        by_state: counts
            .by_state
            .iter()
            .map(|(state, count)| (to_config_state(*state), *count))
            .collect(),
    }
}
