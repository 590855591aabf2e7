//! The benchmark behind `make bench`: the seven measurements of DESIGN.md "Budgets" against a server
//! that it starts, and the same of a bare echo server for scale.
//!
//! Start with [`run`]. [`BenchOptions::smoke`] is the procedure at a size that a test can afford.

mod body;
mod error;
mod figure;
pub mod growth;
mod list;
mod machine;
mod phases;
mod plan;
mod record;
mod report;
pub(crate) mod server;
mod templates;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use runtime::{Clock as _, SystemClock};
use tokio::io::{AsyncBufReadExt as _, BufReader};

pub(crate) use self::body::collector_config;
pub use self::{
    error::BenchError,
    figure::{Figure, Mode},
    machine::Machine,
    record::{Measured, RunRecord},
    report::{Report, Row},
};
use self::{
    plan::{BUDGET_AGENTS, Plan},
    server::{Program, ServerSetup},
};
use crate::{capacity, certificate::Certificate, options::Redial};

/// What to measure.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The server's program.
    pub server: PathBuf,
    /// The program whose `echo` command is the bare server; `None` leaves it out.
    pub echo: Option<PathBuf>,
    /// How many agents.
    pub agents: usize,
    /// Runs of each mode.
    pub runs: usize,
    /// With TLS, without, or both.
    pub modes: Vec<Mode>,
    /// Which figures; the order is fixed.
    pub figures: Vec<Figure>,
    /// Whether only the procedure is tried: any build, any size, a few seconds.
    pub smoke: bool,
    /// Where raw results and the servers' data go: a real disk.
    pub directory: PathBuf,
    /// The command that is named in the report.
    pub command: String,
}

impl BenchOptions {
    /// The benchmark as the budgets define it.
    #[must_use]
    pub fn full(server: PathBuf) -> Self {
        Self {
            server,
            echo: None,
            agents: BUDGET_AGENTS,
            runs: 5,
            modes: vec![Mode::Plain, Mode::Tls],
            figures: Figure::ALL.to_vec(),
            smoke: false,
            directory: PathBuf::from("target/bench"),
            command: "make bench".to_owned(),
        }
    }

    /// The same procedure with 200 agents, once, in a few seconds and on any build: it shows that
    /// every measurement works, and nothing about speed.
    #[must_use]
    pub fn smoke(server: PathBuf, directory: PathBuf) -> Self {
        Self {
            agents: 200,
            runs: 1,
            smoke: true,
            directory,
            ..Self::full(server)
        }
    }

    fn plan(&self, mode: Mode) -> Plan {
        match self.smoke {
            true => Plan::smoke(self.agents),
            false => Plan::full(self.agents, mode),
        }
    }
}

/// Runs the benchmark; `say` is told what is going on, for people.
///
/// A run that ends early is part of the report, with the reason, and the next one is begun.
///
/// # Errors
/// When the benchmark cannot begin: a debug build, too few agents, limits of this machine.
pub async fn run(options: &BenchOptions, say: impl Fn(&str)) -> Result<Report, BenchError> {
    check(options)?;
    raise_descriptor_limit(options.agents)?;
    let machine = Machine::this();
    say(&machine.to_string());
    std::fs::create_dir_all(&options.directory).map_err(BenchError::io(format!(
        "creating {}",
        options.directory.display()
    )))?;
    let mut records = Vec::new();
    for run in 1..=options.runs {
        for mode in &options.modes {
            say(&format!("run {run} of {}, {}", options.runs, mode.name()));
            let record = measure(options, *mode, run, &say).await;
            keep(options, &record)?;
            records.push(record);
        }
    }
    let report = Report::new(options, machine, records);
    let markdown = options.directory.join("performance.md");
    std::fs::write(&markdown, report.markdown())
        .map_err(BenchError::io(format!("writing {}", markdown.display())))?;
    Ok(report)
}

/// Refuses what would give figures that mean nothing.
fn check(options: &BenchOptions) -> Result<(), BenchError> {
    let found = std::fs::metadata(&options.server).map(drop);
    found.map_err(|source| BenchError::Program {
        path: options.server.clone(),
        source,
    })?;
    if options.smoke {
        return Ok(());
    }
    if cfg!(debug_assertions) {
        return Err(BenchError::DebugBuild {
            program: "opamp-fleetsim".to_owned(),
        });
    }
    if is_debug_build(&options.server) {
        return Err(BenchError::DebugBuild {
            program: options.server.display().to_string(),
        });
    }
    if options.agents < BUDGET_AGENTS {
        return Err(BenchError::TooFewAgents {
            agents: options.agents,
            needed: BUDGET_AGENTS,
        });
    }
    Ok(())
}

/// Whether a program comes out of cargo's directory for debug builds, or says that it is one.
pub(crate) fn is_debug_build(program: &Path) -> bool {
    let resolved = program
        .canonicalize()
        .unwrap_or_else(|_| program.to_owned());
    if resolved
        .components()
        .any(|part| part.as_os_str() == "debug")
    {
        return true;
    }
    let version = std::process::Command::new(program)
        .arg("--version")
        .output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("debug"))
}

/// Makes room for the fleet here, and for a storm in the servers, which inherit the limit: they may
/// have every agent's old socket beside its new one, and shed load at 95 % of the limit.
fn raise_descriptor_limit(agents: usize) -> Result<(), BenchError> {
    let for_storm = capacity::raise_descriptor_limit(5 * agents / 2);
    for_storm
        .or_else(|_| capacity::raise_descriptor_limit(agents))
        .map(drop)
        .map_err(BenchError::Capacity)
}

async fn measure(options: &BenchOptions, mode: Mode, run: usize, say: &impl Fn(&str)) -> RunRecord {
    let began = Instant::now();
    let mut record = RunRecord {
        mode,
        run,
        agents: options.agents,
        started_at: SystemClock.now().to_string(),
        seconds: 0.0,
        figures: Default::default(),
        echo: Default::default(),
        aborted: None,
    };
    let mut done = measure_server(options, &mut record, say).await;
    if done.is_ok() && options.echo.is_some() {
        done = measure_echo(options, &mut record, say).await;
    }
    if let Err(error) = done {
        let error = runtime::logging::error_chain(&error);
        say(&format!("  run ended early: {error}"));
        record.aborted = Some(error);
    }
    record.seconds = began.elapsed().as_secs_f64();
    record
}

async fn measure_server(
    options: &BenchOptions,
    record: &mut RunRecord,
    say: &impl Fn(&str),
) -> Result<(), BenchError> {
    let plan = options.plan(record.mode);
    let directory = Scratch::new(&options.directory)?;
    let flush = plan.sets_liveness_flush.then_some(plan.liveness_flush);
    let setup = ServerSetup::new(&options.server, directory.path(), record.mode, flush)?;
    let mut server = setup.start().await?;
    // What the start itself still does is not the first agent's.
    let before = phases::flushed(server.program.process(), Duration::ZERO, &plan).await?;
    let fleet_options = phases::fleet_options(&plan, &setup.endpoint(), setup.cert_pem())?;
    let fleet = phases::attach(fleet_options, &plan).await?;
    let process = server.program.process();
    for figure in Figure::ALL {
        // The first one is always done: it releases the config that the others presume.
        if !options.figures.contains(&figure) && figure != Figure::IdleMemory {
            continue;
        }
        server.program.still_running()?;
        let measured = match figure {
            Figure::IdleMemory => phases::idle_memory(&server, &fleet, &plan, before).await?,
            Figure::StatusReport => {
                phases::status_report(process, &fleet, &plan, plan.liveness_flush).await?
            }
            Figure::StoredChange => phases::stored_change(process, &fleet, &plan).await?,
            Figure::FanOut => phases::fan_out(&server, &fleet, &plan).await?,
            Figure::AgentsList => list::agents_list(&server, &fleet, &plan).await?,
            Figure::Storm => phases::storm(process, &fleet, &plan).await?,
            Figure::RestartStorm => {
                phases::restart_storm(&mut server, &setup, &fleet, &plan).await?
            }
            Figure::TemplatePlan => {
                let planned = templates::plan(&mut server, &setup, &fleet, &plan).await?;
                planned.time()
            }
            Figure::TemplateRender => {
                let planned = templates::plan(&mut server, &setup, &fleet, &plan).await?;
                planned.making()
            }
        };
        say(&told(figure, record.mode, &measured));
        record.figures.insert(figure, measured);
    }
    fleet.set_redial(Redial::Held);
    server.program.kill().await
}

async fn measure_echo(
    options: &BenchOptions,
    record: &mut RunRecord,
    say: &impl Fn(&str),
) -> Result<(), BenchError> {
    let Some(echo) = &options.echo else {
        return Ok(());
    };
    let plan = options.plan(record.mode);
    let directory = Scratch::new(&options.directory)?;
    let certificate = match record.mode {
        Mode::Plain => None,
        Mode::Tls => Some(Certificate::generate().map_err(BenchError::Certificate)?),
    };
    let (mut program, endpoint) = start_echo(echo, directory.path(), certificate.as_ref()).await?;
    let process = program.process();
    let before = phases::flushed(process, Duration::ZERO, &plan).await?;
    let trusted = certificate.as_ref().map(Certificate::cert_pem);
    let fleet_options = phases::fleet_options(&plan, &endpoint, trusted)?;
    let fleet = phases::attach(fleet_options, &plan).await?;
    let after = phases::flushed(process, Duration::ZERO, &plan).await?;
    let mut add = |figure: Figure, measured: Measured| {
        say(&format!(
            "  echo: {}",
            told(figure, record.mode, &measured).trim_start()
        ));
        record.echo.insert(figure, measured);
    };
    add(
        Figure::IdleMemory,
        phases::memory(before, after, plan.agents),
    );
    let report = phases::status_report(process, &fleet, &plan, Duration::ZERO).await?;
    add(Figure::StatusReport, report);
    add(Figure::Storm, phases::storm(process, &fleet, &plan).await?);
    fleet.set_redial(Redial::Held);
    program.kill().await
}

/// Starts the echo server as a process of its own and learns where it listens.
async fn start_echo(
    program: &Path,
    directory: &Path,
    certificate: Option<&Certificate>,
) -> Result<(Program, String), BenchError> {
    let mut arguments = vec!["echo".to_owned()];
    if let Some(certificate) = certificate {
        let files = certificate
            .write(directory)
            .map_err(BenchError::Certificate)?;
        let (cert, key) = (files.0.display().to_string(), files.1.display().to_string());
        arguments.extend(["--cert-file".to_owned(), cert, "--key-file".to_owned(), key]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = directory.join("echo.log");
    let mut program = Program::start(program, &arguments, log, Stdio::piped())?;
    let stdout = program.child().stdout.take();
    let mut first = String::new();
    if let Some(stdout) = stdout {
        let read = BufReader::new(stdout).read_line(&mut first).await;
        read.map_err(BenchError::io("reading what the echo server says"))?;
    }
    let Some(address) = first.trim().strip_prefix("listening on ") else {
        return Err(program.failed("did not say where it listens"));
    };
    let scheme = if certificate.is_some() { "wss" } else { "ws" };
    Ok((program, format!("{scheme}://{address}/v1/opamp")))
}

/// One figure as a line for people.
fn told(figure: Figure, mode: Mode, measured: &Measured) -> String {
    let value = measured
        .value
        .map_or_else(|| "–".to_owned(), report::number);
    let budget = report::number(figure.budget(mode));
    let (title, unit) = (figure.title(), figure.unit());
    let mut line = format!("  {title}: {value} {unit} (budget {budget})");
    for problem in &measured.problems {
        line.push_str("; ");
        line.push_str(problem);
    }
    line
}

fn keep(options: &BenchOptions, record: &RunRecord) -> Result<(), BenchError> {
    let stamp: String = record
        .started_at
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(15)
        .collect();
    let name = format!("{stamp}-{}-{}.json", record.mode.name(), record.run);
    let path = options.directory.join(name);
    let text = serde_json::to_string_pretty(record).expect("a record has only plain fields");
    std::fs::write(&path, text).map_err(BenchError::io(format!("writing {}", path.display())))
}

/// A directory of one server, removed with everything in it when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one below the benchmark's directory: the temporary directory may be in memory.
    pub(crate) fn new(parent: &Path) -> Result<Self, BenchError> {
        let name = format!("server-{}", uuid::Uuid::new_v4().simple());
        let failed = |path: &Path| BenchError::io(format!("creating {}", path.display()));
        let path = parent.join(name);
        std::fs::create_dir_all(&path).map_err(failed(&path))?;
        // The server resolves relative paths against its own working directory.
        let path = path.canonicalize().map_err(failed(&path))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn debug_builds_and_small_fleets_are_refused() {
        let server = std::env::current_exe().unwrap();
        let refused = run(&BenchOptions::full(server.clone()), |_| {})
            .await
            .unwrap_err();
        assert!(
            matches!(refused, BenchError::DebugBuild { .. }),
            "{refused}"
        );
        assert!(is_debug_build(&server), "this test itself is one");

        let missing = BenchOptions::full("no-such-program".into());
        let refused = run(&missing, |_| {}).await.unwrap_err();
        assert!(matches!(refused, BenchError::Program { .. }), "{refused}");
    }
}
