//! The engine on a real database, driven step by step with a clock that stands still unless it is moved.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod actions;
mod attachments;
mod clock;
mod deltas;
mod dry_runs;
mod harness;
mod limits;
mod offers;
mod repairs;
mod restarts;
mod source_check;
