//! A simulated fleet of OpAMP agents in one process, for demos, load and failure tests.
//!
//! Start with [`Options::new`] and [`Fleet::start`]. The agents are lean: they follow the protocol's
//! rules, and know nothing else of a collector. For a client to build upon see the `opamp` crate.

mod agent;
pub mod behavior;
pub mod bench;
pub mod capacity;
pub mod certificate;
pub mod cli;
pub mod control;
mod conversation;
pub mod echo;
mod fleet;
pub mod labels;
mod link;
pub mod log;
pub mod options;
mod orders;
pub mod process;
mod profile;
mod results;
pub mod samples;
pub mod script;
mod session;
mod shared;
mod stats;
mod stream;
pub mod units;
mod wire;

pub use fleet::{AgentSnapshot, Fleet, SimAgent, StartError};
pub use opamp::transport::{Endpoint, Transport};
pub use options::{Options, Ramp, Redial, Trust};
pub use results::{ConfigLatency, Cost, FleetResult, Round};
pub use session::ConfigStatus;
pub use stats::Stats;
