//! `opamp-fleetsim bench`: the budgets measured, and the table printed.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use runtime::signals::StopSignals;

use super::{print_line, threads};
use crate::bench::{self, BenchOptions, Figure, Mode};

/// Starts a server, connects 15,000 agents, measures, and does it again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Both programs must be release builds. A run takes about five minutes, so the default (five runs, each mode)\n\
takes the better part of an hour; leave the machine alone meanwhile. Raw results stay in the directory.\n\
Exit status: 0 when every run counts, whether or not budgets were met; 1 otherwise.")]
pub(super) struct BenchArgs {
    /// The server's program [default: opamp-server beside this program]
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// How many agents [default: 15000, with --smoke 200]
    #[arg(short = 'n', long, value_name = "N")]
    agents: Option<usize>,
    /// Runs of each mode [default: 5, with --smoke 1]
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// With TLS or without; may be repeated [default: both]
    #[arg(long = "mode", value_enum)]
    modes: Vec<Mode>,
    /// Only these figures; may be repeated [default: all]
    #[arg(long = "figure", value_enum)]
    figures: Vec<Figure>,
    /// Try the procedure: any build, any size, a few seconds
    #[arg(long)]
    smoke: bool,
    /// Leave the bare echo server out
    #[arg(long)]
    no_echo: bool,
    /// Where raw results and the server's data go; not a file system in memory
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    directory: PathBuf,
    /// A further file for the table in Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Threads of the load
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
}

impl BenchArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let options = self.options()?;
        threads(self.threads)?.block_on(async {
            let mut signals = StopSignals::listen()?;
            let report = tokio::select! {
                biased;
                // Dropping the run kills the servers that it started.
                signal = signals.recv() => anyhow::bail!("stopped by {signal}"),
                report = bench::run(&options, |text| eprintln!("{text}")) => report?,
            };
            let markdown = report.markdown();
            if let Some(path) = &self.markdown {
                let written = std::fs::write(path, &markdown);
                written.with_context(|| format!("writing {}", path.display()))?;
            }
            print_line(&format!(
                "{}\n{}\n{}",
                report.command,
                report.machine,
                report.table()
            ));
            for problem in report.problems() {
                print_line(&format!("problem: {problem}"));
            }
            print_line(&format!(
                "raw results and performance.md: {}",
                options.directory.display()
            ));
            Ok(match report.problems().is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        })
    }

    fn options(&self) -> anyhow::Result<BenchOptions> {
        let own = std::env::current_exe().context("finding this program")?;
        let server = match &self.server {
            Some(server) => server.clone(),
            None => own.with_file_name("opamp-server"),
        };
        let mut options = match self.smoke {
            true => BenchOptions::smoke(server, self.directory.clone()),
            false => BenchOptions::full(server),
        };
        options.directory.clone_from(&self.directory);
        options.agents = self.agents.unwrap_or(options.agents);
        options.runs = self.runs.unwrap_or(options.runs);
        options.echo = (!self.no_echo).then_some(own);
        if !self.modes.is_empty() {
            options.modes.clone_from(&self.modes);
        }
        if !self.figures.is_empty() {
            options.figures.clone_from(&self.figures);
        }
        options.command = std::env::args().collect::<Vec<_>>().join(" ");
        Ok(options)
    }
}
