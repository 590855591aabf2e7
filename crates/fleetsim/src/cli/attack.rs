//! `opamp-fleetsim attack`: a server attacked, and the table printed.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use runtime::signals::StopSignals;

use super::{print_line, threads};
use crate::attack::{self, Attack, AttackOptions};

/// Starts a server with a fleet that reports each second, and attacks it in every way that has a bound.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Both programs must be release builds, except with --smoke. Everything happens on loopback, and only the server that\n\
this command starts is attacked. Exit status: 0 when every bound was kept, 1 otherwise.")]
pub(super) struct AttackArgs {
    /// The server's program [default: opamp-server beside this program]
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// How many agents [default: 2000, with --smoke 50]
    #[arg(short = 'n', long, value_name = "N")]
    agents: Option<usize>,
    /// Only these attacks; may be repeated [default: all]
    #[arg(long = "attack", value_enum, value_name = "NAME")]
    attacks: Vec<Attack>,
    /// Seconds that each attack goes on
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Try the procedure: any build, small numbers, a minute, no judgment of times
    #[arg(long)]
    smoke: bool,
    /// Where the server's data goes, and attacks.json
    #[arg(long, value_name = "DIR", default_value = "target/attacks")]
    directory: PathBuf,
}

impl AttackArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let options = self.options()?;
        threads(2)?.block_on(async {
            let mut signals = StopSignals::listen()?;
            let report = tokio::select! {
                biased;
                // Dropping the run kills the server that it started.
                signal = signals.recv() => anyhow::bail!("stopped by {signal}"),
                report = attack::run(&options, |text| eprintln!("{text}")) => report?,
            };
            let path = options.directory.join("attacks.json");
            let json = serde_json::to_string_pretty(&report)?;
            std::fs::write(&path, json).with_context(|| format!("writing {}", path.display()))?;
            print_line(&format!(
                "{}\n{}, {}\n{}",
                report.command,
                report.started_at,
                report.machine,
                report.table()
            ));
            for problem in report.problems() {
                print_line(&format!("problem: {problem}"));
            }
            Ok(match report.problems().is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        })
    }

    fn options(&self) -> anyhow::Result<AttackOptions> {
        let own = std::env::current_exe().context("finding this program")?;
        let server = match &self.server {
            Some(server) => server.clone(),
            None => own.with_file_name("opamp-server"),
        };
        let mut options = match self.smoke {
            true => AttackOptions::smoke(server, self.directory.clone()),
            false => AttackOptions::full(server),
        };
        options.directory.clone_from(&self.directory);
        options.agents = self.agents.unwrap_or(options.agents);
        if let Some(seconds) = self.seconds {
            options.duration = Duration::from_secs(seconds);
        }
        if !self.attacks.is_empty() {
            options.attacks.clone_from(&self.attacks);
        }
        options.command = std::env::args().collect::<Vec<_>>().join(" ");
        Ok(options)
    }
}
