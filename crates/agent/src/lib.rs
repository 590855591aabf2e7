//! The agent daemon: runs a collector on this machine and keeps it as its server wants it.
//!
//! Data comes first: the collector is started or taken over before the server is dialed, and runs on without one. Start
//! at [`run`] for the wiring, [`supervisor`] for what happens to a configuration, [`process`] for what happens to the
//! collector, [`link`] for the conversation with the server. Packages, certificates and signed offers are left out so
//! far.

#[cfg(not(target_os = "linux"))]
compile_error!("the agent watches and adopts processes by pidfd and /proc, so far on Linux alone");

pub mod check;
pub mod collector;
pub mod delta;
pub mod description;
pub mod dry_run;
pub mod health;
pub mod identity;
pub mod ledger;
pub mod link;
pub mod process;
pub mod report;
pub mod retry;
pub mod run;
pub mod settings;
pub mod site;
pub mod storage;
pub mod supervisor;
