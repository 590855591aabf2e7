//! The command line of `opamp-server`.

use std::io::{BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use runtime::config::{ConfigError, Environment};
use runtime::logging::error_chain;
use runtime::signals::StopSignals;
use runtime::{Clock as _, SystemClock};
use tracing::{error, info};

use crate::admin_token::TokenPlace;
use crate::check_configs::{self, Verdict};
use crate::config::{DatabasePlace, Settings};
use crate::lifecycle::Server;
use crate::{backup, options, restore};

/// The name of this program in logs and messages.
pub const PROGRAM: &str = "opamp-server";
/// The exit status of a program that was told something it cannot do.
const EXIT_USAGE: u8 = 2;

/// OpAMP control plane: connects telemetry agents, shows them, and gives them their configuration.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_long_help = GUIDE, max_term_width = 110)]
pub struct Cli {
    /// Configuration file; without one the server listens on this machine alone and keeps everything in ./data
    #[arg(
        short,
        long,
        env = "OPAMP_SERVER_CONFIG",
        value_name = "FILE",
        global = true
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C (what happens without a command)
    Run,
    /// Check a configuration file, certificates included, and show what it amounts to; nothing is started
    CheckConfig {
        /// The file to check
        file: PathBuf,
    },
    /// Check a directory of configs as the Git source checks a commit of it, for the pipeline of a config repository; no
    /// server is asked
    CheckConfigs(check_configs::Arguments),
    /// Save the database into one file; the server may run meanwhile
    Backup {
        /// The file to make, for its user alone; it is there whole or not at all
        file: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Put a backup in the place of the database, with the whole fleet on hold; the server must be stopped
    Restore {
        /// A file that `backup` made, of this database or of another engine's
        file: PathBuf,
        /// Restore it although its audit chain does not verify
        #[arg(long)]
        force: bool,
    },
}

const GUIDE: &str = "\
Try it:
  opamp-server                                  listen on 127.0.0.1:4320 (agents) and 127.0.0.1:8080 (admin)
  curl -s localhost:8080/ready                  is it up?
  TOKEN=$(cat data/admin-token)                 the administrator's token, made at the first start
  curl -s -H \"Authorization: Bearer $TOKEN\" localhost:8080/api/v1/agents

Agents connect to ws://HOST:4320/v1/opamp, http://HOST:4320/v1/opamp or grpc://HOST:4320; with TLS wss, https, grpcs.
To let agents on other machines in, write a file and name it with --config:
  server: { listen: { grpc: 0.0.0.0:4320 } }    agents then need a token: POST /api/v1/tokens
  agents: { auth: token }
Every key, with its default: docs/config.sample.yaml. Environment variables stand in it as ${NAME} or ${NAME:-default}.

Configs in Git (docs/git.md); in the pipeline of their repository, before they are merged (docs/check-configs.md):
  opamp-server check-configs .                                      exit status 1 for what the server would refuse

Backups (docs/server.md has the whole of it):
  opamp-server --config config.yaml backup /backups/opamp-1.db      while the server runs
  opamp-server --config config.yaml restore /backups/opamp-1.db     while it is stopped; nothing is offered until the
                                                                    hold is lifted (docs/server.md says how)

Signals: SIGTERM and SIGINT stop it gracefully (agents are told to come back later, reports are committed).
Logs go to stderr, one JSON object a line, or text on a terminal.
Exit status: 0 stopped in good order, 1 could not start or failed, 2 wrong configuration or command line.";

impl Cli {
    /// Does what the command line asks for.
    pub fn run(self) -> ExitCode {
        let environment = Environment::of_process();
        match self.command {
            Some(Command::CheckConfig { file }) => {
                check_config(Settings::load(&file, &environment), &file)
            }
            None | Some(Command::Run) => settings(self.config.as_deref(), &environment)
                .map_or_else(|error| refuse(&error), serve),
            Some(Command::CheckConfigs(arguments)) => {
                let settings = self.config.map(|file| Settings::load(&file, &environment));
                settings.transpose().map_or_else(
                    |error| refuse(&error),
                    |settings| check_configs(&arguments, settings),
                )
            }
            Some(Command::Backup { file, force }) => settings(self.config.as_deref(), &environment)
                .map_or_else(
                    |error| refuse(&error),
                    |settings| work(backup(&settings, &file, force)),
                ),
            Some(Command::Restore { file, force }) => {
                settings(self.config.as_deref(), &environment).map_or_else(
                    |error| refuse(&error),
                    |settings| work(restore(&settings, &file, force)),
                )
            }
        }
    }
}

fn settings(file: Option<&Path>, environment: &Environment) -> Result<Settings, ConfigError> {
    match file {
        Some(file) => Settings::load(file, environment),
        None => Settings::embedded(),
    }
}

/// Runs a command that ends by itself, or with a signal: then nothing of it stays.
#[expect(clippy::print_stdout, reason = "the command's answer")]
fn work(command: impl Future<Output = anyhow::Result<String>>) -> ExitCode {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = executor.map_err(anyhow::Error::from).and_then(|executor| {
        executor.block_on(async {
            let mut signals = StopSignals::listen()?;
            tokio::select! {
                biased;
                done = command => done,
                signal = signals.recv() => Err(anyhow::anyhow!("broken off by {signal}")),
            }
        })
    });
    match done {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{PROGRAM}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn backup(settings: &Settings, file: &Path, force: bool) -> anyhow::Result<String> {
    let saved = backup::save(&settings.database, file, force, SystemClock.now()).await?;
    let mut answer = format!(
        "saved {} ({} bytes, SHA-256 {})\naudit chain: {} entries, the last is {}",
        file.display(),
        saved.bytes,
        saved.sha256,
        saved.audit_entries,
        saved.audit_head
    );
    if let Some(broken) = saved.audit_broken {
        answer.push_str(&format!("\nwarning: the audit chain is broken at {broken}"));
    }
    Ok(answer)
}

async fn restore(settings: &Settings, file: &Path, force: bool) -> anyhow::Result<String> {
    let outcome = restore::restore(settings, file, force, SystemClock.now()).await?;
    let mut answer = format!(
        "restored {}; audit chain: {} entries, the last is {}",
        file.display(),
        outcome.audit_entries,
        outcome.audit_head
    );
    if let Some(replaced) = outcome.replaced {
        answer.push_str(&format!(
            "\nthe database that was there is now {}",
            replaced.display()
        ));
    }
    answer.push_str(
        "\nthe whole fleet is on hold: start the server, look at what is released, then lift it with\n  \
         PUT /api/v1/fleet/hold {\"scope\": \"fleet\", \"held\": false}",
    );
    if settings.bootstrap_token.is_none() && outcome.admin_token_fits != Some(true) {
        answer.push_str(
            "\nthe administrator's token of this database is not in data_dir/admin-token: put that file of its server there, \
             or set admin.bootstrap_token",
        );
    }
    Ok(answer)
}

fn refuse(error: &ConfigError) -> ExitCode {
    eprintln!("{PROGRAM}: {}", error_chain(error));
    ExitCode::from(EXIT_USAGE)
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn check_config(settings: Result<Settings, ConfigError>, file: &std::path::Path) -> ExitCode {
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    println!("{} is good", file.display());
    println!("{}", summary(&settings));
    for warning in &settings.warnings {
        println!("warning: {warning}");
    }
    ExitCode::SUCCESS
}

/// Checks with the limits of a server's configuration, or with the default ones.
fn check_configs(arguments: &check_configs::Arguments, settings: Option<Settings>) -> ExitCode {
    let limits = settings.as_ref().map(options::engine_limits);
    let mut out = BufWriter::new(std::io::stdout().lock());
    match check_configs::run(arguments, &limits.unwrap_or_default(), &mut out) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{PROGRAM}: {}", error_chain(&error));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// What the settings amount to, without secrets.
fn summary(settings: &Settings) -> String {
    let tls = |tls: bool| if tls { "TLS 1.3" } else { "no TLS" };
    let database = match &settings.database.place {
        DatabasePlace::Sqlite(path) => format!("SQLite in {}", path.display()),
        DatabasePlace::Postgres(_) => "PostgreSQL".to_owned(),
    };
    format!(
        "agent plane: {} ({}, agents.auth {:?})\nadmin plane: {} ({})\ndatabase:    {database}\ndata_dir:    {}",
        settings.agent_address,
        tls(settings.agent_tls.is_some()),
        settings.auth,
        settings.admin_address,
        tls(settings.admin_tls.is_some()),
        settings.data_dir.display(),
    )
}

fn serve(settings: Settings) -> ExitCode {
    if let Err(error) = runtime::logging::init(PROGRAM, &settings.log) {
        eprintln!("{PROGRAM}: {}", error_chain(&error));
        return ExitCode::from(EXIT_USAGE);
    }
    let executor = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(executor) => executor,
        Err(source) => {
            error!(event = "server_failed", error = %source, "no threads to run on");
            return ExitCode::FAILURE;
        }
    };
    match executor.block_on(run(settings)) {
        Ok(()) => {
            info!(
                event = "server_stopped",
                success = true,
                "stopped in good order"
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!(event = "server_failed", error = %format!("{error:#}"), success = false, "cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    // Listened to from the start, so that a stop during a long migration is not lost.
    let mut signals = StopSignals::listen()?;
    let server = Server::start(settings, Arc::new(SystemClock)).await?;
    greet(&server);
    let mut named = "";
    let stop = async { named = signals.recv().await };
    let outcome = server.run(async {
        stop.await;
        info!(
            event = "server_stopping",
            "told to stop; a second signal ends it at once"
        );
    });
    Ok(outcome.await?)
}

/// On a terminal: where everything is, and the token that opens it.
fn greet(server: &Server) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    eprintln!("\n  agents connect to   {}", server.public_url());
    eprintln!("  REST API            {}", server.admin_url());
    if let TokenPlace::File(file) = server.token_place() {
        let token = std::fs::read_to_string(file).unwrap_or_default();
        eprintln!(
            "  admin token         {} (in {})\n",
            token.trim(),
            file.display()
        );
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
        for part in [
            "check-config",
            "check-configs .",
            "--config",
            "data/admin-token",
            "docs/config.sample.yaml",
            "SIGTERM",
            "backup",
            "restore",
        ] {
            assert!(help.contains(part), "help lacks {part}:\n{help}");
        }
    }

    #[test]
    fn a_summary_shows_no_secret() {
        let text = "database: { type: postgresql, dsn: 'postgres://u:hunter2@h/d' }\nadmin: { bootstrap_token: hunter2hunter2hunter2 }\n";
        let settings =
            Settings::parse("c.yaml", text, &Environment::default()).expect("a good file");
        assert!(!summary(&settings).contains("hunter2"));
    }
}
