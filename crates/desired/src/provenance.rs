//! Why a line is there: which config, revision and line set a value, and what it overrode.

use domain::{ConfigName, RevisionNumber};
use otelcol::Path;

use crate::renderer::Combined;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The config.
    pub config: ConfigName,
    /// Its revision.
    pub revision: RevisionNumber,
    /// Line in that revision's body, counted from 1; of a template the line that made it.
    pub line: u32,
    /// Column, counted from 1.
    pub column: u32,
}

/// A value that agents get, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafSource {
    /// The way to the value.
    pub path: Path,
    /// Who set it.
    pub source: Source,
}

/// A value that a later layer replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// The way to the value; a whole map or list where all of it was replaced.
    pub path: Path,
    /// Who replaced it.
    pub by: Source,
    /// Who had set it.
    pub source: Source,
}

/// Where every value of a content comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Every scalar, empty list and empty map, in the order of the content.
    pub leaves: Vec<LeafSource>,
    /// What later layers replaced, in the order in which they did.
    pub overridden: Vec<Overridden>,
}

impl Provenance {
    /// The leaves at or inside of a path.
    pub fn at<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a LeafSource> {
        self.leaves.iter().filter(|leaf| path.contains(&leaf.path))
    }

    /// What was overridden on the way to, at, or inside of a path.
    pub fn overridden_at<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Overridden> {
        self.overridden
            .iter()
            .filter(|lost| path.contains(&lost.path) || lost.path.contains(path))
    }
}

impl Combined {
    /// Where every value of the content comes from.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        let sources = self.sources();
        let leaves = self.merged.document.leaves();
        Provenance {
            leaves: leaves
                .into_iter()
                .map(|(path, origin)| LeafSource {
                    path,
                    source: sources.of(origin),
                })
                .collect(),
            overridden: self
                .merged
                .overridden
                .iter()
                .map(|lost| Overridden {
                    path: lost.path.clone(),
                    by: sources.of(lost.by),
                    source: sources.of(lost.origin),
                })
                .collect(),
        }
    }
}
