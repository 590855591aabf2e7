//! The real Collector as the judge: what its `print-config` says must be what we say.
//!
//! The binary is `OTELCOL_BIN`, else the one that `interop/collector/build.sh` keeps in its cache.
//! Without one these tests say so and pass, unless `REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use otelcol::{Document, Inventory, Value, merge};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::generate::document;

/// Variables that are set where the Collector runs here.
pub(crate) const VARIABLES: [&str; 2] = ["INGEST_TOKEN", "OPAMP_TOKEN"];

/// A document that no Collector takes, so that it says what it has of each kind.
const NO_SUCH_TYPES: &str = "\
receivers: {no_such_type: {}}
processors: {no_such_type: {}}
exporters: {no_such_type: {}}
connectors: {no_such_type: {}}
extensions: {no_such_type: {}}
";

pub(crate) struct Reference {
    binary: PathBuf,
    directory: PathBuf,
}

impl Reference {
    /// The binary and a place for this test's files, or none where the test is to be left out.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let given = std::env::var_os("OTELCOL_BIN").map(PathBuf::from);
        match given.or_else(cached).filter(|binary| binary.is_file()) {
            Some(binary) => {
                let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                    .join(format!("{test}-{}", std::process::id()));
                std::fs::create_dir_all(&directory).unwrap();
                Some(Self { binary, directory })
            }
            None if std::env::var("REQUIRE_ALL").is_ok_and(|all| all == "1") => {
                panic!("no collector: run interop/collector/build.sh, or set OTELCOL_BIN")
            }
            None => {
                eprintln!(
                    "skipped {test}: no collector (run interop/collector/build.sh, or set OTELCOL_BIN)"
                );
                None
            }
        }
    }

    fn print_config(&self, documents: &[&str]) -> Output {
        let arguments = [
            "print-config",
            "--mode=unredacted",
            "--validate=false",
            "--format=json",
        ];
        self.run(&arguments, documents)
    }

    /// What `components` prints.
    pub(crate) fn components(&self) -> String {
        let output = Command::new(&self.binary).arg("components").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    /// What it has: what `components` prints, and what it adds when it refuses what it does not have.
    pub(crate) fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::parse(self.components().as_bytes()).unwrap();
        inventory.complete(&self.validate(NO_SUCH_TYPES).unwrap_err());
        inventory
    }

    /// Whether the Collector would run with a document, or why it would not.
    pub(crate) fn validate(&self, document: &str) -> Result<(), String> {
        self.validate_all(&[document])
    }

    /// Whether the Collector would run with documents, or why it would not.
    pub(crate) fn validate_all(&self, documents: &[&str]) -> Result<(), String> {
        let output = self.run(&["validate"], documents);
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn run(&self, arguments: &[&str], documents: &[&str]) -> Output {
        let mut command = Command::new(&self.binary);
        command.args(arguments);
        command.envs(VARIABLES.map(|name| (name, "value")));
        for (index, document) in documents.iter().enumerate() {
            let file = self.directory.join(format!("{index}.yaml"));
            std::fs::write(&file, document).unwrap();
            command.arg("--config").arg(file);
        }
        command.output().unwrap()
    }

    /// What the Collector makes of documents, or its error.
    fn merged(&self, documents: &[&str]) -> Result<Value, String> {
        let output = self.print_config(documents);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(as_printed(from_json(
            serde_json::from_slice(&output.stdout).unwrap(),
        )))
    }

    /// The Collector reads the documents as we do, and reads what we merged of them as the same.
    pub(crate) fn agrees(&self, documents: &[&str]) {
        let shown = documents.join("\n--- next document\n");
        let ours = merge(documents.iter().map(|text| {
            Document::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{shown}"))
        }));
        let theirs = self
            .merged(documents)
            .unwrap_or_else(|error| panic!("{error}\n{shown}"));
        assert_eq!(as_printed(ours.document.value()), theirs, "{shown}");
        let written = ours.document.to_yaml();
        assert_eq!(
            self.merged(&[&written]),
            Ok(theirs),
            "{shown}\n--- merged\n{written}"
        );
    }
}

/// The Collector takes a tenth of a second for each text: one in so many is given to it, and all with `JUDGE_ALL=1`.
pub(crate) fn one_in(usually: usize) -> usize {
    match std::env::var("JUDGE_ALL").is_ok_and(|all| all == "1") {
        true => 1,
        false => usually,
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

fn cached() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/collector/build.sh");
    let output = Command::new(script).arg("--path").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(path.lines().last()?))
}

/// Not by way of YAML: the Collector cannot always read again what it writes (`- |4`).
fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => match number.as_i128() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().unwrap()),
        },
        serde_json::Value::String(text) => Value::Str(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => Value::map(
            entries
                .into_iter()
                .map(|(name, value)| (name, from_json(value))),
        ),
    }
}

/// The value as it is once the Collector has printed it: whole floats as ints, dates in full and quoted, `$$` as `$`.
fn as_printed(value: Value) -> Value {
    match value {
        #[allow(clippy::cast_possible_truncation)]
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e15 => {
            Value::Int(float as i128)
        }
        Value::Timestamp(text) => Value::Str(text + "T00:00:00Z"),
        Value::Str(text) => Value::Str(text.replace("$$", "$")),
        Value::List(items) => Value::List(items.into_iter().map(as_printed).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(name, value)| (name, as_printed(value)))
                .collect(),
        ),
        other => other,
    }
}

const BASE: &str = "\
receivers:
  otlp:
    protocols:
      grpc: {endpoint: 0.0.0.0:4317}
      http:
processors:
  batch: {timeout: 2s, send_batch_size: 0400}
exporters:
  debug: &debug
    verbosity: basic
  debug/2:
    <<: *debug
    sampling_initial: 5
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [debug, debug/2]}
";

#[test]
fn several_configs_merge_as_the_collector_merges_them() {
    let Some(reference) = Reference::find("several_configs") else {
        return;
    };
    let overlays = [
        // Lists are replaced, maps are joined.
        "service:\n  pipelines:\n    traces: {exporters: [debug]}\n",
        // An explicit null takes away what was there; an empty map does not.
        "processors:\n  batch:\nexporters:\n  debug: {}\n",
        "receivers: ~\n",
        // Scalars, lists and maps over each other.
        "receivers: {otlp: text}\nprocessors: [1, 2]\nexporters: 5\n",
        "processors: {batch: {timeout: {deep: 1}, send_batch_size: [a]}}\n",
        // Flat keys: at the top when a document is read, below when all is merged, never in lists.
        "processors::batch::timeout: 5s\nexporters::new::x: {y: 1}\n",
        "exporters:\n  otlp:\n    tls::insecure: true\n    tls: {ca_file: x}\n    a::b::c: {d::e: 1}\n    l: [{x::y: 1}]\n",
        "processors:\n  batch::more: 1\n",
        // What yaml.v3 makes of words and numbers.
        "x: {a: yes, b: On, c: 0777, d: 0o17, e: 1_000, f: 08, g: '1', h: 0x1F, i: 1., j: .5, k: 0b11, l: +1}\n",
        "x: {1: a, 0x10: b, true: c, ~: d, 1.50: e, 1e21: f, 1234567.0: g}\n",
        // Texts in every style.
        "x:\n  a: |\n    one\n     two\n\n  b: >-\n    one\n    two\n\n    three\n  c: 'it''s'\n  d: \"\\u00e9\\x41\\t\"\n  e: a\n    b\n",
        "x:\n  a: |2+\n      one\n\n\n  b: |-\n    one\n  c: \"one\\\n    two\"\n",
        // Documents after the first are not read.
        "x: 1\n---\ny: 2\n",
        "---\n# comment\nx: 1\n...\n",
        "",
        "# nothing\n",
        "null\n",
        // Merge keys: the map's own keys win, then the first of a list.
        "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 0}\ne: {<<: {<<: *a, q: 1}}\n",
        "a: &x 1\nb: {*x : [*x, *x]}\n",
        "x: !!str 12\ny: !!float 3\nz: !local {a: !x 1}\nb: !!binary aGVsbG8=\n",
        "a: 1\r\nb: |\r\n  x\r\n  y\r\n",
        "\u{feff}a: 1\n",
        "? a\n: b\n? c\n",
        "{\n\t\"a\": {\n\t\t\"b\": [1, \"x\ty\"]\n\t}\n}\n",
        "a: [\n\tb,\n\tc]\n# d\n\t# e\nf: g\n",
        "d: $x $$ $$x\n",
    ];
    for overlay in overlays {
        reference.agrees(&[BASE, overlay]);
        reference.agrees(&[overlay, BASE]);
        reference.agrees(&[overlay]);
        reference.agrees(&[BASE, "a: {b: 1}\n", overlay, "a: {b: {c: 2}}\n", BASE]);
    }
}

#[test]
fn what_the_collector_refuses_is_refused() {
    let Some(reference) = Reference::find("refuses") else {
        return;
    };
    for text in [
        "a: 1\na: 2\n",
        "x:\n  a: 1\n  'a': 2\n",
        "[1, 2]\n",
        "text\n",
        "1: a\n",
        "true: a\n",
        "a: *b\n",
        "a: &a [*a]\n",
        "a: {<<: 1}\n",
        "a: {<<: [1]}\n",
        "a: !!bool yes\n",
        "a: !!binary x\n",
        "a: !!int x\n",
        "a:\n\t- b\n",
        "a: [1\n",
        "a: 'x\n",
        "a: b: c\n",
        "a: \u{1}\n",
        "a: \"\\z\"\n",
        "? [a]\n: b\n",
        "a\n",
    ] {
        assert!(
            Document::parse(text.as_bytes()).is_err(),
            "accepted: {text:?}"
        );
        assert!(
            reference.merged(&[text]).is_err(),
            "the collector accepts {text:?}"
        );
    }
}

#[test]
fn generated_documents_merge_as_the_collector_merges_them() {
    let Some(reference) = Reference::find("generated") else {
        return;
    };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    let readable = document()
        .prop_map(|tree| tree.text())
        .prop_filter("resolved, or not in JSON", |text| {
            !["$", ".inf", ".nan"].iter().any(|not| text.contains(not))
        });
    let documents = prop::collection::vec(readable, 1..4);
    let checked = runner.run(&documents, |documents| {
        reference.agrees(&documents.iter().map(String::as_str).collect::<Vec<_>>());
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
