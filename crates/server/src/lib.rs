//! The control plane as one program: configuration, wiring and lifecycle.
//!
//! It decides nothing about agents: what it starts lives in `engine`, `gateway` and `api`. Start at
//! [`config::Settings`].

pub mod cli;
pub mod config;
pub mod data_dir;
pub mod metrics;
