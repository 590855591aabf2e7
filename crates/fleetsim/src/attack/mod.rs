//! Attacks on a real server that has a fleet: what each costs the server, and what the fleet notices of it.
//!
//! Start with [`run`]. It starts the server, lets a fleet report once a second, and attacks from a thread of this process.
//! [`AttackOptions::smoke`] is the same at a size that a test can afford; then times are not judged.

mod catalog;
mod flood;
mod hold;
mod http2;
mod report;
mod sessions;
mod stage;
mod victim;

use std::{
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use runtime::{Clock as _, SystemClock};
use tokio::time::sleep;

use self::{
    catalog::Size,
    report::name,
    stage::{Asked, LIMIT, Stage, late},
    victim::Victim,
};
pub use self::{
    catalog::{Attack, Bound},
    report::{AttackReport, P99_BUDGET_MS, Row},
    victim::Counts,
};
use crate::{
    bench::{self, BenchError, Machine, Mode},
    capacity, samples,
};

/// How long the server may take to end a connection that breaks the rules.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// Agents for which the bound on their answers is defined.
const AGENTS: usize = 2_000;
/// The longest that a request of the API on a new connection may take.
const API_BUDGET: Duration = Duration::from_secs(1);
/// How long memory may take to settle before an attack, how often that is looked at, and what is no more than noise.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);
const SETTLE_INTERVAL: Duration = Duration::from_secs(2);
const SETTLED_KIB: f64 = 512.0;
/// What memory is said to have grown by without any attack, in MiB: allocator, caches, the fleet's own reports.
const NOISE_MIB: f64 = 8.0;

/// What to attack, and how.
#[derive(Debug, Clone)]
pub struct AttackOptions {
    /// The server's program.
    pub server: PathBuf,
    /// Agents of the fleet, each of which reports once a second.
    pub agents: usize,
    /// Which attacks.
    pub attacks: Vec<Attack>,
    /// How long each goes on once everything that it holds is there.
    pub duration: Duration,
    /// Whether only the procedure is tried: any build, small numbers, no judgment of times.
    pub smoke: bool,
    /// Where the server's data goes.
    pub directory: PathBuf,
    /// The command that is named in the report.
    pub command: String,
}

impl AttackOptions {
    /// All attacks as the bounds define them.
    #[must_use]
    pub fn full(server: PathBuf) -> Self {
        Self {
            server,
            agents: AGENTS,
            attacks: <Attack as clap::ValueEnum>::value_variants().to_vec(),
            duration: Duration::from_secs(8),
            smoke: false,
            directory: PathBuf::from("target/attacks"),
            command: "make attacks".to_owned(),
        }
    }

    /// All attacks in small, on any build.
    #[must_use]
    pub fn smoke(server: PathBuf, directory: PathBuf) -> Self {
        Self {
            agents: 50,
            duration: Duration::from_millis(1_500),
            smoke: true,
            directory,
            ..Self::full(server)
        }
    }

    fn size(&self) -> Size {
        match self.smoke {
            true => Size {
                held: 600,
                per_second: 100,
                workers: 2,
                agents: 20,
                label_keys: 2_000,
            },
            false => Size {
                held: 5_000,
                per_second: 1_000,
                workers: 8,
                agents: 200,
                label_keys: 100_000,
            },
        }
    }
}

/// Attacks; `say` is told what is going on, for people.
///
/// # Errors
/// When it cannot begin, or a server or the fleet is lost: that is no bound that was broken, but the end.
pub async fn run(options: &AttackOptions, say: impl Fn(&str)) -> Result<AttackReport, BenchError> {
    check(options)?;
    let size = options.size();
    capacity::raise_descriptor_limit(2 * (options.agents + size.held))
        .map_err(BenchError::Capacity)?;
    std::fs::create_dir_all(&options.directory).map_err(BenchError::io(format!(
        "creating {}",
        options.directory.display()
    )))?;
    let mut report = AttackReport {
        command: options.command.clone(),
        started_at: SystemClock.now().to_string(),
        machine: Machine::this(),
        smoke: options.smoke,
        rows: Vec::new(),
    };
    let asked_for = |part: fn(Attack) -> bool| {
        let chosen = options.attacks.iter().copied();
        chosen.filter(|attack| part(*attack)).collect::<Vec<_>>()
    };
    let parts: [(Mode, Option<u64>, Vec<Attack>); 3] = [
        (
            Mode::Plain,
            None,
            asked_for(|attack| attack.mode() == Mode::Plain && attack != Attack::Descriptors),
        ),
        (
            Mode::Tls,
            None,
            asked_for(|attack| attack.mode() == Mode::Tls),
        ),
        (
            Mode::Plain,
            // Room for the fleet, and for half of the attackers.
            Some((options.agents + size.held / 2) as u64),
            asked_for(|attack| attack == Attack::Descriptors),
        ),
    ];
    for (mode, open_files, attacks) in parts {
        if attacks.is_empty() {
            continue;
        }
        let mut stage = Stage::set(options, mode, open_files).await?;
        for attack in attacks {
            let row = measure(options, &mut stage, attack).await?;
            say(&told(&row));
            report.rows.push(row);
        }
        stage.server.program.kill().await?;
    }
    Ok(report)
}

/// Refuses what would give figures that mean nothing.
fn check(options: &AttackOptions) -> Result<(), BenchError> {
    let found = std::fs::metadata(&options.server).map(drop);
    found.map_err(|source| BenchError::Program {
        path: options.server.clone(),
        source,
    })?;
    if !options.smoke && (cfg!(debug_assertions) || bench::is_debug_build(&options.server)) {
        return Err(BenchError::DebugBuild {
            program: options.server.display().to_string(),
        });
    }
    Ok(())
}

/// What was seen while an attack ran.
struct Seen {
    open: u64,
    held_kib: f64,
    peak_kib: f64,
    asked: Asked,
}

async fn measure(
    options: &AttackOptions,
    stage: &mut Stage,
    attack: Attack,
) -> Result<Row, BenchError> {
    stage.server.program.still_running()?;
    let victim = stage.victim()?;
    let counted = stage.fleet.stats();
    stage.fleet.begin_timing();
    let seen = watch(options, stage, attack, &victim).await?;
    if !stage.fleet.quiet(LIMIT).await {
        return Err(late(format!("every report is answered during {attack:?}")));
    }
    let latency = samples::summarize(stage.fleet.end_timing());
    stage.server.program.still_running()?;
    let counts = victim.tally.read();
    let holds = attack.holds().is_some();
    let mut row = Row {
        attack,
        mode: attack.mode(),
        agents: options.agents,
        counts,
        open: seen.open,
        kib_per_connection: (holds && 0 < seen.open).then(|| seen.held_kib / seen.open as f64),
        peak_mib: seen.peak_kib / 1024.0,
        latency,
        slowest_api_ms: samples::millis(seen.asked.slowest),
        api_requests: seen.asked.requests,
        problems: Vec::new(),
    };
    row.problems = judge(options, &row, &seen);
    let fleet = stage.fleet.stats();
    let since = fleet.since(&counted);
    let mut demand = |holds: bool, problem: String| {
        if !holds {
            row.problems.push(problem);
        }
    };
    let connected = fleet.connected;
    demand(
        connected == options.agents as u64,
        format!("only {connected} agents are connected"),
    );
    demand(since.lost == 0, format!("{} agents were cut", since.lost));
    demand(
        since.refusals() == 0 && since.bad_requests == 0,
        format!("the fleet was refused: {since:?}"),
    );
    demand(since.new_uids == 0, "agents lost their uids".to_owned());
    Ok(row)
}

/// Attacks, and looks at the server meanwhile.
async fn watch(
    options: &AttackOptions,
    stage: &Stage,
    attack: Attack,
    victim: &Arc<Victim>,
) -> Result<Seen, BenchError> {
    let process = stage.server.program.process();
    let rss = || {
        let usage = process
            .usage()
            .map_err(BenchError::io("looking at the server"))?;
        Ok::<_, BenchError>(usage.rss_kib as f64)
    };
    let mut asked = Asked::default();
    let mut seen = Seen {
        open: 0,
        held_kib: 0.0,
        peak_kib: 0.0,
        asked,
    };
    let work = async {
        // The fleet's own reports have their place in memory before anything is compared, and the attack before this one
        // has none any more: the allocator takes seconds to give it back.
        sleep(options.duration / 4).await;
        let mut before = rss()?;
        let deadline = Instant::now() + SETTLES_WITHIN;
        while !options.smoke && Instant::now() < deadline {
            sleep(SETTLE_INTERVAL).await;
            let now = rss()?;
            if before - now < SETTLED_KIB {
                before = now;
                break;
            }
            before = now;
        }
        let open_files = process
            .open_files()
            .map_err(BenchError::io("counting open files"))?;
        let attackers = start(attack, Arc::clone(victim), options.size())?;
        let deadline = Instant::now() + LIMIT;
        while !victim.ready.is_cancelled() && Instant::now() < deadline {
            seen.peak_kib = seen.peak_kib.max(rss()? - before);
            sleep(Duration::from_millis(20)).await;
        }
        // What was written last is read by now.
        sleep(options.duration / 8).await;
        let counts = victim.tally.read();
        seen.open = counts.opened.saturating_sub(counts.ended);
        seen.held_kib = rss()? - before;
        let until = Instant::now() + options.duration;
        while Instant::now() < until {
            seen.peak_kib = seen.peak_kib.max(rss()? - before);
            sleep(Duration::from_millis(50)).await;
        }
        victim.stop.cancel();
        let joined = tokio::task::spawn_blocking(move || attackers.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            return Err(BenchError::io("attacking")(std::io::Error::other(
                "the attackers' thread died",
            )));
        }
        stage.clear(open_files).await
    };
    let releases = async {
        match attack {
            Attack::NeverRead => stage.release().await.map(|never| match never {}),
            _ => std::future::pending().await,
        }
    };
    // Where descriptors run out, a newcomer may have to wait; those who are there may not.
    let with_redials = attack != Attack::Descriptors;
    tokio::select! {
        biased;
        done = work => done?,
        failed = releases => failed?,
        never = stage.report(with_redials) => never,
        never = stage.ask(&mut asked) => never,
    }
    seen.asked = asked;
    Ok(seen)
}

/// Starts the attackers in a thread of their own, so that they never take more than one processor.
fn start(
    attack: Attack,
    victim: Arc<Victim>,
    size: Size,
) -> Result<thread::JoinHandle<()>, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("making a runtime"))?;
    let attacking = move || {
        runtime.block_on(async {
            let stop = victim.stop.clone();
            let attacking = attack.run(Arc::clone(&victim), size);
            tokio::select! {
                biased;
                ended = attacking => {
                    if let Err(error) = ended {
                        tracing::warn!(%error, attack = name(attack), "the attack ended early");
                    }
                    victim.ready.cancel();
                }
                () = stop.cancelled() => {}
            }
        });
        runtime.shutdown_background();
    };
    thread::Builder::new()
        .name("attack".to_owned())
        .spawn(attacking)
        .map_err(BenchError::io("starting the attackers"))
}

/// What of an attack's bounds was broken.
fn judge(options: &AttackOptions, row: &Row, seen: &Seen) -> Vec<String> {
    let bound = row.attack.bound();
    let mut problems = Vec::new();
    if let (Some(each), Some(most)) = (row.kib_per_connection, bound.kib_per_connection) {
        // A few connections are lost in what memory does by itself.
        let noise_kib = if options.smoke {
            NOISE_MIB * 1024.0
        } else {
            0.0
        };
        if most * row.open as f64 + noise_kib < seen.held_kib {
            problems.push(format!(
                "{each:.1} KiB for each connection; the bound is {most}"
            ));
        }
    }
    if bound.mib + NOISE_MIB < row.peak_mib {
        problems.push(format!(
            "{:.1} MiB; the bound is {}",
            row.peak_mib, bound.mib
        ));
    }
    let Counts { tries, served, .. } = row.counts;
    if bound.all_refused && (tries == 0 || 0 < served) {
        problems.push(format!("{served} of {tries} tries were served"));
    }
    if bound.none_refused && (tries == 0 || served < tries) {
        problems.push(format!("only {served} of {tries} tries were served"));
    }
    if row.attack == Attack::Labels && served + 1 != tries {
        problems.push(format!(
            "{served} of {tries} tries were served; all but one should be"
        ));
    }
    if !options.smoke && API_BUDGET < seen.asked.slowest {
        let slowest = row.slowest_api_ms;
        problems.push(format!(
            "the API took {slowest:.0} ms; the bound is {API_BUDGET:?}"
        ));
    }
    if 0 < seen.asked.failures || seen.asked.requests == 0 {
        let Asked {
            requests, failures, ..
        } = seen.asked;
        problems.push(format!(
            "{failures} of {requests} requests of the API failed"
        ));
    }
    match row.latency {
        None => problems.push("no report was answered".to_owned()),
        Some(latency) if !options.smoke && P99_BUDGET_MS < latency.p99_ms => {
            let p99 = latency.p99_ms;
            problems.push(format!("p99 is {p99:.1} ms; the bound is {P99_BUDGET_MS}"));
        }
        Some(_) => {}
    }
    problems
}

/// One attack as a line for people.
fn told(row: &Row) -> String {
    let p99 = row.latency.map_or(0.0, |latency| latency.p99_ms);
    let mut line = format!(
        "{}: {} tries, {} refused, {:.1} MiB, p99 {p99:.1} ms",
        name(row.attack),
        row.counts.tries,
        row.counts.refused,
        row.peak_mib
    );
    for problem in &row.problems {
        line.push_str("; ");
        line.push_str(problem);
    }
    line
}
