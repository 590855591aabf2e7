//! Why a benchmark does not go on.

use std::{io, path::PathBuf, time::Duration};

use crate::{certificate::CertificateError, fleet::StartError};

/// Why a benchmark, or one run of it, does not go on.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A program that was not built for release.
    #[error(
        "{program} is a debug build: its figures mean nothing (use --smoke to try the procedure)"
    )]
    DebugBuild {
        /// Which program.
        program: String,
    },
    /// Fewer agents than the budgets are defined for.
    #[error(
        "the budgets are defined for {needed} agents, not {agents} (use --smoke to try the procedure)"
    )]
    TooFewAgents {
        /// Agents asked for.
        agents: usize,
        /// Agents needed.
        needed: usize,
    },
    /// This machine does not allow so many connections.
    #[error("this machine does not allow a benchmark of this size")]
    Capacity(#[source] crate::capacity::CapacityError),
    /// There is no such program.
    #[error("the server {path} cannot be run")]
    Program {
        /// Where it was looked for.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A program ended, or did not become ready.
    #[error("{program} {what}; the last it said:\n{log}")]
    Child {
        /// Which program.
        program: String,
        /// What became of it.
        what: String,
        /// The end of its standard error.
        log: String,
    },
    /// A file or process of the benchmark.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The API did not answer.
    #[error("{what}")]
    Http {
        /// What was asked.
        what: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The API refused.
    #[error("{what} was answered {status}: {body}")]
    Refused {
        /// What was asked.
        what: String,
        /// The answer's status.
        status: u16,
        /// The answer.
        body: String,
    },
    /// Something did not come about in time.
    #[error("after {limit:?} still not: {what}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// No fleet.
    #[error("starting the fleet")]
    Fleet(#[source] StartError),
    /// No certificate.
    #[error("making a certificate")]
    Certificate(#[source] CertificateError),
}

impl BenchError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
