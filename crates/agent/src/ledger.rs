//! What runs, what ran well before, what is on trial and what was refused: the decisions about configurations, without I/O.

use serde::{Deserialize, Serialize};

use crate::storage::contents::ContentId;

/// So many refused configurations are remembered; the oldest is forgotten first.
const MAX_QUARANTINED: usize = 64;

/// A configuration hash as the server gave it, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OfferHash(String);

/// What a collector is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The offer that asked for it; none for what stood on the machine before any offer.
    pub offer: Option<OfferHash>,
    /// What stands at `config_path`.
    pub content: Content,
}

/// What stands at `config_path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Whatever the operator of the machine put there; the agent has not touched it.
    Local,
    /// Bytes that the agent keeps.
    Kept(ContentId),
    /// No file.
    Nothing,
}

/// How far the newest offer came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The offer.
    pub offer: OfferHash,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is being tried.
    Applying,
    /// It runs.
    Applied,
    /// It was refused or undone, for this reason.
    Failed(String),
}

/// A refused configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refusal {
    offer: OfferHash,
    reason: String,
    /// What it failed with (program, arguments, local configurations): with others it may not.
    #[serde(alias = "program")]
    surroundings: String,
}

/// How long the present deployment has run while it is not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Trial {
    ran_ms: u64,
}

/// The state of one collector's configuration. It is saved after every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    current: Deployment,
    last_good: Option<Deployment>,
    /// What stood on the machine before the first offer.
    base: Option<Content>,
    /// The files as they were offered, where what runs is made of several.
    #[serde(default)]
    parts: Vec<ContentId>,
    trial: Option<Trial>,
    status: Option<Status>,
    quarantine: Vec<Refusal>,
}

/// What to do about an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consideration {
    /// It runs already.
    Runs,
    /// It failed before in the same surroundings: for this reason.
    Refused(String),
    /// It is to be tried.
    Try,
}

impl OfferHash {
    /// From the bytes on the wire.
    pub fn of(bytes: &[u8]) -> Self {
        Self(trust::hex(bytes))
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .unwrap_or(0)
        };
        self.0
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
            .collect()
    }
}

impl Content {
    fn kept(&self) -> Option<&ContentId> {
        match self {
            Self::Kept(id) => Some(id),
            Self::Local | Self::Nothing => None,
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        let current = Deployment {
            offer: None,
            content: Content::Local,
        };
        Self {
            current,
            last_good: None,
            base: None,
            parts: Vec::new(),
            trial: None,
            status: None,
            quarantine: Vec::new(),
        }
    }
}

impl Ledger {
    /// What is to run.
    pub fn current(&self) -> &Deployment {
        &self.current
    }

    /// Whether the server knows what stands at `config_path`, since it sent it.
    pub fn is_from_server(&self) -> bool {
        self.current.offer.is_some() && self.base.as_ref() != Some(&self.current.content)
    }

    /// What became of the newest offer.
    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// Whether what runs is not yet trusted.
    pub fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// What runs where the server's configuration is empty.
    pub fn base(&self) -> Option<&Content> {
        self.base.as_ref()
    }

    /// Every kept content that may still be needed.
    pub fn contents(&self) -> Vec<&ContentId> {
        let deployed = [Some(&self.current), self.last_good.as_ref()]
            .into_iter()
            .flatten()
            .map(|deployment| &deployment.content);
        deployed
            .chain(self.base.as_ref())
            .filter_map(Content::kept)
            .chain(&self.parts)
            .collect()
    }

    /// What to do about `offer` in `surroundings`.
    pub fn consider(&self, offer: &OfferHash, surroundings: &str) -> Consideration {
        if self.current.offer.as_ref() == Some(offer) {
            return Consideration::Runs;
        }
        let refusal = self
            .quarantine
            .iter()
            .find(|refusal| refusal.offer == *offer && refusal.surroundings == surroundings);
        refusal.map_or(Consideration::Try, |refusal| {
            Consideration::Refused(refusal.reason.clone())
        })
    }

    /// Notes that `offer` runs already.
    pub fn note_runs(&mut self, offer: OfferHash) {
        self.status = Some(Status {
            offer,
            outcome: Outcome::Applied,
        });
    }

    /// Notes that `offer` cannot be taken now, for a reason that is not its own fault.
    pub fn fail(&mut self, offer: OfferHash, reason: String) {
        self.status = Some(Status {
            offer,
            outcome: Outcome::Failed(reason),
        });
    }

    /// Refuses `offer` for as long as the `surroundings` are the same. A first reason stands.
    pub fn quarantine(&mut self, offer: OfferHash, reason: String, surroundings: &str) {
        self.remember(offer.clone(), reason.clone(), surroundings);
        self.fail(offer, reason);
    }

    /// Forgets that `offer` was refused: it is wanted once more.
    pub fn release(&mut self, offer: &OfferHash) {
        self.quarantine.retain(|refusal| refusal.offer != *offer);
    }

    /// Puts `content` of `offer` in force, on trial. `base` is what stood on the machine, in case nothing was put in
    /// force before.
    pub fn switch(&mut self, offer: OfferHash, content: Content, base: impl FnOnce() -> Content) {
        if self.base.is_none() {
            let base = self.base.insert(base()).clone();
            self.current = Deployment {
                offer: None,
                content: base,
            };
        }
        let next = Deployment {
            offer: Some(offer.clone()),
            content,
        };
        let replaced = std::mem::replace(&mut self.current, next);
        if self.trial.replace(Trial { ran_ms: 0 }).is_none() {
            self.last_good = Some(replaced);
        }
        self.status = Some(Status {
            offer,
            outcome: Outcome::Applying,
        });
    }

    /// Notes of which files what was put in force is made, where they are several.
    pub fn note_parts(&mut self, parts: Vec<ContentId>) {
        self.parts = parts;
    }

    /// Notes that what was put in force has started.
    pub fn confirm_start(&mut self) {
        if let Some(status) = &mut self.status
            && status.outcome == Outcome::Applying
        {
            status.outcome = Outcome::Applied;
        }
    }

    /// Counts time that the present deployment has run; returns whether it has just become trusted.
    pub fn count_run_time(&mut self, ran_ms: u64, probation_ms: u64) -> bool {
        let Some(trial) = &mut self.trial else {
            return false;
        };
        trial.ran_ms = trial.ran_ms.saturating_add(ran_ms);
        if trial.ran_ms < probation_ms {
            return false;
        }
        self.trial = None;
        self.last_good = Some(self.current.clone());
        true
    }

    /// Gives up what is on trial: what ran well before is in force again. Nothing happens without a trial.
    pub fn roll_back(&mut self, reason: String, surroundings: &str) -> bool {
        if self.trial.take().is_none() {
            return false;
        }
        let good = self.last_good.clone().unwrap_or(Deployment {
            offer: None,
            content: Content::Nothing,
        });
        let given_up = std::mem::replace(&mut self.current, good);
        if let Some(offer) = given_up.offer {
            self.quarantine(offer, reason, surroundings);
        }
        true
    }

    fn remember(&mut self, offer: OfferHash, reason: String, surroundings: &str) {
        if matches!(
            self.consider(&offer, surroundings),
            Consideration::Refused(_)
        ) {
            return;
        }
        self.quarantine.retain(|refusal| refusal.offer != offer);
        if self.quarantine.len() == MAX_QUARANTINED {
            self.quarantine.remove(0);
        }
        self.quarantine.push(Refusal {
            offer,
            reason,
            surroundings: surroundings.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> OfferHash {
        OfferHash::of(text.as_bytes())
    }

    fn kept(text: &str) -> Content {
        Content::Kept(ContentId::of(text.as_bytes()))
    }

    fn switched(ledger: &mut Ledger, text: &str) {
        ledger.switch(hash(text), kept(text), || kept("base"));
    }

    #[test]
    fn a_hash_survives_as_text() {
        assert_eq!(OfferHash::of(&[0, 255, 16]).to_bytes(), [0, 255, 16]);
    }

    #[test]
    fn what_was_refused_is_refused_again_with_the_first_reason() {
        let mut ledger = Ledger::default();
        ledger.quarantine(hash("a"), "first".to_owned(), "p");
        ledger.quarantine(hash("a"), "second".to_owned(), "p");
        assert_eq!(
            ledger.consider(&hash("a"), "p"),
            Consideration::Refused("first".to_owned())
        );
        assert_eq!(ledger.consider(&hash("a"), "others"), Consideration::Try);
        assert_eq!(ledger.consider(&hash("b"), "p"), Consideration::Try);
        ledger.release(&hash("a"));
        assert_eq!(ledger.consider(&hash("a"), "p"), Consideration::Try);
    }

    #[test]
    fn what_runs_is_not_tried_again() {
        let mut ledger = Ledger::default();
        switched(&mut ledger, "a");
        assert_eq!(ledger.consider(&hash("a"), "p"), Consideration::Runs);
        assert_eq!(ledger.status().unwrap().outcome, Outcome::Applying);
        ledger.confirm_start();
        assert_eq!(ledger.status().unwrap().outcome, Outcome::Applied);
    }

    #[test]
    fn what_stood_on_the_machine_is_not_from_the_server() {
        let mut ledger = Ledger::default();
        assert!(!ledger.is_from_server());
        switched(&mut ledger, "a");
        assert!(ledger.is_from_server());
        // An empty offer brings the base back.
        ledger.switch(hash("empty"), kept("base"), || kept("base"));
        assert!(!ledger.is_from_server());
    }

    #[test]
    fn the_first_failure_returns_to_what_stood_on_the_machine() {
        let mut ledger = Ledger::default();
        switched(&mut ledger, "a");
        assert!(ledger.roll_back("died".to_owned(), "p"));
        assert_eq!(
            *ledger.current(),
            Deployment {
                offer: None,
                content: kept("base")
            }
        );
        assert_eq!(
            ledger.status().unwrap().outcome,
            Outcome::Failed("died".to_owned())
        );
        assert!(
            !ledger.roll_back("again".to_owned(), "p"),
            "what is trusted is not given up"
        );
    }

    #[test]
    fn a_rollback_skips_what_was_never_trusted() {
        let mut ledger = Ledger::default();
        switched(&mut ledger, "a");
        ledger.confirm_start();
        assert!(ledger.count_run_time(600_000, 600_000));
        switched(&mut ledger, "b");
        ledger.confirm_start();
        switched(&mut ledger, "c");
        assert!(ledger.roll_back("died".to_owned(), "p"));
        assert_eq!(ledger.current().offer, Some(hash("a")));
    }

    #[test]
    fn trust_takes_the_whole_probation_of_run_time() {
        let mut ledger = Ledger::default();
        switched(&mut ledger, "a");
        assert!(!ledger.count_run_time(400, 1_000));
        assert!(!ledger.count_run_time(599, 1_000));
        assert!(ledger.is_on_trial());
        assert!(ledger.count_run_time(1, 1_000));
        assert!(!ledger.is_on_trial());
    }

    #[test]
    fn the_quarantine_is_bounded() {
        let mut ledger = Ledger::default();
        for n in 0..=MAX_QUARANTINED {
            ledger.quarantine(hash(&n.to_string()), "bad".to_owned(), "p");
        }
        assert_eq!(ledger.quarantine.len(), MAX_QUARANTINED);
        assert_eq!(ledger.consider(&hash("0"), "p"), Consideration::Try);
    }

    #[test]
    fn contents_that_may_be_needed_are_named() {
        let mut ledger = Ledger::default();
        switched(&mut ledger, "a");
        ledger.count_run_time(1, 1);
        switched(&mut ledger, "b");
        let wanted: Vec<&str> = ledger.contents().iter().map(|id| id.as_str()).collect();
        let expected = ["b", "a", "base"].map(|text| ContentId::of(text.as_bytes()));
        assert_eq!(wanted, expected.each_ref().map(ContentId::as_str));
    }
}
