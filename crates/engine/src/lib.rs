//! What the control plane does: use cases, reconcilers and the registry of live agents.
//!
//! It speaks reports and offers, never protobuf or HTTP. Agent-plane calls are synchronous and touch memory only;
//! everything that takes time or happens by itself is a step that is driven from outside ([`Engine::commit_reports`],
//! [`Engine::flush_liveness`], [`Engine::reconcile`], [`Engine::expire`], [`Engine::sweep`]), with the time handed in,
//! so that a simulation owns every step.
//!
//! Start at [`Engine::exchange`] for what one message of an agent does, and at [`Change`] for how what agents should
//! run is changed.

pub mod admin;
mod agent;
mod aside;
mod attach;
mod builds;
mod change;
mod clock;
mod content;
mod delta;
mod desire;
mod drive;
mod dry_run;
#[allow(clippy::module_inception)]
mod engine;
mod events;
mod exchange;
mod mailbox;
mod options;
mod outgoing;
mod pending;
mod prepared;
mod preview;
mod principal;
mod refused;
mod registry;
mod repair;
mod vault;
mod world;

pub use agent::{Attachment, Command, Transport};
pub use attach::{Attach, AttachRequest, Contest, DisconnectReason, Refusal};
pub use change::Change;
pub use content::DesiredContent;
pub use delta::{Delta, EncodeDelta};
pub use desire::DesireError;
pub use desired::Limits as ContentLimits;
pub use desired::{
    Build, Code, Finding, Layer, MaterialiseError, ReadBuildError, Released, Renderer, Severity,
    difference,
};
pub use domain;
pub use dry_run::{
    Askable, AskedContent, DryRun, DryRunCounts, DryRunOrder, MOST_ASKED, MOST_ASKED_OF_A_GROUP,
    Verdict,
};
pub use engine::{AgentStanding, Engine, NotDelivered, OpenError};
pub use events::register_metrics;
pub use exchange::{ExchangeError, Heard};
pub use mailbox::{CloseReason, Mailbox, Probe, Wakes};
pub use options::{AgentsAuth, ApprovalMode, EngineLimits, EngineOptions};
pub use outgoing::Outgoing;
pub use preview::{Apart, CheckErrors, Fate, Found, Group, Presumed};
pub use principal::{AuthMethod, AuthenticationError, Principal};
pub use store::refusals::RefusalRecord as KnownRefusal;
pub use trust::{HmacSha256, SealingKey, Secret, hex, parse_hex, sha256};
