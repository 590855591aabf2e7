//! Checks of this repository that `cargo` has no word for: crate edges, and the commands that its documents show.

#![expect(clippy::print_stdout, reason = "a program for people and CI logs")]

mod conformance;
mod doc_commands;
mod edges;
mod markdown;
mod shell;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Checks of this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compares the crates' dependencies on each other with the allowed edges.
    CheckEdges,
    /// Makes docs/conformance.md: which test shows which requirement of the protocol.
    Conformance {
        /// Only say whether the page is current and every id has its test or its reason.
        #[arg(long)]
        check: bool,
    },
    /// Runs the commands that README.md and pages of docs/ show (quickstart, plans, templates, secrets, delta, http, import, git, check-configs), and
    /// compares what they print.
    DocCommands {
        /// The files whose ```sh blocks are run, in this order.
        #[arg(default_values = ["README.md", "docs/quickstart.md", "docs/plans.md", "docs/templates.md", "docs/secrets.md", "docs/delta.md", "docs/http.md", "docs/import.md", "docs/git.md", "docs/check-configs.md"])]
        files: Vec<PathBuf>,
        /// Only list the blocks and what is expected of them.
        #[arg(long)]
        list: bool,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::CheckEdges => {
            let count = edges::check(&root())?;
            println!("{count} edges between crates, all of them allowed");
            Ok(())
        }
        Command::Conformance { check } => {
            let counts = conformance::run(&root(), check)?;
            println!(
                "{} of {} requirements are shown by tests, {} of them over sockets; the others say why not",
                counts.with_test, counts.all, counts.over_sockets
            );
            Ok(())
        }
        Command::DocCommands {
            files, list: true, ..
        } => doc_commands::list(&root(), &files),
        Command::DocCommands { files, .. } => doc_commands::run(&root(), &files),
    }
}

/// The repository's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the root").to_path_buf()
}
