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
