//! One agent with everything stored of it.

use domain::model::InstanceUid;
use domain::{AgentId, ContentHash, Namespace};

use super::labels::read_labels;
use super::list::{SUMMARY, read_summary};
use super::load::read_times;
use super::view::AgentDetail;
use crate::contents::{self, ContentKind};
use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, codec};

/// What stands in the row, with the hashes of what is stored apart.
struct Stored {
    detail: AgentDetail,
    description: Option<ContentHash>,
    effective: Option<ContentHash>,
    components_hash: Option<Vec<u8>>,
    components: Option<ContentHash>,
}

/// Everything stored of one agent.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: &mut Conn,
    ns: &Namespace,
    agent: AgentId,
) -> Result<Option<AgentDetail>, StoreError> {
    let text = format!(
        "SELECT {SUMMARY}, s.health, s.health_times, s.health_at, l.health_times, l.flushed_at,
             a.labels_reported, a.labels_operator, a.labels_credential, s.package_statuses, s.custom_capabilities,
             s.connection_settings, a.description_hash, s.effective_hash, s.components_hash, s.components_content
         FROM agent_status s CROSS JOIN agents a CROSS JOIN agent_liveness l
         WHERE s.namespace = $1 AND s.agent_id = $2 AND a.namespace = s.namespace AND a.id = s.agent_id
             AND l.namespace = s.namespace AND l.agent_id = s.agent_id"
    );
    let found = query_built("reading an agent", text)
        .bind(ns)
        .bind(agent)
        .read_one(conn, read_stored)
        .await?;
    let Some(mut stored) = found else {
        return Ok(None);
    };
    if let Some(hash) = stored.description {
        let bytes = contents::get(conn, ns, ContentKind::Description, &hash).await?;
        stored.detail.description = Some(codec::decode_description(&bytes)?);
    }
    if let Some(hash) = stored.effective {
        let bytes = contents::get(conn, ns, ContentKind::Effective, &hash).await?;
        stored.detail.effective_config = Some(codec::decode_files(&bytes)?);
    }
    if let Some(own_hash) = stored.components_hash {
        let components = match stored.components {
            Some(hash) => Some(contents::get(conn, ns, ContentKind::Components, &hash).await?),
            None => None,
        };
        stored.detail.available_components = Some(codec::inventory(&own_hash, components)?);
    }
    Ok(Some(stored.detail))
}

fn read_stored(row: &mut Columns<'_>) -> Result<Stored, StoreError> {
    let summary = read_summary(row)?;
    let mut health = row.opt_text()?.map(codec::decode_health).transpose()?;
    if let (Some(health), Some(times)) = (&mut health, read_times(row)?) {
        health.join_times(&times);
    }
    Ok(Stored {
        detail: AgentDetail {
            summary,
            labels: read_labels(row)?,
            description: None,
            health,
            effective_config: None,
            package_statuses: row.opt_text()?.map(codec::decode_packages).transpose()?,
            custom_capabilities: row
                .opt_text()?
                .map(codec::decode_custom_capabilities)
                .transpose()?,
            available_components: None,
            connection_settings_status: row.opt_text()?.map(codec::decode_settings).transpose()?,
        },
        description: row.opt_hash()?,
        effective: row.opt_hash()?,
        components_hash: row.opt_bytes()?.map(<[u8]>::to_vec),
        components: row.opt_hash()?,
    })
}

/// The agent that has a uid.
///
/// # Errors
/// [`StoreError`].
pub async fn find_by_uid(
    conn: &mut Conn,
    ns: &Namespace,
    uid: &InstanceUid,
) -> Result<Option<AgentId>, StoreError> {
    query(
        "finding an agent by its uid",
        "SELECT id FROM agents WHERE namespace = $1 AND uid = $2",
    )
    .bind(ns)
    .bind(uid.as_bytes().as_slice())
    .read_one(conn, |row| row.agent())
    .await
}
