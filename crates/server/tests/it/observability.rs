//! What the server logs is explained to those who watch it.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that the server is made of.
const CRATES: [&str; 8] = [
    "api", "desired", "engine", "gateway", "runtime", "server", "store", "trust",
];
const SHOWN: [&str; 3] = ["info", "warn", "error"];
const ALL: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The events that a source logs by default.
fn events(source: &str) -> Vec<String> {
    let shown = source.match_indices("event = \"").filter(|(at, _)| {
        let before = &source[..*at];
        let level = ALL
            .iter()
            .filter_map(|level| Some((before.rfind(&format!("{level}!("))?, level)))
            .max();
        level.is_some_and(|(_, level)| SHOWN.contains(level))
    });
    shown
        .filter_map(|(at, start)| source[at + start.len()..].split('"').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_event_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let explained = fs::read_to_string(root.join("docs/observability.md")).expect("the page");
    let mut files = Vec::new();
    for name in CRATES {
        sources(&root.join("crates").join(name).join("src"), &mut files);
    }
    let mut count = 0;
    for file in files {
        for event in events(&fs::read_to_string(&file).expect("a source")) {
            count += 1;
            assert!(
                explained.contains(&format!("`{event}`")),
                "{event} of {} is not in docs/observability.md",
                file.display()
            );
        }
    }
    assert!(30 < count, "only {count} events were found");
}
