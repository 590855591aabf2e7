//! The words of OpAMP without their encoding: identities, capabilities, statuses and the
//! small state that a server keeps for each agent's session.
//!
//! The crate leaves out everything that touches bytes of the protocol (that is `opamp`), a clock
//! or a network, and depends on nothing. Start at [`Changes`] for what an agent can report and at
//! [`WireState`] for what a server remembers between two messages.

mod capabilities;
mod changes;
mod components;
mod config;
mod custom;
mod description;
mod dry_run;
mod health;
mod packages;
mod settings;
mod uid;
mod wire;
mod wire_uid;

pub use capabilities::{AgentCapabilities, ServerCapabilities};
pub use changes::{Changes, HealthReport};
pub use components::{AvailableComponents, ComponentDetails};
pub use config::{ApplyState, ConfigFile, ConfigMap, RemoteConfigStatus};
pub use custom::{CUSTOM_CAPABILITY_BYTES, CustomCapabilities, CustomMessage};
pub use description::{AgentDescription, Attribute, Value};
pub use dry_run::{
    DRY_RUN, DRY_RUN_CONFIG_BYTES, DryRunAnswer, DryRunId, DryRunOutcome, DryRunQuestion,
    dry_run_bytes,
};
pub use health::{Health, HealthTimes, InvalidHealthTimes};
pub use packages::{DownloadDetails, PackageState, PackageStatus, PackageStatuses};
pub use settings::ConnectionSettingsStatus;
pub use uid::{InstanceUid, InvalidInstanceUid};
pub use wire::{Digest, InvalidWireState, WireState};
pub use wire_uid::{WireUid, WireUidBytes};
