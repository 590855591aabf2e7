//! The command line of `opamp-fleetsim`.

mod attack;
mod bench;
mod echo;
mod growth;
mod progress;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use runtime::logging::{self, LogConfig, LogFormat};

/// The name of this program in messages.
const PROGRAM: &str = "opamp-fleetsim";
/// The exit status of a program that was told something it cannot do.
const EXIT_USAGE: u8 = 2;

/// Thousands of simulated OpAMP agents in one process: for demos, load and failure tests.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_long_help = GUIDE, max_term_width = 110)]
pub struct Cli {
    /// Least severe level that is logged: error, warn, info, debug or trace, or directives like warn,fleetsim=debug
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn")]
    log_level: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a fleet until it is stopped, and print its result as JSON
    Run(Box<run::RunArgs>),
    /// Run the bare echo server that benchmarks compare with
    Echo(echo::EchoArgs),
    /// Measure a server exactly as the budgets are defined
    Bench(Box<bench::BenchArgs>),
    /// Attack a server that has a fleet, and measure what that costs
    Attack(Box<attack::AttackArgs>),
    /// Measure how cost grows: with the fleet, with what is stored, with configs, with time
    Growth(Box<growth::GrowthArgs>),
}

const GUIDE: &str = "\
Try it (a server on its defaults listens on 127.0.0.1:4320):
  opamp-fleetsim run --agents 50 --label env=prod:70,staging:30
  opamp-fleetsim run --endpoint http://127.0.0.1:4320/v1/opamp --agents 20 --heartbeat 5s
  opamp-fleetsim run --agents 1000 --ramp storm --behavior 'reject=5%:bad pipeline' --behavior flap=2%:10s
  opamp-fleetsim run --agents 15000 --ramp 3000 --server-pid $(pgrep opamp-server) --duration 60s --result out.json

While it runs it reads commands from standard input, one a line: storm, flip 10%, stats, stop; `help` lists them.
Answers and the result go to standard output as JSON, progress to standard error.";

impl Cli {
    /// Does what the command line asks for.
    #[must_use]
    pub fn main(self) -> ExitCode {
        let logs = LogConfig {
            level: self.log_level,
            format: LogFormat::Auto,
        };
        if let Err(error) = logging::init(PROGRAM, &logs) {
            eprintln!("{PROGRAM}: {}", logging::error_chain(&error));
            return ExitCode::from(EXIT_USAGE);
        }
        let done = match self.command {
            Command::Run(args) => args.run(),
            Command::Echo(args) => args.run(),
            Command::Bench(args) => args.run(),
            Command::Attack(args) => args.run(),
            Command::Growth(args) => args.run(),
        };
        match done {
            Ok(code) => code,
            Err(error) => {
                eprintln!("{PROGRAM}: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

/// A runtime with as many threads as asked for; the default leaves half of two cores to the server.
fn threads(count: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(count.max(1)).enable_all().build()?)
}

/// Writes one line to standard output, where a closed pipe is no error worth a word.
fn print_line(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("standard output is closed");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_teaches_how_to_begin() {
        let help = Cli::command().render_long_help().to_string();
        for part in ["--behavior", "storm", "standard input", "127.0.0.1:4320"] {
            assert!(help.contains(part), "help lacks {part}:\n{help}");
        }
    }
}
