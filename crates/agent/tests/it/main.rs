//! The agent as a program: its real binary, with the stand-in collector or a real one, against a server of the tests' own.

mod applies;
mod fails;
mod harness;
mod offline;
mod real;
mod reports;
mod server;
mod survives;
