//! A simulated fleet of OpAMP agents in one process, for demos, load and failure tests.
//!
//! Start with [`Options::new`] and [`Fleet::start`]. The agents are lean: they follow the protocol's
//! rules, and know nothing else of a collector. For a client to build upon see the `opamp` crate.
//! [`mod@bench`] measures a server with such a fleet, [`mod@echo`] is the bare server it compares with,
//! [`mod@attack`] measures what a server's agents notice while it is attacked.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! let mut options = fleetsim::Options::new("ws://127.0.0.1:4320/v1/opamp".parse()?, 200);
//! options.labels = vec!["env=prod:70,staging:30".parse()?];
//! options.behaviors = vec!["reject=5%:bad pipeline".parse()?];
//! let fleet = fleetsim::Fleet::start(options).await?;
//! assert!(fleet.settled(Duration::from_secs(10)).await);
//! fleet.agent(3).set_healthy(false);
//! for agent in fleet.agents() {
//!     println!("{} runs {}", agent.name, agent.running_hash);
//! }
//! fleet.stop(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```

mod agent;
pub mod attack;
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
mod latency;
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
