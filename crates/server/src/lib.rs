//! The control plane as one program: configuration, wiring and lifecycle.
//!
//! It decides nothing about agents: what it starts lives in `engine`, `gateway` and `api`. Start at
//! [`config::Settings`] for what it is told, and at [`Server::start`] for what it then does.

mod admin_plane;
mod admin_threads;
mod admin_token;
pub mod backup;
mod check_configs;
pub mod cli;
pub mod config;
pub mod data_dir;
mod digest;
mod draft;
mod error;
mod first_head;
mod lifecycle;
mod loops;
pub mod metrics;
mod options;
pub mod restore;
mod source;

pub use admin_token::TokenPlace;
pub use error::{StartError, StopError};
pub use lifecycle::{NewRenderer, Server};
