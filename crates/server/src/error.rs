//! Why a server could not start or did not stop in good order, by the key of the configuration that matters.

use std::io;
use std::net::SocketAddr;

use gateway::BindError;
use metrics_exporter_prometheus::BuildError;
use runtime::TaskError;
use store::StoreError;
use thiserror::Error;

use crate::data_dir::DataDirError;

/// Why a server could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A restore that was decided could not be ended.
    #[error("database: a restore was broken off and cannot be ended")]
    Restore(#[source] io::Error),
    /// The database cannot be used.
    #[error("database: the server cannot start without it")]
    Database(#[from] store::OpenError),
    /// The fleet could not be read from the database.
    #[error("database: the server cannot start without what is stored")]
    Engine(#[from] engine::OpenError),
    /// The administrator's token could not be stored.
    #[error("database: the administrator's token could not be stored")]
    AdminToken(#[source] StoreError),
    /// The agent plane's address cannot be had.
    #[error("server.listen.grpc{}", hint(&.0.source))]
    AgentAddress(#[from] BindError),
    /// The admin plane's address cannot be had.
    #[error("server.listen.http{}: listening on {address}", hint(.source))]
    AdminAddress {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The config source's directory cannot be used.
    #[error("config_source")]
    ConfigSource(#[source] backends::git::GitError),
    /// Configs could not be taken from a config source that is configured no more.
    #[error("database: the server cannot start without it")]
    Sources(#[source] StoreError),
    /// The system has no more threads.
    #[error("the system gives no threads for the admin plane")]
    Threads(#[source] io::Error),
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Randomness,
    /// The metrics recorder was refused.
    #[error("setting up metrics")]
    Metrics(#[source] BuildError),
}

/// What is to be done about an address that cannot be had.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            " is in use by another program; stop that, or write another port under this key"
        }
        io::ErrorKind::PermissionDenied => {
            " may not be used by this user; write a port above 1023 under this key"
        }
        io::ErrorKind::AddrNotAvailable => {
            " is no address of this machine; write 0.0.0.0 for all of them"
        }
        _ => "",
    }
}

/// Why a server did not run or stop in good order.
#[derive(Debug, Error)]
pub enum StopError {
    /// A part ended although it should not have, or did not end in time.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// What was only in memory could not be written.
    #[error("database: what was only in memory could not be written")]
    Drain(#[source] StoreError),
}
