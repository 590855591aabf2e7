//! How cost grows: with what is in the database, with distinct configs, with time, and with the fleet.
//!
//! These figures have no budget; docs/performance.md shows them. Each part has servers of its own. Start with [`run`].

mod configs;
mod curve;
mod database;
mod known;
mod report;
mod steady;

use std::path::PathBuf;

use super::{
    BenchError, BenchOptions, Mode, Scratch, check, phases,
    plan::{BUDGET_AGENTS, Plan},
    raise_descriptor_limit,
    server::{Server, ServerSetup},
};
use crate::{Options, labels::Distribution};

pub use self::report::{GrowthReport, GrowthRow};

/// The largest fleet: a process may have 20,000 descriptors, and a server keeps some for itself.
pub const LARGEST: usize = 19_000;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Starting with many known agents and configs; the database's size.
    Known,
    /// What heartbeats cost and write while nothing happens.
    Steady,
    /// Many distinct configs going out instead of one.
    Configs,
    /// Memory, CPU, fan-out and storm from a small fleet to the largest.
    Curve,
}

impl Part {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 4] = [Self::Known, Self::Steady, Self::Configs, Self::Curve];
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct GrowthOptions {
    /// The server's program.
    pub server: PathBuf,
    /// With TLS or without.
    pub mode: Mode,
    /// Which parts; the order is fixed.
    pub parts: Vec<Part>,
    /// Agents of all parts but the curve.
    pub agents: usize,
    /// Sizes of the fleets of the curve.
    pub sizes: Vec<usize>,
    /// Whether only the procedure is tried: any build, any size, a few seconds.
    pub smoke: bool,
    /// Where raw results and the servers' data go: a real disk.
    pub directory: PathBuf,
    /// The command that is named in the report.
    pub command: String,
}

impl GrowthOptions {
    /// The figures as docs/performance.md has them.
    #[must_use]
    pub fn full(server: PathBuf) -> Self {
        Self {
            server,
            mode: Mode::Plain,
            parts: Part::ALL.to_vec(),
            agents: BUDGET_AGENTS,
            sizes: vec![1_000, 5_000, 10_000, 15_000, LARGEST],
            smoke: false,
            directory: PathBuf::from("target/bench"),
            command: "make bench-growth".to_owned(),
        }
    }

    /// The same procedure with small fleets, in a few seconds and on any build.
    #[must_use]
    pub fn smoke(server: PathBuf, directory: PathBuf) -> Self {
        Self {
            agents: 100,
            sizes: vec![50, 100],
            smoke: true,
            directory,
            ..Self::full(server)
        }
    }

    /// What is refused of a benchmark is refused here.
    fn as_bench(&self) -> BenchOptions {
        BenchOptions {
            agents: self.agents,
            smoke: self.smoke,
            directory: self.directory.clone(),
            ..BenchOptions::full(self.server.clone())
        }
    }
}

/// Measures; `say` is told what is going on, for people. A part that ends early is a problem in the report, and the
/// next one is begun.
///
/// # Errors
/// When nothing can begin: a debug build, limits of this machine.
pub async fn run(options: &GrowthOptions, say: impl Fn(&str)) -> Result<GrowthReport, BenchError> {
    check(&options.as_bench())?;
    let largest = options.sizes.iter().copied().max().unwrap_or(0);
    raise_descriptor_limit(largest.max(options.agents))?;
    std::fs::create_dir_all(&options.directory).map_err(BenchError::io(format!(
        "creating {}",
        options.directory.display()
    )))?;
    let mut report = GrowthReport::new(options);
    for part in Part::ALL {
        if !options.parts.contains(&part) {
            continue;
        }
        let before = report.rows.len();
        let site = Site { options };
        let done = match part {
            Part::Known => known::measure(&site, &mut report).await,
            Part::Steady => steady::measure(&site, &mut report).await,
            Part::Configs => configs::measure(&site, &mut report).await,
            Part::Curve => curve::measure(&site, &mut report, &say).await,
        };
        for row in &report.rows[before..] {
            say(&format!("  {row}"));
        }
        if let Err(error) = done {
            let chain = runtime::logging::error_chain(&error);
            say(&format!("  {part:?} ended early: {chain}"));
            report.problems.push(format!("{part:?}: {chain}"));
        }
    }
    report.keep(&options.directory)?;
    Ok(report)
}

/// Where servers of a part are made.
struct Site<'o> {
    options: &'o GrowthOptions,
}

/// A server of a part, with its directory.
struct Place {
    setup: ServerSetup,
    _directory: Scratch,
}

impl Site<'_> {
    fn plan(&self, agents: usize) -> Plan {
        match self.options.smoke {
            true => Plan::smoke(agents),
            false => Plan::full(agents, self.options.mode),
        }
    }

    /// The full size, or that of a smoke run.
    fn sized<T>(&self, full: T, smoke: T) -> T {
        if self.options.smoke { smoke } else { full }
    }

    /// A place for a new server; nothing runs yet.
    fn place(&self, plan: &Plan) -> Result<Place, BenchError> {
        let directory = Scratch::new(&self.options.directory)?;
        let flush = plan.sets_liveness_flush.then_some(plan.liveness_flush);
        let (program, mode) = (&self.options.server, self.options.mode);
        Ok(Place {
            setup: ServerSetup::new(program, directory.path(), mode, flush)?,
            _directory: directory,
        })
    }
}

/// The options of a fleet of this server; each agent has one of `values` values of the label `key`, evenly dealt.
fn grouped(
    plan: &Plan,
    setup: &ServerSetup,
    key: &str,
    values: usize,
) -> Result<Options, BenchError> {
    let mut options = phases::fleet_options(plan, &setup.endpoint(), setup.cert_pem())?;
    let values = (0..values).map(|at| (group(at), 1.0)).collect();
    let dealt = Distribution::new(key, values).expect("the values are distinct");
    options.labels = vec![dealt];
    Ok(options)
}

fn group(at: usize) -> String {
    format!("g{at:04}")
}

/// Makes a config for each group and releases it.
async fn release_each(server: &Server, key: &str, bodies: &[String]) -> Result<(), BenchError> {
    for (at, body) in bodies.iter().enumerate() {
        let name = format!("config-{at:04}");
        let selector = format!("{key}={}", group(at));
        server.put_config(&name, &selector, body).await?;
        server.release(&name).await?;
    }
    Ok(())
}
