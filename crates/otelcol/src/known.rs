//! What released distributions of the Collector have, as real builds of them said it.
//!
//! `crates/otelcol/known` has a directory for each, which `scripts/known-builds` makes: the modules that it was built of, what
//! it prints of itself, and which names it says that a configuration may use. Where the build is not the whole release, the
//! kinds that lack a module are [known in part](Release::is_whole): of them, nothing is said not to be there.

use std::fmt;
use std::sync::OnceLock;

use crate::component::Kind;
use crate::inventory::Inventory;

/// A distribution of the Collector in one version, of which it is known what it has.
pub struct Release {
    distribution: &'static str,
    version: &'static str,
    printed: &'static str,
    refused: &'static str,
    inventory: OnceLock<Inventory>,
}

macro_rules! releases {
    ($(($distribution:literal, $version:literal)),* $(,)?) => {
        static RELEASES: &[&Release] = &[$({
            static RELEASE: Release = Release {
                distribution: $distribution,
                version: $version,
                printed: include_str!(concat!("../known/", $distribution, "-", $version, "/components.yaml")),
                refused: include_str!(concat!("../known/", $distribution, "-", $version, "/refused.txt")),
                inventory: OnceLock::new(),
            };
            &RELEASE
        }),*];
    };
}

releases! {
    ("otelcol", "0.149.0"),
}

/// All that are known, in the order of their names and versions.
pub fn all() -> impl Iterator<Item = &'static Release> {
    RELEASES.iter().copied()
}

/// What is known of a distribution in just this version, with or without a `v` before it; nothing where it is not known.
///
/// A patch is another release: nothing is said of 0.149.1 for what is known of 0.149.0.
///
/// ```
/// use otelcol::{Kind, known};
/// let core = known::find("otelcol", "v0.149.0").unwrap().inventory();
/// assert!(core.support(Kind::Receiver, "kafka").is_some());
/// assert!(core.knows_all(Kind::Receiver) && core.support(Kind::Receiver, "filelog").is_none());
/// assert!(known::find("otelcol", "0.149.1").is_none());
/// ```
pub fn find(distribution: &str, version: &str) -> Option<&'static Release> {
    let version = version.strip_prefix('v').unwrap_or(version);
    all().find(|release| (release.distribution, release.version) == (distribution, version))
}

/// The one that [`Display`](fmt::Display) names: `otelcol@0.149.0`.
pub fn named(name: &str) -> Option<&'static Release> {
    let (distribution, version) = name.split_once('@')?;
    find(distribution, version)
}

impl Release {
    /// The name of the distribution, as it is the `service.name` of its Collectors.
    pub const fn distribution(&self) -> &'static str {
        self.distribution
    }

    /// Its version, without a `v`.
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// What it has. It is read once.
    pub fn inventory(&self) -> &Inventory {
        self.inventory.get_or_init(|| {
            let mut inventory = Inventory::parse(self.printed.as_bytes()).unwrap_or_default();
            inventory.complete(self.refused);
            inventory
        })
    }

    /// Whether all names of a kind are known, so that what is not among them is not there.
    pub fn is_whole(&self, kind: Kind) -> bool {
        self.inventory().knows_all(kind)
    }
}

/// `otelcol@0.149.0`.
impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.distribution, self.version)
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Release({self})")
    }
}
