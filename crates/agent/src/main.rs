//! `opamp-agent`: the daemon's command line.

use std::path::PathBuf;
use std::process::ExitCode;

use agent::run::AgentError;
use agent::settings::Settings;
use agent::storage::lock::LockError;
use clap::{Parser, Subcommand};
use runtime::signals::StopSignals;
use runtime::{CancellationToken, Environment};
use tracing::{error, info};

/// The agent failed while it ran.
const FAILED: u8 = 1;
/// The configuration file is wrong.
const BAD_CONFIGURATION: u8 = 2;
/// Another agent uses the storage directory.
const ALREADY_RUNNING: u8 = 3;

const AFTER_HELP: &str = "\
Examples:
  opamp-agent --config /etc/opamp-agent/opamp.yaml            run (what a service manager calls)
  opamp-agent check-config --config /etc/opamp-agent/opamp.yaml
  opamp-agent sample-config > opamp.yaml                      a file with every key, explained

Signals: SIGTERM and SIGINT stop the agent and, unless collector.on_agent_exit is `leave`, the collector.
After a crash of the agent (kill -9) the collector runs on, and the next agent takes it over.

Exit codes: 0 stopped as asked; 1 failed; 2 bad configuration or arguments; 3 another agent uses storage.directory.";

/// Runs an OpenTelemetry Collector and keeps it as its OpAMP server wants it.
#[derive(Debug, Parser)]
#[command(name = "opamp-agent", version, after_help = AFTER_HELP)]
struct Arguments {
    /// The agent's configuration file
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "OPAMP_AGENT_CONFIG",
        default_value = "/etc/opamp-agent/opamp.yaml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the agent (the default)
    Run,
    /// Read the configuration file, say what is wrong with it, and start nothing
    CheckConfig,
    /// Print a configuration file with every key
    SampleConfig,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Some(Task::SampleConfig)) {
        return say(include_str!("../opamp.sample.yaml"));
    }
    let settings = match Settings::load(&arguments.config, &Environment::of_process()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error),
    };
    match arguments.command {
        Some(Task::CheckConfig) => say(&format!("{} is good\n", arguments.config.display())),
        _ => start(settings),
    }
}

fn say(text: &str) -> ExitCode {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

fn complain(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("opamp-agent: {}", runtime::logging::error_chain(error));
    ExitCode::from(BAD_CONFIGURATION)
}

fn start(settings: Settings) -> ExitCode {
    if let Err(error) = runtime::logging::init("opamp-agent", &settings.log) {
        return complain(&error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error),
    };
    match runtime.block_on(serve(settings)) {
        Ok(()) => {
            info!(event = "agent_stopped", "opamp-agent stopped");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            error!(
                event = "agent_failed",
                error = &failure as &(dyn std::error::Error + 'static),
                "opamp-agent failed"
            );
            ExitCode::from(code_of(&failure))
        }
    }
}

fn code_of(failure: &AgentError) -> u8 {
    match failure {
        AgentError::Lock(LockError::Held { .. }) => ALREADY_RUNNING,
        AgentError::Link(_) => BAD_CONFIGURATION,
        AgentError::Lock(_) | AgentError::Identity(_) | AgentError::Task(_) => FAILED,
    }
}

async fn serve(settings: Settings) -> Result<(), AgentError> {
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let signals = async move {
        match StopSignals::listen() {
            Ok(mut signals) => {
                let signal = signals.recv().await;
                info!(event = "stopping", signal, "asked to stop");
                token.cancel();
            }
            Err(error) => error!(error = %error, "signals cannot be handled"),
        }
    };
    let waiting = tokio::spawn(signals);
    let outcome = agent::run::run(settings, shutdown).await;
    waiting.abort();
    outcome
}
