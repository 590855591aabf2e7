//! Builds that are known without an agent that reports them: released distributions, and what a Collector prints of itself.

use std::fmt;

use otelcol::{Inventory, Kind, known};

use crate::needs::Build;

/// A released distribution of the Collector, of which it is known what it has: `otelcol@0.149.0`.
#[derive(Clone, Copy)]
pub struct Released(&'static known::Release);

/// What a Collector printed is no list of components.
#[derive(Debug, thiserror::Error)]
pub enum ReadBuildError {
    /// It is not YAML.
    #[error("what `components` prints cannot be read: {0}")]
    NotYaml(otelcol::ParseError),
    /// It names none.
    #[error("it names no component: give what `otelcol components` prints")]
    Empty,
}

impl Released {
    /// All that are known.
    pub fn all() -> impl Iterator<Item = Self> {
        known::all().map(Self)
    }

    /// The one of this name and just this version.
    #[must_use]
    pub fn find(distribution: &str, version: &str) -> Option<Self> {
        known::find(distribution, version).map(Self)
    }

    /// The one that is written like this: `otelcol@0.149.0`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        known::named(name).map(Self)
    }

    /// What it has.
    #[must_use]
    pub fn build(self) -> Build {
        Build::from(self.0.inventory().clone())
    }

    /// Its place in the list of all, from 1.
    #[must_use]
    pub fn number(self) -> u64 {
        let before = known::all().take_while(|release| !std::ptr::eq(*release, self.0));
        before.count() as u64 + 1
    }
}

impl PartialEq for Released {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Released {}

impl fmt::Display for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl Build {
    /// Reads what `otelcol components` prints, and the names that `otelcol validate` lists where it refuses components that do
    /// not exist. Of a kind of which no names are listed it is not known whether there are more.
    ///
    /// # Errors
    /// [`ReadBuildError`].
    pub fn read(printed: &[u8], refusal: &str) -> Result<Self, ReadBuildError> {
        let mut inventory = Inventory::parse(printed).map_err(ReadBuildError::NotYaml)?;
        inventory.complete(refusal);
        if inventory.is_empty() {
            return Err(ReadBuildError::Empty);
        }
        Ok(Self::from(inventory))
    }

    /// The kinds of which not all components are known, as the sections of a configuration: `receivers`.
    pub fn sections_in_part(&self) -> impl Iterator<Item = &'static str> {
        let in_part = |kind: &Kind| !self.inventory().knows_all(*kind);
        Kind::ALL.into_iter().filter(in_part).map(Kind::section)
    }

    /// How many names of components are known of it.
    #[must_use]
    pub fn components(&self) -> usize {
        self.inventory().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Needs;

    #[test]
    fn a_release_is_found_by_its_name_and_lacks_what_it_was_built_without() {
        let core = Released::named("otelcol@0.149.0").unwrap();
        assert_eq!(Released::find("otelcol", "0.149.0"), Some(core));
        assert_eq!(core.to_string(), "otelcol@0.149.0");
        assert_eq!(core.build().sections_in_part().count(), 0);
        let needs =
            Needs::read("receiver/otlp receiver/filelog exporter/otlphttp exporter/otlp_http");
        assert_eq!(needs.lacking(&core.build()), ["receiver filelog"]);
        let numbers: Vec<_> = Released::all().map(Released::number).collect();
        let expected: Vec<_> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected);
    }

    #[test]
    fn what_a_collector_prints_is_whole_where_it_lists_its_names() {
        let build = Build::read(b"receivers: [{name: otlp}]", "").unwrap();
        assert!(Needs::read("receiver/kafka").lacking(&build).is_empty());
        assert_eq!(build.sections_in_part().count(), Kind::ALL.len());
        let listed = "'receivers' unknown type: \"x\" for id: \"x\" (valid values: [otlp nop])";
        let build = Build::read(b"receivers: [{name: otlp}]", listed).unwrap();
        assert_eq!(
            Needs::read("receiver/kafka receiver/nop").lacking(&build),
            ["receiver kafka"]
        );
        assert!(Build::read(b"- [", "").is_err());
        assert!(Build::read(b"hello: 1", "").is_err());
    }
}
