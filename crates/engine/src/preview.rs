//! What a drafted change comes to for the agents that it concerns, before anything of it is stored.

mod group;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use desired::{Code, Finding, InputsKey, Layer, inputs_key};
use domain::{AgentId, ConfigName, ContentHash, Namespace};
use jiff::Timestamp;
use store::refusals::RefusalRecord;
use store::{StoreError, agents};

use crate::agent::LiveAgent;
use crate::builds::id_of;
use crate::change::{Alike, Change, distinct};
use crate::content::DesiredContent;
use crate::desire::DesireError;
use crate::engine::Engine;
use crate::prepared::{Place, place};

pub use group::{Apart, Fate, Group, Presumed};

/// How many different errors are told; the others are counted.
const MOST_ERRORS: usize = 100;
/// How many different things that agents run are compared with what they would be given.
const MOST_COMPARED: usize = 1_000;

/// An error in what agents would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The error.
    pub finding: Finding,
    /// How many agents would get it.
    pub agents: u64,
    /// One of them.
    pub example: AgentId,
}

/// What agents would get has errors: their Collectors would refuse it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckErrors {
    /// Each error once, at most a hundred of them and at least one.
    pub errors: Vec<Found>,
    /// How many further errors there are.
    pub more: usize,
}

impl fmt::Display for CheckErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        write!(f, "checks find {count} error")?;
        f.write_str(if count == 1 { "" } else { "s" })?;
        f.write_str(" in what agents would get")?;
        if let Some(first) = self.errors.first() {
            let Found {
                finding, agents, ..
            } = first;
            let (source, agents) = (&finding.source, *agents);
            write!(
                f,
                "; {}, line {}, column {}, in revision {} of config {} ({agents} agent{}): {}: {}",
                finding.code,
                source.line,
                source.column,
                source.revision,
                source.config,
                if agents == 1 { "" } else { "s" },
                finding.message,
                finding.advice,
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for CheckErrors {}

impl Change {
    /// What the change would do, the largest groups first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn preview(&mut self, now: Timestamp) -> Result<Vec<Group>, StoreError> {
        self.preview_apart(Apart::Contents, now).await
    }

    /// [`Change::preview`] with groups of agents of one build, or of any.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn preview_apart(
        &mut self,
        apart: Apart,
        now: Timestamp,
    ) -> Result<Vec<Group>, StoreError> {
        let mut fates: HashMap<Place, Result<Outlook, Fate>> = HashMap::new();
        let mut groups = Vec::new();
        let mut running = Running::default();
        let outcomes = self.outcomes();
        self.prepare(&outcomes, now).await?;
        for (alike, lacking, presumed) in self.joined(outcomes, apart) {
            let Some(agent) = alike.examples.first() else {
                continue;
            };
            let key = place(agent, &alike.layers);
            if !alike.layers.is_empty() && !fates.contains_key(&key) {
                let outlook = match self.look_at(agent, &alike.layers).await {
                    Ok(outlook) => Ok(outlook),
                    Err(DesireError::Store(error)) => return Err(error),
                    Err(refused) => {
                        let why = crate::drive::error_chain(&refused);
                        Err(if refused.is_of_a_template() {
                            Fate::Unrenderable(why)
                        } else {
                            Fate::Unmergeable(why)
                        })
                    }
                };
                fates.insert(key.clone(), outlook);
            }
            let (fate, findings) = match fates.get(&key) {
                None => (Fate::Unassigned, Arc::from([])),
                Some(Err(fate)) => (fate.clone(), Arc::from([])),
                Some(Ok(Outlook { content, findings })) => {
                    let before = alike.before.as_ref().map(|before| before.hash);
                    let fate = if before == Some(content.hash) {
                        Fate::Unchanged
                    } else {
                        Fate::Changed(Arc::clone(content))
                    };
                    (fate, Arc::clone(findings))
                }
            };
            let findings = match &lacking[..] {
                [] => findings,
                _ => self.with_missing(&alike, &findings).await?,
            };
            let refusal = self.known_refusal_of(&alike, &fate);
            // What agents are refused already is not this change's.
            let is_wrong = match &fate {
                Fate::Unrenderable(_) | Fate::Unmergeable(_) => true,
                _ => refusal.is_some() || findings.iter().any(Finding::is_error),
            };
            let is_moved =
                alike.is_moved && !(is_wrong && self.is_refused_already(&alike, now).await?);
            for (fate, alike) in running.apart(self.engine(), fate, alike).await? {
                groups.push(Group {
                    fate,
                    agents: alike.agents,
                    disconnected: alike.disconnected,
                    examples: alike.examples.iter().map(|agent| agent.id).collect(),
                    is_moved,
                    is_forced: self.is_forced(&alike),
                    before: alike.before,
                    layers: alike.layers,
                    findings: Arc::clone(&findings),
                    lacking: lacking.clone(),
                    refusal: refusal.clone(),
                    is_of_build: apart == Apart::Builds && alike.build.is_some(),
                    presumed: presumed.clone(),
                    askable: alike.candidates.askable(),
                    dry_runs: Vec::new(),
                });
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.agents));
        Ok(groups)
    }

    /// Outcomes with what the agents' builds lack, and the releases that they name; those of agents whose builds make no
    /// difference are one.
    fn joined(
        &self,
        outcomes: Vec<Alike>,
        apart: Apart,
    ) -> Vec<(Alike, Vec<String>, Option<Presumed>)> {
        let mut places: HashMap<_, usize> = HashMap::new();
        let mut joined: Vec<(Alike, Vec<String>, Option<Presumed>)> = Vec::new();
        for alike in outcomes {
            let Some(agent) = alike.examples.first() else {
                continue;
            };
            let lacking = self.lacking(&alike);
            let before = alike.before.as_ref().map(|before| before.hash);
            let (after, not_given) = (inputs_key(&alike.layers), inputs_key(&alike.not_given));
            let namespace = agent.namespace.clone();
            let build = match apart {
                Apart::Contents => 0,
                Apart::Builds => id_of(alike.build.as_deref()),
            };
            let refusal = self.refusal_of(&alike).map(|refusal| refusal.agent);
            let presumed = self.presumed(&alike);
            let doubt = presumed.as_ref().map(|presumed| presumed.release.number());
            let kind = (build, refusal, doubt);
            let keys = (namespace, before, after, not_given, alike.is_moved, kind);
            match places.entry((keys, lacking.clone())) {
                Entry::Occupied(place) => joined[*place.get()].0.join(alike),
                Entry::Vacant(place) => {
                    place.insert(joined.len());
                    joined.push((alike, lacking, presumed));
                }
            }
        }
        joined
    }

    /// For what these agents are known to refuse what they would be given.
    fn known_refusal_of(&self, alike: &Alike, fate: &Fate) -> Option<Arc<RefusalRecord>> {
        match fate {
            Fate::Changed(content) => self.refusal_in(alike, content).cloned(),
            _ => None,
        }
    }

    fn presumed(&self, alike: &Alike) -> Option<Presumed> {
        let (release, lacking) = (alike.presumed?, self.presumably_lacking(alike));
        (!lacking.is_empty()).then_some(Presumed { release, lacking })
    }

    /// Findings and what the build of these agents lacks.
    async fn with_missing(
        &self,
        alike: &Alike,
        findings: &[Finding],
    ) -> Result<Arc<[Finding]>, StoreError> {
        let missing = match (alike.examples.first(), &alike.build) {
            (Some(agent), Some(build)) => {
                let missing = self.engine().missing_of(agent.id, &alike.layers, build);
                missing.await
            }
            _ => Ok(Vec::new()),
        };
        match missing {
            Ok(missing) => Ok(findings.iter().cloned().chain(missing).collect()),
            Err(DesireError::Store(error)) => Err(error),
            // What cannot be made is told as that.
            Err(_) => Ok(findings.into()),
        }
    }

    /// What these layers make for an agent, and what is to be said about it. It is prepared.
    async fn look_at(
        &mut self,
        agent: &LiveAgent,
        layers: &[Layer],
    ) -> Result<Outlook, DesireError> {
        let engine = self.engine().clone();
        let made = self.take_prepared(&place(agent, layers))?;
        Ok(Outlook {
            content: made.content,
            findings: self.findings.of(&engine, agent.id, layers).await?,
        })
    }

    /// The errors in what these agents would get that they should not run already. Their contents are made.
    ///
    /// # Errors
    /// [`DesireError`]: what was made before cannot be made any more.
    pub(crate) async fn errors(
        &mut self,
        outcomes: impl Iterator<Item = &Alike>,
    ) -> Result<Option<CheckErrors>, DesireError> {
        let engine = self.engine().clone();
        let mut places: HashMap<ErrorKey, usize> = HashMap::new();
        let mut errors: Vec<Found> = Vec::new();
        for alike in outcomes {
            let Some((agent, layers)) = distinct(std::slice::from_ref(alike)).next() else {
                continue;
            };
            if !self.changes(alike) {
                continue;
            }
            let mut findings = self.findings.of(&engine, agent.id, layers).await?;
            if !self.lacking(alike).is_empty() {
                findings = self.with_missing(alike, &findings).await?;
            }
            for finding in findings.iter().filter(|finding| finding.is_error()) {
                let place = *places.entry(error_key(finding)).or_insert_with(|| {
                    errors.push(Found {
                        finding: finding.clone(),
                        agents: 0,
                        example: agent.id,
                    });
                    errors.len() - 1
                });
                errors[place].agents += alike.agents;
            }
        }
        errors.sort_by_key(|found| std::cmp::Reverse(found.agents));
        Ok(CheckErrors::of(errors))
    }
}

/// What agents run that nobody gave them, and whether it is what they would be given.
#[derive(Default)]
struct Running {
    /// By agent, the hash under which it is stored.
    known: HashMap<Namespace, HashMap<AgentId, ContentHash>>,
    /// By what would be given, and what runs.
    same: HashMap<(ContentHash, ContentHash), bool>,
}

impl Running {
    /// Tells the agents apart that run already what they would be given.
    async fn apart(
        &mut self,
        engine: &Engine,
        fate: Fate,
        mut alike: Alike,
    ) -> Result<Vec<(Fate, Alike)>, StoreError> {
        let free = std::mem::take(&mut alike.free);
        let (Fate::Changed(content), Some(first)) = (&fate, free.first()) else {
            return Ok(vec![(fate, alike)]);
        };
        let namespace = first.namespace.clone();
        if !self.known.contains_key(&namespace) {
            let mut conn = engine.db().read().await?;
            let running = agents::running_their_own(&mut conn, &namespace).await?;
            self.known
                .insert(namespace.clone(), running.into_iter().collect());
        }
        let (mut same, mut others) = (Vec::new(), Vec::new());
        for agent in free {
            let runs = self
                .known
                .get(&namespace)
                .and_then(|known| known.get(&agent.id));
            let runs_it = match runs.copied() {
                Some(runs) => self.is_same(engine, &namespace, content, runs).await?,
                None => false,
            };
            if runs_it { &mut same } else { &mut others }.push(agent);
        }
        let running = Fate::Running(Arc::clone(content));
        let parts = [(running, same), (fate.clone(), others)].into_iter();
        Ok(parts
            .filter(|(_, agents)| !agents.is_empty())
            .map(|(fate, agents)| (fate, alike.of(agents)))
            .collect())
    }

    async fn is_same(
        &mut self,
        engine: &Engine,
        namespace: &Namespace,
        content: &DesiredContent,
        runs: ContentHash,
    ) -> Result<bool, StoreError> {
        let pair = (content.hash, runs);
        if let Some(same) = self.same.get(&pair) {
            return Ok(*same);
        }
        // Beyond that many it is called a change.
        if MOST_COMPARED <= self.same.len() {
            return Ok(false);
        }
        let mut conn = engine.db().read().await?;
        let effective = agents::effective_config(&mut conn, namespace, &runs).await?;
        drop(conn);
        let limits = &engine.options().limits.desired;
        let drift = desired::drift_of(&content.files, &effective, limits);
        let same = drift.is_some_and(|drift| drift.is_empty());
        self.same.insert(pair, same);
        tokio::task::yield_now().await;
        Ok(same)
    }
}

/// What layers make.
struct Outlook {
    content: Arc<DesiredContent>,
    findings: Arc<[Finding]>,
}

impl CheckErrors {
    /// The errors in what one agent would get.
    pub(crate) fn of_one(agent: AgentId, findings: &[Finding]) -> Option<Self> {
        let errors = findings.iter().filter(|finding| finding.is_error());
        let found = errors.map(|finding| Found {
            finding: finding.clone(),
            agents: 1,
            example: agent,
        });
        Self::of(found.collect())
    }

    /// Nothing where there are none.
    fn of(mut errors: Vec<Found>) -> Option<Self> {
        let more = errors.len().saturating_sub(MOST_ERRORS);
        errors.truncate(MOST_ERRORS);
        (!errors.is_empty()).then_some(Self { errors, more })
    }

    /// How many different errors there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.errors.len() + self.more
    }
}

/// Findings that were made so far: the same layers are checked once.
#[derive(Default)]
pub(crate) struct Findings(HashMap<InputsKey, Arc<[Finding]>>);

impl Findings {
    /// Keeps what checks say of what was just made.
    pub fn keep(&mut self, key: InputsKey, findings: &Arc<[Finding]>) {
        self.0.entry(key).or_insert_with(|| Arc::clone(findings));
    }

    async fn of(
        &mut self,
        engine: &Engine,
        agent: AgentId,
        layers: &[Layer],
    ) -> Result<Arc<[Finding]>, DesireError> {
        let key = inputs_key(layers);
        if !self.0.contains_key(&key) {
            let findings = engine.findings_of(agent, layers).await?;
            self.keep(key, &findings);
        }
        Ok(self.0.get(&key).map(Arc::clone).unwrap_or_default())
    }
}

/// What makes two errors one.
type ErrorKey = (ConfigName, u64, u32, u32, Code, String);

fn error_key(finding: &Finding) -> ErrorKey {
    let source = &finding.source;
    (
        source.config.clone(),
        source.revision.0,
        source.line,
        source.column,
        finding.code,
        finding.message.clone(),
    )
}
