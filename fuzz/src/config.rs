//! What is done with configurations that operators and agents write.

use otelcol::{Document, Limits, Value, merge, redact, redact_pair};

/// Small enough that the bounds are hit.
const LIMITS: Limits = Limits { bytes: 4096, depth: 12, nodes: 300 };

/// A configuration: refused, or written again as what it means; merging it with itself changes nothing.
pub fn otelcol_yaml(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    redact(&text);
    let (old, new) = redact_pair(&text, &text);
    assert_eq!(old, new);
    let Ok(document) = Document::parse_within(data, &LIMITS) else { return };
    let value = document.value();
    // What is written may be longer than what was read, and has no aliases.
    let read = |text: &str| Document::parse(text.as_bytes()).expect("what was written can be read").value();
    assert_eq!(read(&document.to_yaml()), value);
    assert_eq!(read(&value.to_yaml()), value);
    let twice = merge([document.clone(), document]).document;
    assert_eq!(twice.value(), value);
    for (path, _) in twice.leaves() {
        assert!(twice.at(&path).is_some(), "no value at {path}");
    }
    assert!(matches!(value, Value::Map(_)));
}

/// The configurations of an offer, with a zero byte between them: merged as the agent merges them before a collector gets
/// them, they can be read again, and whatever the last one says is there.
pub fn otelcol_merge(data: &[u8]) {
    let parts = data.split(|byte| *byte == 0).take(4);
    let Ok(documents) = parts.map(|part| Document::parse_within(part, &LIMITS)).collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let Some(last) = documents.last().cloned() else { return };
    let merged = merge(documents.clone()).document;
    let written = merged.to_yaml();
    let read = Document::parse(written.as_bytes()).expect("what was merged can be read");
    assert_eq!(read.value(), merged.value());
    assert_eq!(read.health_check(), merged.health_check());
    redact(&written);
    for (path, _) in last.leaves() {
        assert!(merged.at(&path).is_some(), "no value at {path}");
    }
    // One after the other is the same as all at once.
    let folded = documents.into_iter().reduce(|base, over| merge([base, over]).document);
    assert_eq!(folded.map(|document| document.value()), Some(merged.value()));
}
