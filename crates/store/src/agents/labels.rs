//! Labels in the database: by source with the agent, and as rows that selectors match.

use std::collections::{BTreeMap, HashMap};

use domain::model::InstanceUid;
use domain::{AgentId, Labels, LabelsBySource, Namespace};

use super::apply::Prepared;
use super::history::Changes;
use crate::bulk::Bulk;
use crate::db::{Conn, Dialect};
use crate::sql::Columns;
use crate::{StoreError, Tx, codec};

const DURING: &str = "storing labels";

/// The text that a search looks through: the agent's ids and its labels' values, in lowercase.
pub(super) fn search_text(agent: AgentId, uid: &InstanceUid, labels: &Labels) -> String {
    let mut text = format!("{agent}\n{uid}");
    for (_, value) in labels.iter() {
        text.push('\n');
        text.push_str(&value.to_lowercase());
    }
    text
}

/// What is stored of an agent and bears on its labels.
pub(super) struct Stored {
    pub(super) labels: LabelsBySource,
    pub(super) uid: InstanceUid,
    description: Option<Vec<u8>>,
}

/// The columns that [`Stored`] is read from, in this order.
pub(super) const STORED: &str =
    "labels_reported, labels_operator, labels_credential, uid, description_hash";

impl Stored {
    pub(super) fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            labels: read_labels(row)?,
            uid: read_uid(row)?,
            description: row.opt_bytes()?.map(<[u8]>::to_vec),
        })
    }
}

/// Reads the columns labels_reported, labels_operator and labels_credential.
pub(super) fn read_labels(row: &mut Columns<'_>) -> Result<LabelsBySource, StoreError> {
    Ok(LabelsBySource {
        reported: codec::decode_labels(row.text()?)?,
        operator: codec::decode_labels(row.text()?)?,
        credential: codec::decode_labels(row.text()?)?,
    })
}

pub(super) fn read_uid(row: &mut Columns<'_>) -> Result<InstanceUid, StoreError> {
    InstanceUid::from_slice(row.bytes()?).map_err(|_| StoreError::Corrupt {
        what: "instance uid",
    })
}

/// Takes in the labels that agents and their credentials report.
pub(super) async fn apply(
    tx: &mut Tx,
    live: &[&Prepared<'_>],
    changes: &mut Changes,
) -> Result<(), StoreError> {
    let concerned = |one: &&&Prepared<'_>| {
        let report = &one.report;
        report.reported_labels.is_some()
            || report.credential_labels.is_some()
            || report.uid.is_some()
            || one.description.is_some()
    };
    let concerned: Vec<&&Prepared<'_>> = live.iter().filter(concerned).collect();
    let stored = read_stored(tx, &concerned).await?;
    let mut agents = Bulk::new(
        DURING,
        "WITH v (namespace, id, reported, credential, search) AS MATERIALIZED (VALUES {rows})
         UPDATE agents SET labels_reported = v.reported, labels_credential = v.credential, search = v.search
         FROM v WHERE agents.namespace = v.namespace AND agents.id = v.id",
        5,
    );
    let mut rows = LabelRows::default();
    for one in concerned {
        let report = &one.report;
        let Some(stored) = stored.get(&report.agent) else {
            continue;
        };
        let old = &stored.labels;
        let new = LabelsBySource {
            reported: report
                .reported_labels
                .clone()
                .unwrap_or_else(|| old.reported.clone()),
            operator: old.operator.clone(),
            credential: report
                .credential_labels
                .clone()
                .unwrap_or_else(|| old.credential.clone()),
        };
        let (before, after) = (old.effective(), new.effective());
        if *old != new || report.uid.is_some() {
            agents.row([
                (&report.namespace).into(),
                report.agent.into(),
                codec::encode_labels(&new.reported).into(),
                codec::encode_labels(&new.credential).into(),
                search_text(report.agent, &stored.uid, &after).into(),
            ]);
        }
        rows.change(&report.namespace, report.agent, &before, &after);
        if report.created.is_some() {
            continue;
        }
        if before != after {
            let (old, new) = difference(&before, &after);
            changes.of_agent(report, "labels", Some(old), Some(new));
        } else if one
            .description
            .is_some_and(|new| stored.description.as_deref() != Some(new.as_bytes()))
        {
            changes.of_agent(report, "description", None, None);
        }
    }
    agents.run(tx).await?;
    rows.write(tx).await
}

async fn read_stored(
    tx: &mut Tx,
    concerned: &[&&Prepared<'_>],
) -> Result<HashMap<AgentId, Stored>, StoreError> {
    // An operator may edit labels on another node meanwhile: PostgreSQL locks the row, SQLite has one writer.
    let text = match tx.dialect() {
        Dialect::Sqlite => {
            "WITH v (namespace, id) AS (VALUES {rows})
             SELECT a.id, labels_reported, labels_operator, labels_credential, uid, description_hash
             FROM v JOIN agents a ON a.namespace = v.namespace AND a.id = v.id"
        }
        Dialect::Postgres => {
            "WITH v (namespace, id) AS (VALUES {rows})
             SELECT a.id, labels_reported, labels_operator, labels_credential, uid, description_hash
             FROM v JOIN agents a ON a.namespace = v.namespace AND a.id = v.id
             ORDER BY a.namespace, a.id FOR UPDATE OF a"
        }
    };
    let mut asked = Bulk::new(DURING, text, 2);
    for one in concerned {
        asked.row([(&one.report.namespace).into(), one.report.agent.into()]);
    }
    let rows = asked.rows(tx).await?;
    let read = rows.iter().map(|row| {
        let mut columns = row.columns();
        Ok((columns.agent()?, Stored::read(&mut columns)?))
    });
    read.collect()
}

/// The labels that differ, before and after, as JSON.
pub(super) fn difference(before: &Labels, after: &Labels) -> (String, String) {
    let only = |from: &Labels, other: &Labels| {
        let differing: Labels = from
            .iter()
            .filter(|(key, value)| other.get(key) != Some(value))
            .collect();
        codec::encode_labels(&differing)
    };
    (only(before, after), only(after, before))
}

/// Changes of the rows that selectors match; only labels that differ are written.
#[derive(Default)]
pub(super) struct LabelRows {
    removed: Vec<(Namespace, AgentId, String)>,
    set: Vec<(Namespace, AgentId, String, String)>,
}

impl LabelRows {
    pub(super) fn change(
        &mut self,
        ns: &Namespace,
        agent: AgentId,
        before: &Labels,
        after: &Labels,
    ) {
        let old: BTreeMap<&str, &str> = before.iter().collect();
        let new: BTreeMap<&str, &str> = after.iter().collect();
        let gone = old.keys().filter(|key| !new.contains_key(*key));
        self.removed
            .extend(gone.map(|key| (ns.clone(), agent, (*key).to_owned())));
        let set = new
            .iter()
            .filter(|(key, value)| old.get(*key) != Some(*value));
        self.set.extend(
            set.map(|(key, value)| (ns.clone(), agent, (*key).to_owned(), (*value).to_owned())),
        );
    }

    pub(super) async fn write(self, conn: &mut Conn) -> Result<(), StoreError> {
        let mut removed = Bulk::new(
            DURING,
            "DELETE FROM agent_labels WHERE (namespace, agent_id, key) IN (VALUES {rows})",
            3,
        );
        for (ns, agent, key) in self.removed {
            removed.row([(&ns).into(), agent.into(), key.into()]);
        }
        removed.run(conn).await?;
        let mut set = Bulk::new(
            DURING,
            "INSERT INTO agent_labels (namespace, agent_id, key, value) VALUES {rows}
             ON CONFLICT (namespace, agent_id, key) DO UPDATE SET value = excluded.value",
            4,
        );
        for (ns, agent, key, value) in self.set {
            set.row([(&ns).into(), agent.into(), key.into(), value.into()]);
        }
        set.run(conn).await.map(drop)
    }
}
