//! Checking a source's files without a server: what would refuse a commit of them, and what agents would get of it.
//!
//! Documents are judged by the very code that judges a commit; layers are merged and checked by the code that makes what
//! agents get. What only a server's state knows is left out: names that configs of the API have, and what is released.

mod agents;
mod alone;
mod builds;
mod code;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;

use backends::documents::SourceConfig;
use backends::{LimitBroken, SourceFile};
use desired::{Build, Renderer};
use domain::{ConfigName, Kind, Labels, Namespace, Revision};
use jiff::Timestamp;
use store::sources::SourceFinding;

use super::document::{Checked, of_revision};
use super::read::documents_of;
use crate::admin::access::Caller;
use crate::admin::configs::Origin;
use crate::admin::configs::put::revision_of;

pub use code::{CheckCode, all as all_codes};
pub use report::{CheckFinding, SourceCheck};

use report::Report;

/// What a source is checked with, beside its files.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// How large configurations may be.
    pub limits: desired::Limits,
    /// The labels of agents that nobody has: what each would get is checked.
    pub agents: Vec<Labels>,
    /// The builds that are to run it all.
    pub builds: Vec<CheckedBuild>,
}

/// A build that configurations are checked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBuild {
    /// Its name for people: `otelcol@0.149.0`.
    pub name: String,
    /// What it has.
    pub build: Build,
}

/// A document as the first revision of its config.
struct Written<'a> {
    config: &'a SourceConfig,
    revision: Arc<Revision>,
}

/// Documents that can be revisions.
struct Documents<'a> {
    written: Vec<Written<'a>>,
    renderer: Renderer,
    builds: &'a [CheckedBuild],
}

/// Checks a source's files, or why there are none.
#[must_use]
pub fn check_source(
    files: Result<Vec<SourceFile>, LimitBroken>,
    options: &CheckOptions,
) -> SourceCheck {
    let mut report = Report::default();
    let configs = documents_of(files).unwrap_or_else(|findings| {
        findings.into_iter().for_each(|found| report.refuse(found));
        Vec::new()
    });
    let mut written = Vec::new();
    for config in &configs {
        match Written::of(config, &options.limits) {
            Ok(document) => written.push(document),
            Err(finding) => report.refuse(finding),
        }
    }
    let documents = Documents {
        written,
        renderer: Renderer::new(options.limits),
        builds: &options.builds,
    };
    builds::tell_parts(&options.builds, &mut report);
    // What is merged without the documents at fault is not what an agent would get.
    let agents = match report.is_refused() {
        false => agents::check(&documents, &options.agents, &mut report),
        true => Vec::new(),
    };
    alone::check(&documents, &agents, &mut report);
    report.finish(configs.len(), agents)
}

impl<'a> Written<'a> {
    /// Whether it is a set of variables, which no agent is sent.
    fn is_set(&self) -> bool {
        self.revision.kind == Kind::Variables
    }

    fn of(config: &'a SourceConfig, limits: &desired::Limits) -> Result<Self, SourceFinding> {
        let from = (Origin::Api, "");
        let Checked { new, read, .. } = Checked::of(config, from, limits)?;
        let caller = Caller::git(&Namespace::default());
        let (name, now) = (&config.name, Timestamp::UNIX_EPOCH);
        let revision = revision_of(&caller, name, (&new, read), None, now)
            .map_err(|error| of_revision(config, &error))?;
        Ok(Self {
            config,
            revision: Arc::new(revision),
        })
    }
}

impl<'a> Documents<'a> {
    fn by_name(&self) -> BTreeMap<&ConfigName, &'a SourceConfig> {
        let written = self.written.iter();
        written
            .map(|written| (&written.config.name, written.config))
            .collect()
    }
}
