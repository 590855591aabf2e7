//! A simulated fleet of OpAMP agents in one process, for demos, load and failure tests.
//!
//! Start with [`Options::new`] and [`Fleet::start`]. The agents are lean: they follow the protocol's
//! rules, and know nothing else of a collector. For a client to build upon see the `opamp` crate.

pub mod behavior;
pub mod capacity;
pub mod endpoint;
pub mod labels;
pub mod options;
pub mod process;
mod profile;
pub mod samples;
mod session;
pub mod units;
mod wire;

pub use options::{Options, Ramp, Redial, Trust};
pub use session::ConfigStatus;
