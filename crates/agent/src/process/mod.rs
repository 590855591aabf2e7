//! The collector's process: started in a group of its own, watched by pidfd, stopped with patience and then with force,
//! and taken over from a predecessor that was killed.

mod adopt;
mod launch;
mod proc;
mod running;
mod tail;

pub use adopt::{Predecessor, ProcessRecord, find_predecessor, kill_strays};
pub use launch::{Launch, LaunchError, find_program, stamp_of};
pub use running::{Exit, Running};
pub use tail::LogTail;

/// The variable that marks every process of one storage directory's agent, so that strays are found.
pub const STORAGE_VARIABLE: &str = "OPAMP_AGENT_STORAGE_ID";
