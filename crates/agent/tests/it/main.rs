//! The agent as a program: its real binary, with the stand-in collector or a real one, against a server of the tests' own.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod applies;
mod deltas;
mod dry_runs;
mod fails;
mod harness;
mod offline;
mod real;
mod reports;
mod server;
mod survives;
