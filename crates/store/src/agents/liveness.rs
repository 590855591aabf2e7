//! The liveness flush: when all agents were last seen, in one transaction.

use super::report::Liveness;
use crate::bulk::Bulk;
use crate::{Db, StoreError};

impl Db {
    /// Stores when agents were last seen and their sessions' state, in one transaction. Agents that are not stored
    /// (any more) are passed over; of an agent that is named twice, one of the two counts.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is stored then.
    pub async fn flush_liveness(&self, rows: &[Liveness]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut sorted: Vec<&Liveness> = rows.iter().collect();
        // In order, so that two nodes lock rows in the same order.
        sorted.sort_by(|a, b| (&a.namespace, a.agent).cmp(&(&b.namespace, b.agent)));
        let mut bulk = Bulk::new(
            "storing when agents were last seen",
            "WITH v (namespace, agent_id, last_seen, follows, wire, times) AS MATERIALIZED (VALUES {rows})
             UPDATE agent_liveness SET last_seen = v.last_seen, follows = v.follows, wire = v.wire,
                 health_times = COALESCE(v.times, agent_liveness.health_times),
                 flushed_at = CASE WHEN v.times IS NULL THEN agent_liveness.flushed_at ELSE v.last_seen END
             FROM v WHERE agent_liveness.namespace = v.namespace AND agent_liveness.agent_id = v.agent_id",
            6,
        );
        for row in sorted {
            bulk.row([
                (&row.namespace).into(),
                row.agent.into(),
                row.last_seen.into(),
                row.follows.into(),
                row.wire.as_ref().into(),
                row.health_times
                    .as_ref()
                    .map(domain::model::HealthTimes::to_bytes)
                    .into(),
            ]);
        }
        let mut tx = self.begin_reports().await?;
        bulk.run(&mut tx).await?;
        tx.commit().await?;
        self.checkpoint_if_due().await
    }
}
