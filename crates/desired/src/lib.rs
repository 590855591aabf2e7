//! What each agent should run, and why: from released revisions to the bytes that are offered.
//!
//! Everything is a function of what is given: no I/O, no clock, no fleet. The caller keeps what
//! [`materialise`] returns under its [`inputs_key`] and never computes it again for the same
//! inputs, so that a new server version changes no agent's desired state.
//!
//! Left out: which revisions apply to an agent (`domain` says it), and storing any of it.
//!
//! Start at [`Renderer::combine`], whose answer has all that is asked about an agent's layers: content, findings, and why.
//! [`check_body`], [`check_template_within`] and [`read_variables_within`] are for one revision.

mod body;
mod check;
mod compare;
mod display;
mod explain;
mod hash;
mod known;
mod layer;
mod materialise;
mod needs;
mod provenance;
mod renderer;
mod running;
mod secrets;
mod template;
#[cfg(test)]
mod testing;
mod values;
mod variables;
mod writing;

pub use body::{BodyError, check_body, check_body_within, check_template_within};
pub use check::Finding;
pub use compare::difference_of;
pub use display::{redacted, redacted_pair, redacted_variables, redacted_variables_pair};
pub use explain::{Explained, Explanation};
pub use hash::content_hash;
pub use known::{ReadBuildError, Released};
pub use layer::{InputsKey, Layer, inputs_key};
pub use otelcol::{Code, Severity};

/// What differs between two configurations, in the Collector's own terms; and between what should run and what does.
pub mod difference {
    pub use otelcol::{
        ComponentChange, Difference, Drift, Drifted, How, PipelineChange, Rewired, Settings, Wiring,
    };
}
pub use materialise::{Content, MaterialiseError, materialise, materialise_within};
pub use needs::{Build, Needs};
pub use provenance::{LeafSource, Overridden, Provenance, Source};
pub use renderer::{Combined, Renderer};
pub use running::{ImportError, drift_of, importable};
pub use secrets::{NoValue, filled, references};
pub use template::TemplateError;
pub use values::{AgentFacts, Values};
pub use variables::{VariableSet, read_variables_within};
#[cfg(feature = "testing")]
pub use writing::Otherwise;

/// The name of the one file that a collector agent is sent.
pub const CONFIG_FILE: &str = "config.yaml";
/// The MIME type of that file.
pub const CONTENT_TYPE: &str = "text/yaml";

/// How large configurations may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The body of one revision.
    pub body_bytes: usize,
    /// What the layers of an agent merge to.
    pub merged_bytes: usize,
}

impl Default for Limits {
    /// 1 MiB a body, 4 MiB merged.
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            merged_bytes: 4 << 20,
        }
    }
}
