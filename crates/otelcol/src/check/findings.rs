//! Findings while they are collected, and how many of them are kept: whoever writes a configuration can be wrong everywhere.

use std::cmp::Reverse;

use super::{Code, Finding, Severity};
use crate::service::Place;
use crate::tree::{Origin, Path};

/// The most findings that a check returns, beside the one that says that there are more.
pub const MOST_FINDINGS: usize = 1000;
/// The most bytes of findings that are kept, beside one finding: each quotes names and ways, which can be long.
const MOST_BYTES: usize = 1 << 20;

/// What was found so far. Of too much the worst is kept, of equally bad findings those that stand first in the text.
#[derive(Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    /// What comes behind this one is left out; set once there is more than is kept.
    last_wanted: Option<Rank>,
}

type Rank = (Reverse<Severity>, Origin, Code);

impl Findings {
    pub(super) fn add(
        &mut self,
        code: Code,
        place: &Place,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        if !self.wants(code, place.origin) {
            return;
        }
        self.kept.push(Finding {
            code,
            path: place.path.clone(),
            origin: place.origin,
            message: message.into(),
            advice: advice.into(),
        });
        // Seldom, so that sorting costs each finding little.
        if 2 * MOST_FINDINGS < self.kept.len() {
            self.keep_the_worst();
        }
    }

    /// Whether such a finding would be kept, as far as is known by now.
    pub(super) fn wants(&self, code: Code, origin: Origin) -> bool {
        let rank = (Reverse(code.severity()), origin, code);
        self.last_wanted.is_none_or(|last| rank < last)
    }

    /// What is kept, and whether that is all.
    pub(super) fn in_order_of_the_text(mut self) -> Vec<Finding> {
        self.keep_the_worst();
        let mut findings = self.kept;
        findings.sort_by(|a, b| (a.origin, a.code, &a.path).cmp(&(b.origin, b.code, &b.path)));
        if self.last_wanted.is_some() {
            findings.push(Finding {
                code: Code::MoreFindings,
                path: Path::root(),
                origin: findings.last().map(|last| last.origin).unwrap_or_default(),
                message: "there is more to be said than is told here, errors first".to_owned(),
                advice: "mend what is told, and check again".to_owned(),
            });
        }
        findings
    }

    fn keep_the_worst(&mut self) {
        // Stable: of one rank, what was found first stays first.
        self.kept.sort_by_key(rank);
        self.kept.dedup();
        let mut bytes = 0;
        let fitting = self.kept.iter().take(MOST_FINDINGS).take_while(|finding| {
            let fits = bytes <= MOST_BYTES;
            bytes += finding.path.bytes() + finding.message.len() + finding.advice.len();
            fits
        });
        let fitting = fitting.count();
        if fitting < self.kept.len() {
            self.kept.truncate(fitting);
            self.last_wanted = self.kept.last().map(rank);
        }
    }
}

fn rank(finding: &Finding) -> Rank {
    (Reverse(finding.severity()), finding.origin, finding.code)
}
