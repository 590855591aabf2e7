//! The Git config source against real repositories: in directories, over SSH, over HTTP.
//!
//! Without the `git` program, or without `sshd` for the cases over SSH, a case says that it is skipped; with
//! `REQUIRE_ALL=1` it fails.

mod directory;
mod examples;
mod http;
mod limits;
mod mirror;
mod plain_directory;
mod proxy;
mod ssh;
