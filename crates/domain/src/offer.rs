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
