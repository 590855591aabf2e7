//! `opamp-fleetsim`: see [`fleetsim::cli`].

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    fleetsim::cli::Cli::parse().main()
}
