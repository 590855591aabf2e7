//! The corpus: configurations as people write them, in `tests/corpus`. A file is one configuration, a directory the layers of
//! one. The real Collector takes all of them, and so must the checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use otelcol::{Document, Finding, Inventory, Severity, Surroundings, check, merge};

use crate::reference::Reference;

/// A configuration of the corpus.
pub(crate) struct Config {
    pub(crate) name: String,
    /// Its layers in the order in which they are merged; most have one.
    pub(crate) layers: Vec<String>,
}

impl Config {
    /// The layers merged.
    pub(crate) fn document(&self) -> Document {
        let layers = self.layers.iter().map(|text| {
            Document::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", self.name))
        });
        merge(layers).document
    }

    fn texts(&self) -> Vec<&str> {
        self.layers.iter().map(String::as_str).collect()
    }
}

/// All of them, in the order of their names.
pub(crate) fn corpus() -> Vec<Config> {
    files(&directory().join("corpus"))
        .into_iter()
        .map(|path| Config {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            layers: match path.is_dir() {
                true => files(&path).iter().map(|layer| read(layer)).collect(),
                false => vec![read(&path)],
            },
        })
        .collect()
}

/// What the Collector that `interop/collector` builds has, as it printed it, and as it said when it refused [`NO_SUCH_TYPES`].
pub(crate) fn inventory() -> &'static Inventory {
    static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
        let text = |name| read(&directory().join(name));
        let mut inventory = Inventory::parse(text("components.yaml").as_bytes()).unwrap();
        inventory.complete(&text("components-refused.txt"));
        inventory
    });
    &INVENTORY
}

/// The variables that the corpus names without a default.
pub(crate) fn variables() -> BTreeSet<String> {
    crate::reference::VARIABLES.map(str::to_owned).into()
}

/// What there is to be said about a document.
pub(crate) fn findings(document: &Document) -> Vec<Finding> {
    let around = Surroundings {
        inventory: Some(inventory()),
        variables: Some(&variables()),
    };
    check(document, &around)
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn errors(document: &Document) -> Vec<Finding> {
    let mut findings = findings(document);
    findings.retain(|finding| finding.severity() == Severity::Error);
    findings
}

/// A text with variables replaced by their defaults, or by what they are set to here.
fn resolved(text: &str) -> String {
    let mut parts = text.split("${env:");
    let mut resolved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (reference, rest) = part.split_once('}').unwrap();
        let default = reference.split_once(":-").map(|(_, default)| default);
        resolved.push_str(default.unwrap_or("value"));
        resolved.push_str(rest);
    }
    resolved
}

#[test]
fn no_configuration_of_the_corpus_has_an_error() {
    let corpus = corpus();
    assert!(150 <= corpus.len(), "{}", corpus.len());
    for config in corpus {
        assert_eq!(errors(&config.document()), [], "{}", config.name);
    }
}

#[test]
fn the_collector_takes_every_configuration_of_the_corpus() {
    let Some(collector) = Reference::find("corpus") else {
        return;
    };
    let refused: Vec<String> = corpus()
        .iter()
        .filter_map(|config| {
            let verdict = collector.validate_all(&config.texts());
            let reason = verdict.err()?;
            Some(format!("{}: {reason}", config.name))
        })
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn the_collector_reads_and_merges_the_corpus_as_we_do() {
    let Some(collector) = Reference::find("corpus_merged") else {
        return;
    };
    let (mut compared, mut left_out) = (0, 0);
    for config in corpus() {
        let texts: Vec<String> = config.layers.iter().map(|text| resolved(text)).collect();
        // What the Collector prints has other values in place of references.
        if texts
            .iter()
            .any(|text| text.replace("$$", "").contains("${"))
        {
            left_out += 1;
            continue;
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        collector.agrees(&texts);
        compared += 1;
    }
    println!(
        "corpus: {compared} configurations are printed as we merge them, {left_out} left out for what they refer to"
    );
    assert!(150 <= compared, "{compared}");
}

#[test]
fn the_inventory_is_what_the_collector_prints() {
    let Some(collector) = Reference::find("inventory") else {
        return;
    };
    assert_eq!(&collector.inventory(), inventory());
}
