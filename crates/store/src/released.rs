//! What is released, as the engine keeps it in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::released::OpenRollout;
use domain::{ConfigName, Namespace, ReleasedSet, Revision, RevisionNumber, RolloutId};

use crate::sql::{Columns, query};
use crate::{Conn, StoreError, configs};

/// What is released in every namespace that has anything released.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(conn: &mut Conn) -> Result<BTreeMap<Namespace, ReleasedSet>, StoreError> {
    let text = "SELECT namespace FROM baselines UNION SELECT namespace FROM exceptions
         UNION SELECT namespace FROM rollouts WHERE state = 'running'";
    let namespaces = query("listing namespaces", text)
        .read(conn, |row| row.namespace())
        .await?;
    let mut sets = BTreeMap::new();
    for ns in namespaces {
        let set = load(conn, &ns).await?;
        sets.insert(ns, set);
    }
    Ok(sets)
}

/// What is released in one namespace.
///
/// # Errors
/// [`StoreError`].
pub async fn load(conn: &mut Conn, ns: &Namespace) -> Result<ReleasedSet, StoreError> {
    let mut revisions = Revisions {
        ns,
        known: HashMap::new(),
    };
    let mut set = ReleasedSet::default();
    let baselines = query(
        "loading baselines",
        "SELECT b.config, b.revision, r.forced FROM baselines b
         LEFT JOIN rollouts r ON r.namespace = b.namespace AND r.id = b.rollout_id WHERE b.namespace = $1",
    )
    .bind(ns)
    .read(conn, |row| {
        let (config, number) = (read_config(row)?, RevisionNumber(row.count()?));
        Ok((config, number, row.opt_flag()?.unwrap_or_default()))
    })
    .await?;
    for (config, number, forced) in baselines {
        let baseline = revisions.get(conn, &config, number).await?;
        let released = set.configs.entry(config).or_default();
        (released.baseline, released.forced) = (Some(baseline), forced);
    }
    let text = "SELECT config, id, target FROM rollouts WHERE namespace = $1 AND state = 'running'";
    let running = query("loading rollouts", text)
        .bind(ns)
        .read(conn, |row| {
            let config = read_config(row)?;
            let id = RolloutId::from_slice(row.bytes()?)
                .ok_or(StoreError::Corrupt { what: "rollout id" })?;
            Ok((config, id, read_number(row)?))
        })
        .await?;
    for (config, rollout, target) in running {
        let target = revisions.get_opt(conn, &config, target).await?;
        set.configs.entry(config).or_default().open = Some(OpenRollout { rollout, target });
    }
    let text = "SELECT agent_id, config, revision FROM exceptions WHERE namespace = $1";
    let exceptions = query("loading exceptions", text)
        .bind(ns)
        .read(conn, |row| {
            Ok((row.agent()?, read_config(row)?, read_number(row)?))
        })
        .await?;
    for (agent, config, number) in exceptions {
        let own = revisions.get_opt(conn, &config, number).await?;
        // An exception speaks of a config even when nothing else of it is released.
        set.configs.entry(config.clone()).or_default();
        set.exceptions.entry(agent).or_default().insert(config, own);
    }
    Ok(set)
}

fn read_config(row: &mut Columns<'_>) -> Result<ConfigName, StoreError> {
    row.parsed("config name")
}

fn read_number(row: &mut Columns<'_>) -> Result<Option<RevisionNumber>, StoreError> {
    Ok(row
        .opt_int()?
        .map(|number| RevisionNumber(number.cast_unsigned())))
}

/// Revisions that were read so far: many agents' exceptions name the same one.
struct Revisions<'n> {
    ns: &'n Namespace,
    known: HashMap<(ConfigName, RevisionNumber), Arc<Revision>>,
}

impl Revisions<'_> {
    async fn get(
        &mut self,
        conn: &mut Conn,
        config: &ConfigName,
        number: RevisionNumber,
    ) -> Result<Arc<Revision>, StoreError> {
        if let Some(known) = self.known.get(&(config.clone(), number)) {
            return Ok(Arc::clone(known));
        }
        let found = configs::revision(conn, self.ns, config, number).await?;
        let revision = Arc::new(found.ok_or(StoreError::Corrupt {
            what: "released revision (it is missing)",
        })?);
        self.known
            .insert((config.clone(), number), Arc::clone(&revision));
        Ok(revision)
    }

    async fn get_opt(
        &mut self,
        conn: &mut Conn,
        config: &ConfigName,
        number: Option<RevisionNumber>,
    ) -> Result<Option<Arc<Revision>>, StoreError> {
        match number {
            Some(number) => self.get(conn, config, number).await.map(Some),
            None => Ok(None),
        }
    }
}
