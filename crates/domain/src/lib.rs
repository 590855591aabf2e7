//! The control plane's own words: identifiers, labels, selectors, revisions, and the decisions made over them.
//!
//! Everything here is pure: no I/O, no clock, no async, no protobuf. Times and randomness are handed in.
//! The protocol's words (health trees, statuses, capabilities) are re-exported as [`model`].
//!
//! Start at [`released::ReleasedSet`] (what an agent should run) and [`offer::offer_decision`] (whether to say so).

pub mod audit;
pub mod config;
pub mod event;
pub mod hold;
pub mod ids;
pub mod labels;
pub mod offer;
pub mod released;
pub mod rollout;
pub mod selector;
pub mod template;

pub use opamp_model as model;

pub use audit::{AuditEntry, AuditOutcome};
pub use config::{
    BaselineRecord, ConfigRecord, Exception, ExceptionReason, Kind, Revision, SourceOwner,
};
pub use event::{Event, EventKind, NewEvent};
pub use hold::{Hold, HoldScope};
pub use ids::{
    Actor, AgentId, ConfigName, ContentHash, Epoch, EventId, InvalidName, Namespace, NodeName,
    ReportedHash, RevisionNumber, RolloutId, TokenId,
};
pub use labels::{Labels, LabelsBySource, labels_of};
pub use offer::{
    Answered, Approval, ConfigState, OfferDecision, OfferQuestion, config_state, offer_decision,
};
pub use released::{ReleasedConfig, ReleasedSet, released};
pub use rollout::{InvalidTransition, Rollout, RolloutState, Strategy};
pub use selector::{Operator, Requirement, Selector, SelectorError};
pub use template::{Names, Override, SetBy, Template, Uses, Variables};
