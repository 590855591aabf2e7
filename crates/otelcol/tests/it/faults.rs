//! Every kind of fault that the checks claim to find, put into every configuration of the corpus where it fits: how many of
//! them are found, and whether the real Collector judges alike.
//!
//! The Collector judges some of them, and all with `JUDGE_ALL=1`, which takes minutes.

mod draft;
mod kinds;

use otelcol::{Code, Document, Finding, Severity, Value};

use crate::corpus::{Config, corpus, findings};
use crate::pages::page;
use crate::reference::{Reference, one_in};
use draft::Draft;
use kinds::{Expected, KINDS, Kind};

/// One in so many injected faults is judged by the Collector, unless all are.
const JUDGED_ONE_IN: usize = 29;
/// Of a hundred faults of one code that are injected, how many must be found.
const LEAST_PERCENT: usize = 95;

/// What became of one kind of fault.
struct Row {
    kind: &'static Kind,
    injected: usize,
    found: usize,
    judged: usize,
    /// Judged as the severity says: an error is refused, and what is none is taken.
    agreed: usize,
    /// What was not found, or judged otherwise.
    odd: Vec<String>,
}

impl Row {
    fn new(kind: &'static Kind) -> Self {
        Self {
            kind,
            injected: 0,
            found: 0,
            judged: 0,
            agreed: 0,
            odd: Vec::new(),
        }
    }

    fn inject(&mut self, base: &Base, turn: usize, collector: Option<&Reference>) {
        let draft = Draft::new(base.value.clone(), turn);
        let Some(text) = (self.kind.inject)(draft) else {
            return;
        };
        self.injected += 1;
        let is_found = match self.kind.expected {
            Expected::Code(code) => Document::parse(text.as_bytes()).is_ok_and(|injected| {
                count(&base.findings, code) < count(&findings(&injected), code)
            }),
            Expected::Unreadable => Document::parse(text.as_bytes()).is_err(),
        };
        self.found += usize::from(is_found);
        if !is_found {
            self.odd
                .push(format!("{} is not found in\n{text}", self.kind.name));
        }
        if let Some(collector) = collector.filter(|_| self.kind.is_judged) {
            self.judged += 1;
            let verdict = collector.validate(&text);
            let agrees = verdict.is_err() == self.kind.is_error();
            self.agreed += usize::from(agrees);
            if !agrees {
                self.odd
                    .push(format!("{} is judged {verdict:?}\n{text}", self.kind.name));
            }
        }
    }

    /// Some of what was not as it should be.
    fn odd(&self) -> String {
        let some: Vec<&str> = self.odd.iter().take(3).map(String::as_str).collect();
        some.join("\n---\n")
    }

    /// A line of the table without verdicts: those depend on how many are judged.
    fn figures(&self) -> String {
        let (code, severity) = match self.kind.expected {
            Expected::Code(code) => (code.name(), code.severity()),
            Expected::Unreadable => ("not readable", Severity::Error),
        };
        let (name, injected, found) = (self.kind.name, self.injected, self.found);
        let percent = self.percent();
        format!("| {code} | {name} | {severity} | {injected} | {found} | {percent:.1} |")
    }

    fn percent(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "thousands at most")]
        let percent = 100.0 * self.found as f64 / self.injected as f64;
        percent
    }
}

/// A configuration before anything is put into it.
struct Base {
    value: Value,
    findings: Vec<Finding>,
}

impl Base {
    fn of(config: &Config) -> Self {
        let document = config.document();
        Self {
            value: document.value(),
            findings: findings(&document),
        }
    }
}

fn count(findings: &[Finding], code: Code) -> usize {
    findings
        .iter()
        .filter(|finding| finding.code == code)
        .count()
}

#[expect(clippy::print_stdout, reason = "the table is what the test is for")]
fn print(rows: &[Row]) {
    println!("| finding | injected as | severity | injected | found | % | judged | as we say |");
    println!("|---|---|---|---:|---:|---:|---:|---:|");
    for row in rows {
        println!("{} {} | {} |", row.figures(), row.judged, row.agreed);
    }
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    println!(
        "faults: {} injected, {} found; {} judged by the Collector, {} as we say",
        sum(|row| row.injected),
        sum(|row| row.found),
        sum(|row| row.judged),
        sum(|row| row.agreed)
    );
}

#[test]
fn injected_faults_are_found_and_the_collector_refuses_them() {
    let collector = Reference::find("faults");
    let one_in = one_in(JUDGED_ONE_IN);
    let bases: Vec<Base> = corpus().iter().map(Base::of).collect();
    let mut turn = 0;
    let mut rows: Vec<Row> = KINDS.iter().map(Row::new).collect();
    for row in &mut rows {
        for base in &bases {
            turn += 1;
            let judge = collector.as_ref().filter(|_| turn % one_in == 0);
            row.inject(base, turn, judge);
        }
    }
    print(&rows);
    let page = page("recall.md");
    for row in &rows {
        assert!(
            page.contains(&row.figures()),
            "make corpus has other figures than recall.md: {}",
            row.figures()
        );
        assert!(0 < row.injected, "{} fits nowhere", row.kind.name);
        assert_eq!(row.judged, row.agreed, "{}", row.odd());
        let of_code = || rows.iter().filter(|of| of.kind.code() == row.kind.code());
        let injected: usize = of_code().map(|of| of.injected).sum();
        let found: usize = of_code().map(|of| of.found).sum();
        assert!(injected * LEAST_PERCENT <= 100 * found, "{}", row.odd());
    }
}

#[test]
fn every_code_is_injected() {
    for code in Code::ALL {
        let is_injected = |kind: &Kind| matches!(kind.expected, Expected::Code(of) if of == *code);
        assert!(KINDS.iter().any(is_injected), "{code}");
    }
}
