//! Collector configuration: read with positions, merged as the Collector merges, written again.
//!
//! [`Document::parse`] reads YAML with the answers that the Collector gives (Go's yaml.v3 and its
//! `confmap`), refuses what it refuses, and says where and what to do. It never follows a text
//! beyond its limits, so it is fit for texts that strangers wrote. [`merge`] joins several
//! documents as several `--config` are joined and remembers where every value came from.
//! [`Service::of`] is what it makes of components and pipelines, [`check`] what is wrong with it.
//! [`known`] has what released builds have. [`Difference`] compares two as an operator would, [`Drift`] what runs with what should. [`redact`] takes the secrets out of a text for display. [`Value`] is what remains for comparing.
//!
//! Left out: `${env:…}` and its kin stay as they are, since only the Collector can resolve them;
//! comments and anchors do not survive a merge.

mod base64;
mod check;
mod component;
mod difference;
mod document;
mod drift;
mod emit;
mod error;
mod extensions;
mod flat_keys;
mod inventory;
pub mod known;
mod map_builder;
mod merge;
mod obvious;
mod parse;
mod redact;
mod references;
mod resolve;
mod scalar;
mod secrets;
mod sections;
mod service;
mod spelling;
mod strict;
mod syntax;
mod tree;
mod value;

pub use check::{Code, Finding, MOST_FINDINGS, Severity, Surroundings, check};
pub use component::{ComponentId, IdError, Kind, PipelineId, Signal};
pub use difference::{ComponentChange, Difference, PipelineChange, Rewired, Settings, Wiring};
pub use document::{Document, Limits};
pub use drift::{Drift, Drifted, How};

/// Whether a text stands in place of a secret that a Collector, a supervisor or this server did not show.
pub fn is_mask(text: &str) -> bool {
    drift::is_mask(text)
}

pub use error::{Fault, ParseError, Position};
pub use extensions::{Extension, HealthCheck};
pub use inventory::{Inventory, Support};
pub use merge::{Merged, Overridden, merge};
pub use redact::{redact, redact_pair, redact_variables, redact_variables_pair};
pub use references::{
    SecretFault, SecretFaultKind, SecretReference, fill_secrets, secret_references,
};
pub use service::{Ends, Pipeline, Place, Service, ServiceFault, Unreadable, Used};
pub use tree::{Content, Entry, Key, Map, Node, Origin, Path, Scalar, Step, Style, Typed};
pub use value::Value;
