//! Each code has a page in `docs/findings`, whose examples are what the page says.

use std::path::Path;

use otelcol::{Code, Document, Severity};

use crate::corpus::findings;
use crate::reference::Reference;

/// A page of `docs/findings`.
pub(crate) fn page(name: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = here.join("../../docs/findings").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn page_of(code: Code) -> String {
    page(&format!("{code}.md"))
}

/// The example that has the fault, and the one that is mended; none where a page cannot show it.
fn examples(code: Code) -> Option<(String, String)> {
    let text = page_of(code);
    let mut fences = text.split("```yaml\n").skip(1);
    let fenced = |fence: &str| fence.split("```").next().unwrap().to_owned();
    Some((fenced(fences.next()?), fenced(fences.next()?)))
}

fn has(text: &str, code: Code) -> bool {
    let document = Document::parse(text.as_bytes()).unwrap();
    findings(&document)
        .iter()
        .any(|finding| finding.code == code)
}

#[test]
fn each_code_has_a_page_with_its_severity() {
    let index = page("README.md");
    for code in Code::ALL {
        let text = page_of(*code);
        let mut severity = code.severity().to_string();
        severity[..1].make_ascii_uppercase();
        assert!(
            text.starts_with(&format!("# {code}\n\n{severity}: ")),
            "{code}"
        );
        assert!(
            index.contains(&format!("| [{code}]({code}.md) | {} |", code.severity())),
            "{code}"
        );
    }
}

#[test]
fn the_examples_of_pages_have_the_fault_and_then_have_it_no_more() {
    for code in Code::ALL.iter().filter(|code| **code != Code::MoreFindings) {
        let (wrong, mended) = examples(*code).unwrap();
        assert!(has(&wrong, *code), "{code}:\n{wrong}");
        assert!(!has(&mended, *code), "{code}:\n{mended}");
    }
}

#[test]
fn the_collector_judges_the_examples_of_pages_alike() {
    let Some(collector) = Reference::find("pages") else {
        return;
    };
    for code in Code::ALL {
        let Some((wrong, mended)) = examples(*code) else {
            continue;
        };
        // It is started without the feature gate.
        let is_refused = code.severity() == Severity::Error || *code == Code::GatedSignal;
        let verdict = collector.validate(&wrong);
        assert_eq!(verdict.is_err(), is_refused, "{code}: {verdict:?}\n{wrong}");
        assert_eq!(collector.validate(&mended), Ok(()), "{code}:\n{mended}");
    }
}
