//! What a drafted change comes to for the agents that it concerns, before anything of it is stored.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use desired::{Code, Finding, InputsKey, Layer, check_within};
use domain::{AgentId, ConfigName, Namespace, Revision};
use jiff::Timestamp;
use store::StoreError;

use crate::change::{Alike, Change, distinct};
use crate::content::DesiredContent;
use crate::desire::{DesireError, key_of};
use crate::engine::Engine;

/// How many different errors are told; the others are counted.
const MOST_ERRORS: usize = 100;

/// Agents to which a change would do the same.
#[derive(Debug, Clone)]
pub struct Group {
    /// What it would do.
    pub fate: Fate,
    /// How many agents they are.
    pub agents: u64,
    /// How many of them have no connection.
    pub disconnected: u64,
    /// The first few of them.
    pub examples: Vec<AgentId>,
    /// What they should run before the change.
    pub before: Option<Arc<DesiredContent>>,
    /// The revisions that they would be given, in the order in which these merge.
    pub layers: Vec<Arc<Revision>>,
    /// What is to be said about what they would be given.
    pub findings: Arc<[Finding]>,
    /// Whether errors in it do not matter: one of these revisions was forced, or it is not this change that gives it to
    /// them.
    pub is_excused: bool,
}

/// What a change would do to an agent.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Nothing: what it should run stays byte for byte what it is.
    Unchanged,
    /// It would be given this.
    Changed(Arc<DesiredContent>),
    /// No config matches it any more: it is given nothing and runs on as it is.
    Unassigned,
    /// What it would be given cannot be made, and why.
    Unmergeable(String),
}

impl Group {
    /// Whether a release is refused for what these agents would get.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        match self.fate {
            Fate::Unmergeable(_) => true,
            Fate::Changed(_) => !self.is_excused && self.findings.iter().any(Finding::is_error),
            Fate::Unchanged | Fate::Unassigned => false,
        }
    }
}

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
    pub async fn preview(&self, now: Timestamp) -> Result<Vec<Group>, StoreError> {
        let engine = self.engine();
        let mut checks = Checks::new(engine);
        let mut contents: HashMap<(Namespace, InputsKey), Result<Arc<DesiredContent>, String>> =
            HashMap::new();
        let mut groups = Vec::new();
        for alike in self.outcomes() {
            let Some(agent) = alike.examples.first() else {
                continue;
            };
            let key = (agent.namespace.clone(), key_of(&alike.layers));
            if !alike.layers.is_empty() && !contents.contains_key(&key) {
                let made = engine
                    .content_of(&agent.namespace, agent.id, &alike.layers, now)
                    .await;
                let made = match made {
                    Ok(made) => Ok(Arc::new(made.content)),
                    Err(DesireError::Store(error)) => return Err(error),
                    Err(refused) => Err(crate::drive::error_chain(&refused)),
                };
                contents.insert(key.clone(), made);
            }
            let (fate, findings) = match contents.get(&key) {
                None => (Fate::Unassigned, Arc::from([])),
                Some(Err(why)) => (Fate::Unmergeable(why.clone()), Arc::from([])),
                Some(Ok(content)) => {
                    let before = alike.before.as_ref().map(|before| before.hash);
                    let fate = if before == Some(content.hash) {
                        Fate::Unchanged
                    } else {
                        Fate::Changed(Arc::clone(content))
                    };
                    (fate, checks.of(&alike.layers).await)
                }
            };
            groups.push(Group {
                fate,
                agents: alike.agents,
                disconnected: alike.disconnected,
                examples: alike.examples.iter().map(|agent| agent.id).collect(),
                is_excused: !alike.is_moved || self.is_forced(&alike),
                before: alike.before,
                layers: alike.layers,
                findings,
            });
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.agents));
        Ok(groups)
    }

    /// The errors in what these agents would get that they should not run already. Their contents are made.
    pub(crate) async fn errors(
        &self,
        outcomes: impl Iterator<Item = &Alike>,
    ) -> Option<CheckErrors> {
        let mut checks = Checks::new(self.engine());
        let mut places: HashMap<ErrorKey, usize> = HashMap::new();
        let mut errors: Vec<Found> = Vec::new();
        for alike in outcomes.filter(|alike| self.changes(alike)) {
            let Some((agent, layers)) = distinct(std::slice::from_ref(alike)).next() else {
                continue;
            };
            let findings = checks.of(layers).await;
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
        CheckErrors::of(errors)
    }
}

impl CheckErrors {
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

impl Engine {
    /// The errors in what one agent would get.
    pub(crate) fn check_errors_of(
        &self,
        agent: AgentId,
        layers: &[Arc<Revision>],
    ) -> Option<CheckErrors> {
        let errors = self.findings(layers).into_iter().filter(Finding::is_error);
        let found = errors.map(|finding| Found {
            finding,
            agents: 1,
            example: agent,
        });
        CheckErrors::of(found.collect())
    }

    /// What checks say of these layers together; nothing where they do not merge.
    pub(crate) fn findings(&self, layers: &[Arc<Revision>]) -> Vec<Finding> {
        let layers: Vec<Layer<'_>> = layers
            .iter()
            .map(|revision| Layer::from(&**revision))
            .collect();
        check_within(&layers, &self.inner.options.limits.desired).unwrap_or_default()
    }
}

/// Findings that were made so far: the same layers are checked once.
struct Checks<'e> {
    engine: &'e Engine,
    known: HashMap<InputsKey, Arc<[Finding]>>,
}

impl<'e> Checks<'e> {
    fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            known: HashMap::new(),
        }
    }

    async fn of(&mut self, layers: &[Arc<Revision>]) -> Arc<[Finding]> {
        let key = key_of(layers);
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let findings: Arc<[Finding]> = self.engine.findings(layers).into();
        self.known.insert(key, Arc::clone(&findings));
        // Each takes a while, and agents are served on the same threads.
        tokio::task::yield_now().await;
        findings
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
