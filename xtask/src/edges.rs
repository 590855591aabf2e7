//! Which crate of this workspace may depend on which; a new edge is a decision, made here and in docs/ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Each crate with those of ours that its normal and build dependencies may name; dev-dependencies are free.
const ALLOWED: &[(&str, &[&str])] = &[
    ("opamp-model", &[]),
    ("ottl", &[]),
    ("otelcol", &["ottl"]),
    ("trust", &[]),
    ("api-types", &[]),
    ("runtime", &[]),
    ("opamp", &["opamp-model"]),
    ("domain", &["opamp-model"]),
    ("desired", &["domain", "otelcol", "ottl"]),
    ("store", &["domain"]),
    ("backends", &["domain"]),
    (
        "engine",
        &["domain", "desired", "store", "backends", "trust"],
    ),
    ("gateway", &["opamp", "engine"]),
    ("api", &["engine", "api-types"]),
    (
        "server",
        &["gateway", "api", "engine", "store", "backends", "runtime"],
    ),
    ("agent", &["opamp", "otelcol", "ottl", "trust", "runtime"]),
    ("ctl", &["api-types", "trust", "runtime"]),
    ("fleetsim", &["opamp", "api-types", "runtime"]),
    ("xtask", &[]),
];

/// Crates that are never shipped and may depend on anything.
const FREE: &[&str] = &["testkit", "interop-cases", "simulation"];

/// Counts the edges between the workspace's crates.
///
/// # Errors
/// Names every edge that is not allowed, and every crate that the table does not know.
pub fn check(root: &Path) -> Result<usize> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("reading the workspace with cargo metadata")?;
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let ours: Vec<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let edges: Vec<_> = metadata
        .packages
        .iter()
        .flat_map(|package| edges_of(package, &ours))
        .collect();
    let unknown = ours
        .iter()
        .filter(|name| !allowed.contains_key(*name) && !FREE.contains(name))
        .map(|name| format!("crate {name} is not in the table of allowed edges"));
    let forbidden = edges
        .iter()
        .filter(|(from, to)| !is_allowed(&allowed, from, to))
        .map(|(from, to)| format!("{from} may not depend on {to}"));
    let problems: Vec<String> = unknown.chain(forbidden).collect();
    if !problems.is_empty() {
        bail!(
            "{}\n(the table stands in xtask/src/edges.rs)",
            problems.join("\n")
        );
    }
    Ok(edges.len())
}

fn edges_of<'a>(package: &'a Package, ours: &[&str]) -> Vec<(&'a str, &'a str)> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .filter(|dependency| ours.contains(&dependency.name.as_str()))
        .map(|dependency| (package.name.as_str(), dependency.name.as_str()))
        .collect()
}

fn is_allowed(allowed: &BTreeMap<&str, &[&str]>, from: &str, to: &str) -> bool {
    FREE.contains(&from)
        || allowed
            .get(from)
            .is_none_or(|targets| targets.contains(&to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_depend_only_along_allowed_edges() {
        let count = check(&crate::root()).expect("only allowed edges");
        assert!(0 < count);
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_refused() {
        let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
        assert!(is_allowed(&allowed, "gateway", "engine"));
        assert!(is_allowed(&allowed, "testkit", "server"));
        assert!(!is_allowed(&allowed, "gateway", "store"));
        assert!(!is_allowed(&allowed, "domain", "store"));
    }

    #[test]
    fn the_table_has_no_cycle() {
        let mut left: Vec<_> = ALLOWED.to_vec();
        while !left.is_empty() {
            let names: Vec<_> = left.iter().map(|(name, _)| *name).collect();
            let before = left.len();
            left.retain(|(_, targets)| targets.iter().any(|target| names.contains(target)));
            assert!(left.len() < before, "a cycle among {names:?}");
        }
    }
}
