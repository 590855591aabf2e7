//! The decision whether an agent is offered its desired config now, and the word for where it stands.

use opamp_model::{AgentCapabilities, ApplyState};

use crate::ids::{ContentHash, ReportedHash};

/// Whether an unknown agent may be managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Approval {
    /// It is managed.
    #[default]
    Approved,
    /// It is seen and offered nothing until somebody approves it.
    Pending,
}

impl Approval {
    /// The stable text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Pending => "pending",
        }
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "approved" => Some(Self::Approved),
            "pending" => Some(Self::Pending),
            _ => None,
        }
    }
}

/// What an agent last said of a remote config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The hash it names.
    pub hash: ReportedHash,
    /// How far it came.
    pub state: ApplyState,
}

/// All that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct OfferQuestion<'a> {
    /// The hash of what the agent should run; `None`: no config matches it.
    pub desired: Option<&'a ContentHash>,
    /// What it last said of a remote config.
    pub answered: Option<&'a Answered>,
    /// What it can do.
    pub capabilities: AgentCapabilities,
    /// Whether it is managed.
    pub approval: Approval,
    /// Whether a hold covers it.
    pub held: bool,
}

/// Whether to offer, and if not, why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OfferDecision {
    /// The desired config is to be offered.
    Offer,
    /// No config matches the agent: it is sent nothing and runs on as it is.
    Unassigned,
    /// The agent has answered for the desired content (applying or applied).
    Answered,
    /// The agent failed to apply exactly this content; it is offered again only when somebody retries.
    Failed,
    /// The agent does not accept remote configs.
    Incapable,
    /// The agent waits for approval.
    AwaitsApproval,
    /// A hold is on.
    Held,
}

/// Decides whether an agent is offered its desired config.
#[must_use]
pub fn offer_decision(question: &OfferQuestion<'_>) -> OfferDecision {
    let Some(desired) = question.desired else {
        return OfferDecision::Unassigned;
    };
    if let Some(answered) = question
        .answered
        .filter(|answered| answered.hash.names(desired))
    {
        return match answered.state {
            ApplyState::Failed => OfferDecision::Failed,
            // An agent that names the hash and says nothing of its fate has it: offering again would loop.
            ApplyState::Unset | ApplyState::Applying | ApplyState::Applied => {
                OfferDecision::Answered
            }
        };
    }
    if !question
        .capabilities
        .contains(AgentCapabilities::ACCEPTS_REMOTE_CONFIG)
    {
        return OfferDecision::Incapable;
    }
    match (question.approval, question.held) {
        (Approval::Pending, _) => OfferDecision::AwaitsApproval,
        (Approval::Approved, true) => OfferDecision::Held,
        (Approval::Approved, false) => OfferDecision::Offer,
    }
}

/// Where an agent stands with its desired config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigState {
    /// No config matches it.
    Unassigned,
    /// What it should run was not offered yet.
    Pending,
    /// What it should run was sent, and it has not answered.
    Offered,
    /// It says that it is applying what it should run.
    Applying,
    /// It runs what it should run.
    Applied,
    /// It could not apply what it should run.
    Failed,
}

impl ConfigState {
    /// Every state there is.
    pub const ALL: [Self; 6] = [
        Self::Unassigned,
        Self::Pending,
        Self::Offered,
        Self::Applying,
        Self::Applied,
        Self::Failed,
    ];

    /// The stable text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::Pending => "pending",
            Self::Offered => "offered",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Failed => "failed",
        }
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Says where an agent stands from what it should run, what it was last sent and what it last answered.
#[must_use]
pub fn config_state(
    desired: Option<&ContentHash>,
    offered: Option<&ContentHash>,
    answered: Option<&Answered>,
) -> ConfigState {
    let Some(desired) = desired else {
        return ConfigState::Unassigned;
    };
    match answered
        .filter(|answered| answered.hash.names(desired))
        .map(|answered| answered.state)
    {
        Some(ApplyState::Applied) => ConfigState::Applied,
        Some(ApplyState::Applying | ApplyState::Unset) => ConfigState::Applying,
        Some(ApplyState::Failed) => ConfigState::Failed,
        None if offered == Some(desired) => ConfigState::Offered,
        None => ConfigState::Pending,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DESIRED: ContentHash = ContentHash::from_bytes([1; 32]);
    const OTHER: ContentHash = ContentHash::from_bytes([2; 32]);

    fn answered(hash: ContentHash, state: ApplyState) -> Answered {
        Answered {
            hash: ReportedHash::new(*hash.as_bytes()),
            state,
        }
    }

    fn question<'a>(
        desired: Option<&'a ContentHash>,
        answered: Option<&'a Answered>,
    ) -> OfferQuestion<'a> {
        let capabilities = AgentCapabilities::ACCEPTS_REMOTE_CONFIG;
        OfferQuestion {
            desired,
            answered,
            capabilities,
            approval: Approval::Approved,
            held: false,
        }
    }

    #[test]
    fn only_what_differs_is_offered() {
        let states = [
            ApplyState::Unset,
            ApplyState::Applied,
            ApplyState::Applying,
            ApplyState::Failed,
        ];
        assert_eq!(
            offer_decision(&question(None, None)),
            OfferDecision::Unassigned
        );
        assert_eq!(
            offer_decision(&question(Some(&DESIRED), None)),
            OfferDecision::Offer
        );
        for state in states {
            let other = answered(OTHER, state);
            assert_eq!(
                offer_decision(&question(Some(&DESIRED), Some(&other))),
                OfferDecision::Offer,
                "{state:?}"
            );
            assert_eq!(
                offer_decision(&question(None, Some(&other))),
                OfferDecision::Unassigned,
                "{state:?}"
            );
            let same = answered(DESIRED, state);
            let expected = if state == ApplyState::Failed {
                OfferDecision::Failed
            } else {
                OfferDecision::Answered
            };
            assert_eq!(
                offer_decision(&question(Some(&DESIRED), Some(&same))),
                expected,
                "{state:?}"
            );
        }
    }

    #[test]
    fn an_empty_hash_names_nothing() {
        let nothing = Answered {
            hash: ReportedHash::default(),
            state: ApplyState::Applied,
        };
        assert_eq!(
            offer_decision(&question(Some(&DESIRED), Some(&nothing))),
            OfferDecision::Offer
        );
    }

    fn any_state() -> impl Strategy<Value = ApplyState> {
        prop_oneof![
            Just(ApplyState::Unset),
            Just(ApplyState::Applied),
            Just(ApplyState::Applying),
            Just(ApplyState::Failed)
        ]
    }

    fn any_hash() -> impl Strategy<Value = ContentHash> {
        prop_oneof![Just(DESIRED), Just(OTHER)]
    }

    proptest! {
        /// The brake, approval and capability: whatever else is true, no offer leaves.
        #[test]
        fn nothing_is_offered_to_the_held_the_pending_and_the_incapable(
            desired in proptest::option::of(any_hash()),
            answer in proptest::option::of((any_hash(), any_state())),
            held in any::<bool>(),
            pending in any::<bool>(),
            capabilities in any::<u64>(),
        ) {
            let answer = answer.map(|(hash, state)| answered(hash, state));
            let capabilities = AgentCapabilities::from_bits_truncate(capabilities);
            let approval = if pending { Approval::Pending } else { Approval::Approved };
            let question =
                OfferQuestion { desired: desired.as_ref(), answered: answer.as_ref(), capabilities, approval, held };
            let capable = capabilities.contains(AgentCapabilities::ACCEPTS_REMOTE_CONFIG);
            let differs = desired.is_some_and(|desired| !answer.as_ref().is_some_and(|answer| answer.hash.names(&desired)));
            let expected = differs && capable && !held && !pending;
            prop_assert_eq!(offer_decision(&question) == OfferDecision::Offer, expected);
        }

        /// Answering an offer ends it: no agent is offered in a loop what it has answered for.
        #[test]
        fn an_answer_ends_the_offer(state in any_state()) {
            let answer = answered(DESIRED, state);
            prop_assert_ne!(offer_decision(&question(Some(&DESIRED), Some(&answer))), OfferDecision::Offer);
        }
    }

    #[test]
    fn the_state_follows_from_what_is_desired_offered_and_answered() {
        let cases = [
            (None, None, None, ConfigState::Unassigned),
            (
                None,
                Some(OTHER),
                Some((OTHER, ApplyState::Applied)),
                ConfigState::Unassigned,
            ),
            (Some(DESIRED), None, None, ConfigState::Pending),
            (
                Some(DESIRED),
                Some(OTHER),
                Some((OTHER, ApplyState::Failed)),
                ConfigState::Pending,
            ),
            (Some(DESIRED), Some(DESIRED), None, ConfigState::Offered),
            (
                Some(DESIRED),
                Some(DESIRED),
                Some((OTHER, ApplyState::Applied)),
                ConfigState::Offered,
            ),
            (
                Some(DESIRED),
                Some(DESIRED),
                Some((DESIRED, ApplyState::Applying)),
                ConfigState::Applying,
            ),
            (
                Some(DESIRED),
                Some(DESIRED),
                Some((DESIRED, ApplyState::Unset)),
                ConfigState::Applying,
            ),
            (
                Some(DESIRED),
                None,
                Some((DESIRED, ApplyState::Applied)),
                ConfigState::Applied,
            ),
            (
                Some(DESIRED),
                Some(DESIRED),
                Some((DESIRED, ApplyState::Failed)),
                ConfigState::Failed,
            ),
        ];
        for (desired, offered, answer, expected) in cases {
            let answer = answer.map(|(hash, state)| answered(hash, state));
            let state = config_state(desired.as_ref(), offered.as_ref(), answer.as_ref());
            assert_eq!(state, expected, "{desired:?} {offered:?} {answer:?}");
        }
        for state in ConfigState::ALL {
            assert_eq!(ConfigState::parse(state.as_str()), Some(state));
        }
    }
}
