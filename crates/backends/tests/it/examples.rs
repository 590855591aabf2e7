//! The example in the documentation is what it says it is.

use std::path::{Path, PathBuf};

use backends::{SourceLimits, directory, documents};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/git-source")
}

#[test]
fn the_example_reads_as_two_configs() {
    let files = directory::files(&example(), &SourceLimits::default()).expect("read");
    let configs = documents::read(&files).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let [gateway, hosts] = &configs[..] else {
        panic!("{configs:?}")
    };
    assert_eq!((gateway.name.as_str(), gateway.priority), ("gateway", 0));
    assert_eq!(gateway.selector.to_string(), "role=gateway");
    assert_eq!(gateway.body.file, "gateway/collector.yaml");
    assert!(gateway.template.is_none());

    assert_eq!((hosts.name.as_str(), hosts.priority), ("host-metrics", 10));
    assert_eq!(hosts.selector.to_string(), "env in (prod,staging),!legacy");
    let template = hosts.template.as_ref().expect("a template");
    assert_eq!(template.vars["interval"], "30s");
    assert_eq!(template.overrides.len(), 1);
    let place = hosts.body.place(1, 1);
    let text = std::fs::read_to_string(example().join(&place.file)).expect("the document");
    let line = usize::try_from(place.line.expect("a line")).expect("fits");
    assert_eq!(text.lines().nth(line - 1), Some("  receivers:"));
}
