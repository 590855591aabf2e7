//! What is known of releases: it is what was built, and what a real Collector of the same modules says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use otelcol::{Document, Inventory, Kind, known};

use crate::reference::Reference;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("known")
}

/// Where the modules of a manifest come in, by their kinds: path and version.
fn modules(manifest: &Path) -> BTreeMap<Kind, BTreeSet<String>> {
    let text = std::fs::read(manifest).unwrap();
    let document = Document::parse(&text).unwrap();
    let of = |kind: Kind| {
        let section = document.root().get(kind.section());
        let items = section.and_then(|node| node.as_list()).unwrap_or_default();
        let module = |item: &otelcol::Node| {
            let module = item.as_map()?.get("gomod")?.as_str()?;
            Some(module.to_owned())
        };
        (kind, items.iter().filter_map(module).collect())
    };
    Kind::ALL.into_iter().map(of).collect()
}

/// What it prints of each component: its kind, its name and the module that it is from.
fn printed(inventory: &str) -> Vec<(Kind, String, String)> {
    let document = Document::parse(inventory.as_bytes()).unwrap();
    let mut printed = Vec::new();
    for kind in Kind::ALL {
        let section = document.root().get(kind.section());
        for item in section.and_then(|node| node.as_list()).unwrap_or_default() {
            let map = item.as_map().unwrap();
            let text = |key| map.get(key).and_then(|node| node.as_str()).unwrap();
            printed.push((kind, text("name").to_owned(), text("module").to_owned()));
        }
    }
    printed
}

#[test]
fn every_release_that_was_built_is_in_the_list_in_order() {
    let listed: Vec<String> = known::all()
        .map(|release| format!("{}-{}", release.distribution(), release.version()))
        .collect();
    let built = std::fs::read_dir(directory()).unwrap();
    let built: BTreeSet<String> = built
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(listed, built.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_release_says_what_its_modules_have_and_no_more() {
    for release in known::all() {
        let name = format!("{}-{}", release.distribution(), release.version());
        let directory = directory().join(&name);
        let manifest = std::fs::read_to_string(directory.join("manifest.yaml")).unwrap();
        let modules = modules(&directory.join("manifest.yaml"));
        let text = std::fs::read_to_string(directory.join("components.yaml")).unwrap();
        let inventory = release.inventory();
        assert_eq!(inventory.version.as_deref(), Some(release.version()));
        for (kind, component_type, module) in printed(&text) {
            assert!(modules[&kind].contains(&module), "{name}: {module}");
            assert!(inventory.support(kind, &component_type).is_some());
        }
        for kind in Kind::ALL {
            // Every module has at least one name; renamed components have two.
            let names = inventory.types(kind).count();
            let is_whole = release.is_whole(kind);
            assert!(!is_whole || modules[&kind].len() <= names, "{name}: {kind}");
            let left_out = manifest.contains(&format!("# not built: {} ", kind.section()));
            assert_eq!(left_out, !is_whole, "{name}: {kind}");
        }
    }
}

#[test]
fn a_release_is_found_in_just_its_version() {
    for release in known::all() {
        let name = release.to_string();
        assert!(known::named(&name).is_some_and(|found| std::ptr::eq(found, release)));
        let with_v = format!("v{}", release.version());
        assert!(known::find(release.distribution(), &with_v).is_some());
    }
    for name in [
        "otelcol@0.149",
        "otelcol@0.149.1",
        "otelcol@",
        "otelcol",
        "OTELCOL@0.149.0",
    ] {
        assert!(known::named(name).is_none(), "{name}");
    }
}

/// The modules that a release and the Collector of this machine share have the same components, which support the same.
#[test]
fn a_real_collector_says_the_same_of_the_same_modules() {
    let Some(collector) = Reference::find("known") else {
        return;
    };
    let text = collector.components();
    let real = collector.inventory();
    let mut compared = 0;
    for release in known::all() {
        let name = format!("{}-{}", release.distribution(), release.version());
        let modules = modules(&directory().join(name).join("manifest.yaml"));
        for (kind, component_type, module) in printed(&text) {
            if !modules[&kind].contains(&module) {
                continue;
            }
            let said = real.support(kind, &component_type);
            let known = release.inventory().support(kind, &component_type);
            assert_eq!(said, known, "{release}: {kind} {component_type}");
            compared += 1;
        }
    }
    let own: Inventory = Inventory::parse(text.as_bytes()).unwrap();
    if own.version.as_deref() == Some("0.149.0") {
        assert!(10 <= compared, "{compared}");
    }
}
