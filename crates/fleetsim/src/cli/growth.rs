//! `opamp-fleetsim growth`: how cost grows, and the tables printed.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use runtime::signals::StopSignals;

use super::{print_line, threads};
use crate::bench::{
    Mode,
    growth::{self, GrowthOptions, Part},
};

/// Measures what has no budget: start-up, steady heartbeats, many configs, and fleets from 1,000 to 19,000 agents.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Both programs must be release builds. All parts take about 25 minutes; leave the machine alone meanwhile.\n\
Raw results stay in the directory (growth.json, growth.md).\n\
Exit status: 0 when every part was measured, 1 otherwise.")]
pub(super) struct GrowthArgs {
    /// The server's program [default: opamp-server beside this program]
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Agents of all parts but the curve [default: 15000, with --smoke 100]
    #[arg(short = 'n', long, value_name = "N")]
    agents: Option<usize>,
    /// Size of a fleet of the curve; may be repeated [default: 1000, 5000, 10000, 15000, 19000]
    #[arg(long = "size", value_name = "N")]
    sizes: Vec<usize>,
    /// With TLS or without
    #[arg(long, value_enum, default_value = "plain")]
    mode: Mode,
    /// Only these parts; may be repeated [default: all]
    #[arg(long = "part", value_enum)]
    parts: Vec<Part>,
    /// Try the procedure: any build, any size, a few seconds
    #[arg(long)]
    smoke: bool,
    /// Where raw results and the servers' data go; not a file system in memory
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    directory: PathBuf,
    /// Threads of the load
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
}

impl GrowthArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let options = self.options()?;
        threads(self.threads)?.block_on(async {
            let mut signals = StopSignals::listen()?;
            let report = tokio::select! {
                biased;
                // Dropping the run kills the servers that it started.
                signal = signals.recv() => anyhow::bail!("stopped by {signal}"),
                report = growth::run(&options, |text| eprintln!("{text}")) => report?,
            };
            print_line(&report.markdown());
            Ok(match report.problems.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        })
    }

    fn options(&self) -> anyhow::Result<GrowthOptions> {
        let server = match &self.server {
            Some(server) => server.clone(),
            None => std::env::current_exe()
                .context("finding this program")?
                .with_file_name("opamp-server"),
        };
        let mut options = match self.smoke {
            true => GrowthOptions::smoke(server, self.directory.clone()),
            false => GrowthOptions::full(server),
        };
        options.directory.clone_from(&self.directory);
        options.agents = self.agents.unwrap_or(options.agents);
        options.mode = self.mode;
        if !self.sizes.is_empty() {
            options.sizes.clone_from(&self.sizes);
        }
        if !self.parts.is_empty() {
            options.parts.clone_from(&self.parts);
        }
        options.command = std::env::args().collect::<Vec<_>>().join(" ");
        Ok(options)
    }
}
