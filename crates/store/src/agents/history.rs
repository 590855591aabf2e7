//! What changed about agents, kept for people.

use domain::{Actor, AgentId, Namespace};
use jiff::Timestamp;

use super::report::AgentReport;
use super::view::AgentChange;
use crate::bulk::Bulk;
use crate::sql::{Value, query};
use crate::{Conn, StoreError};

/// Changes on their way into the history.
#[derive(Default)]
pub(super) struct Changes {
    rows: Vec<[Value; 7]>,
}

/// One change by an operator.
pub(super) struct Edit<'a> {
    pub(super) ns: &'a Namespace,
    pub(super) agent: AgentId,
    pub(super) at: Timestamp,
    pub(super) actor: &'a Actor,
    pub(super) what: &'static str,
    pub(super) old: String,
    pub(super) new: String,
}

impl Changes {
    /// A change that the agent itself reports.
    pub(super) fn of_agent(
        &mut self,
        report: &AgentReport,
        what: &'static str,
        old: Option<String>,
        new: Option<String>,
    ) {
        let actor = Value::Text(None);
        let agent = report.agent.into();
        let at = report.at.into();
        self.rows.push([
            (&report.namespace).into(),
            agent,
            at,
            what.into(),
            actor,
            old.into(),
            new.into(),
        ]);
    }

    pub(super) fn of_operator(&mut self, edit: Edit<'_>) {
        self.rows.push([
            edit.ns.into(),
            edit.agent.into(),
            edit.at.into(),
            edit.what.into(),
            edit.actor.as_str().into(),
            edit.old.into(),
            edit.new.into(),
        ]);
    }

    pub(super) async fn write(self, conn: &mut Conn) -> Result<(), StoreError> {
        let mut bulk = Bulk::new(
            "storing what changed about agents",
            "INSERT INTO agent_history (namespace, agent_id, at, what, actor, old_value, new_value) VALUES {rows}",
            7,
        );
        for row in self.rows {
            bulk.row(row);
        }
        bulk.run(conn).await.map(drop)
    }
}

/// What changed about an agent, newest first, before an entry if one is named.
///
/// # Errors
/// [`StoreError`].
pub async fn history(
    conn: &mut Conn,
    ns: &Namespace,
    agent: AgentId,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<AgentChange>, StoreError> {
    query(
        "reading what changed about an agent",
        "SELECT id, at, what, actor, old_value, new_value FROM agent_history
         WHERE namespace = $1 AND agent_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
    )
    .bind(ns)
    .bind(agent)
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .read(conn, |row| {
        Ok(AgentChange {
            id: row.int()?,
            at: row.time()?,
            what: row.text()?.to_owned(),
            actor: row.opt_text()?.map(Actor::named),
            old: row.opt_text()?.map(ToOwned::to_owned),
            new: row.opt_text()?.map(ToOwned::to_owned),
        })
    })
    .await
}
