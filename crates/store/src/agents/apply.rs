//! Group commit: what many agents reported becomes one transaction of few statements.
//!
//! Each part of a report (health, config, attachment, …) is one statement over the agents that have it. What needs
//! no connection (folding, encoding, hashing, compressing) happens before the transaction begins.

use std::borrow::Cow;
use std::collections::HashSet;

use domain::model::AvailableComponents;
use domain::{AgentId, ContentHash, NewEvent};
use jiff::Timestamp;

use super::history::Changes;
use super::labels;
use super::report::{AgentReport, Applied, AttachmentChange};
use crate::bulk::Bulk;
use crate::contents::{CompressedContents, ContentKind, Known, NewContents};
use crate::db::Dialect;
use crate::sql::Value;
use crate::{Db, StoreError, Tx, codec, events};

/// How often a batch is tried when other nodes' transactions get in its way.
const TRIES: u32 = 3;
const DURING: &str = "storing agents' reports";

impl Db {
    /// Commits what many agents reported, in one transaction.
    ///
    /// Several reports of one agent count in their order. The reports are not consumed: after an error nothing of
    /// them is stored, and the caller may try again. While the transaction lasts (10 to 20 µs a report) the API waits:
    /// hand over at most some two thousand at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply_reports(&self, reports: &[AgentReport]) -> Result<Applied, StoreError> {
        let Some(now) = reports.iter().map(|report| report.at).max() else {
            return Ok(Applied::default());
        };
        let (prepared, contents) = prepare(reports, self.known_contents(), now)?;
        let mut tries = 1;
        let applied = loop {
            match self.write_reports(&prepared, &contents, now).await {
                Err(error) if error.is_contended() && tries < TRIES => tries += 1,
                result => break result?,
            }
        };
        contents.remember(self.known_contents(), now);
        if let Err(error) = self.checkpoint_if_due().await {
            // The reports are stored; the log only grows until the next time.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the log was not copied into the database"
            );
        }
        Ok(applied)
    }

    async fn write_reports(
        &self,
        prepared: &[Prepared<'_>],
        contents: &CompressedContents,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        let mut tx = self.begin_reports().await?;
        // An agent may have come under a uid that another one gave up in the same batch: those that gave up go first.
        let (new, known): (Vec<_>, Vec<_>) = prepared
            .iter()
            .partition(|one| one.report.created.is_some());
        let mut stale = find_stale(&mut tx, &known).await?;
        identities(&known, &stale).run(&mut tx).await?;
        create(&mut tx, &new).await?;
        stale.extend(find_stale(&mut tx, &new).await?);
        let live: Vec<&Prepared<'_>> = prepared
            .iter()
            .filter(|one| !stale.contains(&one.report.agent))
            .collect();
        contents.write(&mut tx, now).await?;
        write(&mut tx, &live).await?;
        let happened: Vec<&NewEvent> = live.iter().flat_map(|one| &one.report.events).collect();
        let last_event = events::append_refs(&mut tx, &happened).await?;
        tx.commit().await?;
        Ok(Applied {
            stale: stale.into_iter().collect(),
            last_event,
        })
    }
}

/// A report with what is costly about it done.
pub(super) struct Prepared<'r> {
    pub(super) report: Cow<'r, AgentReport>,
    pub(super) description: Option<ContentHash>,
    effective: Option<ContentHash>,
    components: Option<ContentHash>,
    health: Option<(String, Vec<u8>)>,
}

/// One report for each agent, ascending by agent, so that two transactions lock rows in the same order.
fn fold(reports: &[AgentReport]) -> Vec<Cow<'_, AgentReport>> {
    let mut sorted: Vec<&AgentReport> = reports.iter().collect();
    sorted.sort_by(|a, b| (&a.namespace, a.agent).cmp(&(&b.namespace, b.agent)));
    let mut folded: Vec<Cow<'_, AgentReport>> = Vec::with_capacity(sorted.len());
    for report in sorted {
        match folded.last_mut().filter(|last| last.agent == report.agent) {
            // An older attachment's report that was queued later says nothing any more.
            Some(last) if report.epoch < last.epoch => {}
            Some(last) => last.to_mut().absorb(report.clone()),
            None => folded.push(Cow::Borrowed(report)),
        }
    }
    folded
}

fn prepare<'r>(
    reports: &'r [AgentReport],
    known: &Known,
    now: Timestamp,
) -> Result<(Vec<Prepared<'r>>, CompressedContents), StoreError> {
    let mut contents = NewContents::default();
    let prepared = fold(reports)
        .into_iter()
        .map(|report| prepare_one(report, &mut contents))
        .collect();
    contents.forget_known(known, now);
    Ok((prepared, contents.compress()?))
}

fn prepare_one<'r>(report: Cow<'r, AgentReport>, contents: &mut NewContents) -> Prepared<'r> {
    let ns = &report.namespace;
    let mut add = |kind, bytes: Option<Vec<u8>>| bytes.map(|bytes| contents.add(ns, kind, bytes));
    let description = report.description.as_ref().map(codec::encode_description);
    let effective = report.effective_config.as_ref().map(codec::encode_files);
    let components = report
        .available_components
        .as_ref()
        .and_then(|inventory| inventory.components.as_ref());
    Prepared {
        description: add(ContentKind::Description, description),
        effective: add(ContentKind::Effective, effective),
        components: add(
            ContentKind::Components,
            components.map(codec::encode_components),
        ),
        health: report
            .health
            .as_ref()
            .map(|new| (codec::encode_health(&new.tree), new.times.to_bytes())),
        report,
    }
}

/// The key columns of an agent's tables.
fn key(report: &AgentReport) -> [Value; 2] {
    [(&report.namespace).into(), report.agent.into()]
}

async fn create(tx: &mut Tx, new: &[&Prepared<'_>]) -> Result<(), StoreError> {
    let mut agents = Bulk::new(
        DURING,
        "WITH v (namespace, id, uid, approval, search, at) AS (VALUES {rows})
         INSERT INTO agents (namespace, id, uid, approval, version, capabilities, labels_reported, labels_operator,
             labels_credential, search, created_at)
         SELECT v.namespace, v.id, v.uid, v.approval, 1, 0, '{}', '{}', '{}', v.search, v.at FROM v WHERE 1 = 1
         ON CONFLICT DO NOTHING",
        6,
    );
    let mut statuses = Bulk::new(
        DURING,
        "WITH v (namespace, id, epoch) AS (VALUES {rows})
         INSERT INTO agent_status (namespace, agent_id, epoch, connected, reports)
         SELECT v.namespace, v.id, v.epoch, 0, 0 FROM v JOIN agents a ON a.namespace = v.namespace AND a.id = v.id
         WHERE 1 = 1 ON CONFLICT DO NOTHING",
        3,
    );
    let mut liveness = Bulk::new(
        DURING,
        "WITH v (namespace, id, at) AS (VALUES {rows})
         INSERT INTO agent_liveness (namespace, agent_id, last_seen, follows, flushed_at)
         SELECT v.namespace, v.id, v.at, -1, 0 FROM v JOIN agents a ON a.namespace = v.namespace AND a.id = v.id
         WHERE 1 = 1 ON CONFLICT DO NOTHING",
        3,
    );
    for report in new.iter().map(|one| &one.report) {
        let Some(new) = &report.created else { continue };
        let [ns, id] = key(report);
        let uid = report.uid.unwrap_or(new.uid);
        let search = labels::search_text(report.agent, &uid, &domain::Labels::default());
        let uid = uid.as_bytes().as_slice();
        agents.row([
            ns,
            id,
            uid.into(),
            new.approval.as_str().into(),
            search.into(),
            report.at.into(),
        ]);
        let [ns, id] = key(report);
        statuses.row([ns, id, report.epoch.0.into()]);
        let [ns, id] = key(report);
        liveness.row([ns, id, report.at.into()]);
    }
    agents.run(tx).await?;
    statuses.run(tx).await?;
    liveness.run(tx).await.map(drop)
}

/// The agents whose reports are refused: a newer attachment stands, or there is no such agent any more.
async fn find_stale(
    tx: &mut Tx,
    prepared: &[&Prepared<'_>],
) -> Result<HashSet<AgentId>, StoreError> {
    // PostgreSQL has other writers: their rows are locked against them, in order, and those that stand come back.
    // SQLite has none, and it is cheaper to ask for the few that do not stand.
    let (text, gives_stale) = match tx.dialect() {
        Dialect::Sqlite => (
            "WITH v (namespace, agent_id, epoch) AS (VALUES {rows})
             SELECT v.agent_id FROM v
             LEFT JOIN agent_status s ON s.namespace = v.namespace AND s.agent_id = v.agent_id
             WHERE s.agent_id IS NULL OR v.epoch < s.epoch",
            true,
        ),
        Dialect::Postgres => (
            "WITH v (namespace, agent_id, epoch) AS (VALUES {rows})
             SELECT s.agent_id FROM agent_status s JOIN v ON s.namespace = v.namespace AND s.agent_id = v.agent_id
             WHERE s.epoch <= v.epoch ORDER BY s.namespace, s.agent_id FOR UPDATE OF s",
            false,
        ),
    };
    let mut asked = Bulk::new(DURING, text, 3);
    for report in prepared.iter().map(|one| &one.report) {
        let [ns, id] = key(report);
        asked.row([ns, id, report.epoch.0.into()]);
    }
    let rows = asked.rows(tx).await?;
    let found: HashSet<AgentId> = rows
        .iter()
        .map(|row| row.columns().agent())
        .collect::<Result<_, _>>()?;
    if gives_stale {
        return Ok(found);
    }
    Ok(prepared
        .iter()
        .map(|one| one.report.agent)
        .filter(|agent| !found.contains(agent))
        .collect())
}

async fn write(tx: &mut Tx, live: &[&Prepared<'_>]) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    for report in live.iter().map(|one| &one.report) {
        if let Some(uid) = &report.uid {
            changes.of_agent(report, "uid", None, Some(uid.to_string()));
        }
    }
    labels::apply(tx, live, &mut changes).await?;
    inventories(live).run(tx).await?;
    let (attached, detached) = attachments(live);
    attached.run(tx).await?;
    detached.run(tx).await?;
    health(live).run(tx).await?;
    configs(live).run(tx).await?;
    statuses(live).run(tx).await?;
    sessions(live).run(tx).await?;
    changes.write(tx).await
}

/// New uids; one that another agent of the namespace has is left alone, or it would spoil the whole batch.
fn identities(known: &[&Prepared<'_>], stale: &HashSet<AgentId>) -> Bulk {
    let mut bulk = Bulk::new(
        DURING,
        "WITH v (namespace, id, uid) AS MATERIALIZED (VALUES {rows})
         UPDATE agents SET uid = v.uid FROM v WHERE agents.namespace = v.namespace AND agents.id = v.id
         AND NOT EXISTS (SELECT 1 FROM agents o WHERE o.namespace = v.namespace AND o.uid = v.uid)",
        3,
    );
    for report in known.iter().map(|one| &one.report) {
        let Some(uid) = report.uid.filter(|_| !stale.contains(&report.agent)) else {
            continue;
        };
        let [ns, id] = key(report);
        bulk.row([ns, id, uid.as_bytes().as_slice().into()]);
    }
    bulk
}

fn inventories(live: &[&Prepared<'_>]) -> Bulk {
    let mut bulk = Bulk::new(
        DURING,
        "WITH v (namespace, id, capabilities, description) AS MATERIALIZED (VALUES {rows})
         UPDATE agents SET capabilities = COALESCE(v.capabilities, agents.capabilities),
             description_hash = COALESCE(v.description, agents.description_hash)
         FROM v WHERE agents.namespace = v.namespace AND agents.id = v.id",
        4,
    );
    for one in live {
        let capabilities = one
            .report
            .capabilities
            .map(|capabilities| capabilities.bits().cast_signed());
        if capabilities.is_some() || one.description.is_some() {
            let [ns, id] = key(&one.report);
            bulk.row([ns, id, capabilities.into(), one.description.as_ref().into()]);
        }
    }
    bulk
}

fn attachments(live: &[&Prepared<'_>]) -> (Bulk, Bulk) {
    let mut attached = Bulk::new(
        DURING,
        "WITH v (namespace, agent_id, epoch, node, transport, remote_addr, at) AS MATERIALIZED (VALUES {rows})
         UPDATE agent_status SET epoch = v.epoch, connected = 1, node = v.node, transport = v.transport,
             remote_addr = v.remote_addr, attached_at = v.at, detached_at = NULL, detach_reason = NULL
         FROM v WHERE agent_status.namespace = v.namespace AND agent_status.agent_id = v.agent_id",
        7,
    );
    let mut detached = Bulk::new(
        DURING,
        "WITH v (namespace, agent_id, epoch, at, reason) AS MATERIALIZED (VALUES {rows})
         UPDATE agent_status SET epoch = v.epoch, connected = 0, detached_at = v.at, detach_reason = v.reason
         FROM v WHERE agent_status.namespace = v.namespace AND agent_status.agent_id = v.agent_id",
        5,
    );
    for report in live.iter().map(|one| &one.report) {
        let [ns, id] = key(report);
        let epoch = report.epoch.0.into();
        match &report.attachment {
            None => {}
            Some(AttachmentChange::Attached(new)) => attached.row([
                ns,
                id,
                epoch,
                new.node.as_str().into(),
                new.transport.as_str().into(),
                new.remote_addr.as_str().into(),
                new.at.into(),
            ]),
            Some(AttachmentChange::Detached { at, reason }) => {
                detached.row([ns, id, epoch, (*at).into(), reason.as_str().into()]);
            }
        }
    }
    (attached, detached)
}

/// Health and, with it, the session: health is what changes most, and each further statement writes the row again.
fn health(live: &[&Prepared<'_>]) -> Bulk {
    let mut bulk = Bulk::new(
        DURING,
        "WITH v (namespace, agent_id, healthy, health, times, at, reports, reported_at, wire)
             AS MATERIALIZED (VALUES {rows})
         UPDATE agent_status SET healthy = v.healthy, health = v.health, health_times = v.times, health_at = v.at,
             reports = v.reports, reported_at = COALESCE(v.reported_at, agent_status.reported_at),
             wire = COALESCE(v.wire, agent_status.wire)
         FROM v WHERE agent_status.namespace = v.namespace AND agent_status.agent_id = v.agent_id",
        9,
    );
    for one in live {
        let (Some(new), Some((tree, times))) = (&one.report.health, &one.health) else {
            continue;
        };
        let [ns, id] = key(&one.report);
        let [reports, reported_at, wire] = session(&one.report);
        bulk.row([
            ns,
            id,
            new.tree.healthy.into(),
            tree.as_str().into(),
            times.as_slice().into(),
            one.report.at.into(),
            reports,
            reported_at,
            wire,
        ]);
    }
    bulk
}

fn configs(live: &[&Prepared<'_>]) -> Bulk {
    let mut bulk = Bulk::new(
        DURING,
        "WITH v (namespace, agent_id, answered_hash, answered_state, answered_error, offered_hash, offered_at,
             decided, desired_hash) AS MATERIALIZED (VALUES {rows})
         UPDATE agent_status SET answered_hash = COALESCE(v.answered_hash, agent_status.answered_hash),
             answered_state = COALESCE(v.answered_state, agent_status.answered_state),
             answered_error = COALESCE(v.answered_error, agent_status.answered_error),
             offered_hash = COALESCE(v.offered_hash, agent_status.offered_hash),
             offered_at = COALESCE(v.offered_at, agent_status.offered_at),
             desired_hash = CASE v.decided WHEN 1 THEN v.desired_hash ELSE agent_status.desired_hash END
         FROM v WHERE agent_status.namespace = v.namespace AND agent_status.agent_id = v.agent_id",
        9,
    );
    for report in live.iter().map(|one| &one.report) {
        let status = report.remote_config_status.as_ref();
        if status.is_none() && report.offered.is_none() && report.desired.is_none() {
            continue;
        }
        let [ns, id] = key(report);
        bulk.row([
            ns,
            id,
            status.map(|status| status.last_hash.as_slice()).into(),
            status.map(|status| status.state.as_str()).into(),
            status.map(|status| status.error.as_str()).into(),
            report.offered.as_ref().map(|offered| &offered.hash).into(),
            report.offered.map(|offered| offered.at).into(),
            report.desired.is_some().into(),
            report.desired.as_ref().and_then(Option::as_ref).into(),
        ]);
    }
    bulk
}

fn statuses(live: &[&Prepared<'_>]) -> Bulk {
    let mut bulk = Bulk::new(
        DURING,
        "WITH v (namespace, agent_id, effective, components, content, packages, custom, settings)
             AS MATERIALIZED (VALUES {rows})
         UPDATE agent_status SET effective_hash = COALESCE(v.effective, agent_status.effective_hash),
             components_content = CASE WHEN v.components IS NULL OR v.components = agent_status.components_hash
                 THEN COALESCE(v.content, agent_status.components_content) ELSE v.content END,
             components_hash = COALESCE(v.components, agent_status.components_hash),
             package_statuses = COALESCE(v.packages, agent_status.package_statuses),
             custom_capabilities = COALESCE(v.custom, agent_status.custom_capabilities),
             connection_settings = COALESCE(v.settings, agent_status.connection_settings)
         FROM v WHERE agent_status.namespace = v.namespace AND agent_status.agent_id = v.agent_id",
        8,
    );
    for one in live {
        let report = &one.report;
        let inventory: Option<&AvailableComponents> = report.available_components.as_ref();
        let values: [Value; 6] = [
            one.effective.as_ref().into(),
            inventory.map(|inventory| inventory.hash.as_slice()).into(),
            one.components.as_ref().into(),
            report
                .package_statuses
                .as_ref()
                .map(codec::encode_packages)
                .into(),
            report
                .custom_capabilities
                .as_ref()
                .map(codec::encode_custom_capabilities)
                .into(),
            report
                .connection_settings_status
                .as_ref()
                .map(codec::encode_settings)
                .into(),
        ];
        if values.iter().all(Value::is_null) {
            continue;
        }
        let [ns, id] = key(report);
        let [effective, components, content, packages, custom, settings] = values;
        bulk.row([
            ns, id, effective, components, content, packages, custom, settings,
        ]);
    }
    bulk
}

/// Where the session is after a report: the columns reports, reported_at and wire.
fn session(report: &AgentReport) -> [Value; 3] {
    [
        report.number.into(),
        report.last_seen.into(),
        report.wire.as_deref().into(),
    ]
}

/// The sessions of the reports that say nothing of health.
fn sessions(live: &[&Prepared<'_>]) -> Bulk {
    let mut bulk = Bulk::new(
        DURING,
        "WITH v (namespace, agent_id, reports, reported_at, wire) AS MATERIALIZED (VALUES {rows})
         UPDATE agent_status SET reports = v.reports,
             reported_at = COALESCE(v.reported_at, agent_status.reported_at),
             wire = COALESCE(v.wire, agent_status.wire)
         FROM v WHERE agent_status.namespace = v.namespace AND agent_status.agent_id = v.agent_id",
        5,
    );
    for report in live.iter().map(|one| &one.report) {
        if report.health.is_none() {
            let [ns, id] = key(report);
            let [reports, reported_at, wire] = session(report);
            bulk.row([ns, id, reports, reported_at, wire]);
        }
    }
    bulk
}
