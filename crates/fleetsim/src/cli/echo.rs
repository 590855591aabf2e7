//! `opamp-fleetsim echo`: the bare server, as a process of its own.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use runtime::signals::StopSignals;

use super::{print_line, threads};
use crate::{capacity, certificate::Certificate, echo::EchoServer};

/// Connections that the echo server makes room for.
const CONNECTIONS: usize = 15_000;

#[derive(Debug, clap::Args)]
pub(super) struct EchoArgs {
    /// Where to listen; port 0 takes a free one, and the first line printed says which
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Certificate in PEM form, for TLS
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// Its key in PEM form
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

impl EchoArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        capacity::raise_descriptor_limit(CONNECTIONS)?;
        let certificate = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => Some(Certificate::read(cert, key)?),
            _ => None,
        };
        // As many threads as cores, like the server that it is compared with.
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        threads(cores)?.block_on(async {
            let server = EchoServer::start(self.listen, certificate.as_ref())
                .context("the echo server did not start")?;
            print_line(&format!("listening on {}", server.address()));
            StopSignals::listen()?.recv().await;
            Ok(ExitCode::SUCCESS)
        })
    }
}
