//! `opamp-fleetsim run`: one fleet, driven by flags, a script and lines on standard input.

use std::{
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use runtime::{SecretText, signals::StopSignals};
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{print_line, progress::Progress, threads};
use crate::{
    Endpoint, Fleet, FleetResult, Options, Ramp, Redial, Trust,
    agent::until,
    behavior::BehaviorShare,
    control::{self, Command, Commander},
    labels::Distribution,
    process::Process,
    results::{Cost, Round},
    script::{self, Step},
    units,
};

/// How long a stopping fleet waits for its connections to close.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How often the log is written to its file.
const LOG_FLUSH: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Server: ws(s)://, http(s):// or grpc(s)://
    #[arg(
        long,
        value_name = "URL",
        default_value = "ws://127.0.0.1:4320/v1/opamp"
    )]
    endpoint: Endpoint,
    /// How many agents [default: 100]
    #[arg(short = 'n', long, value_name = "N")]
    agents: Option<usize>,
    /// Connections a second, or `storm` for all at once, or `held` to wait for the command `dial`
    #[arg(long, value_name = "RATE", default_value = "500", value_parser = ramp)]
    ramp: Ramp,
    /// A label and its values with weights, like env=prod:70,staging:30; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUES")]
    labels: Vec<Distribution>,
    /// What a share of the fleet does: reject=5%:REASON, slow=10%:2s, flap=2%:10s, vanish=1%[:30s], never-read=3;
    /// may be repeated
    #[arg(long = "behavior", value_name = "NAME=SHARE[:VALUE]")]
    behaviors: Vec<BehaviorShare>,
    /// YAML file that describes the fleet: labels, behaviors, and steps at given times
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Attributes of a description, labels included [default: 12]
    #[arg(long, value_name = "N")]
    attributes: Option<usize>,
    /// Components below the root of a health tree [default: 10]
    #[arg(long, value_name = "N")]
    health_components: Option<usize>,
    /// Bytes of each agent's own effective configuration, unlike any other's [default: 4096]
    #[arg(long, value_name = "BYTES")]
    effective_config_bytes: Option<usize>,
    /// Report the own configuration as the effective one even after another was applied
    #[arg(long)]
    keep_own_config: bool,
    /// Time between an agent's messages when nothing happens; plain HTTP polls at it; 0: none [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    heartbeat: Option<Duration>,
    /// What agents do whose connection ended: `backoff` as the protocol says, an interval, or `held`
    #[arg(long, value_name = "HOW", default_value = "backoff", value_parser = control::redial)]
    redial: Redial,
    /// Dials that may wait for the server's answer at once
    #[arg(long, value_name = "N", default_value_t = 1024)]
    dial_window: usize,
    /// Address to dial from; may be repeated [default: as many loopback addresses as the fleet needs]
    #[arg(long = "source", value_name = "IP")]
    sources: Vec<IpAddr>,
    /// The agents' bearer token
    #[arg(
        long,
        value_name = "TOKEN",
        env = "OPAMP_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// Certificates to trust, in PEM form
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca_file: Option<PathBuf>,
    /// Accept any server certificate
    #[arg(long)]
    insecure: bool,
    /// Another fleet with the same name: other uids, other shuffles
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What the agents' names begin with
    #[arg(long, value_name = "TEXT", default_value = "sim")]
    name: String,
    /// File for one JSON line at each change of what an agent runs
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How long to run; without it until `stop` or Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,
    /// Process whose CPU time and memory belong into the result
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// File for the JSON result, which is printed as well
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Threads of the simulation
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
}

fn ramp(text: &str) -> Result<Ramp, String> {
    match text {
        "storm" => Ok(Ramp::Storm),
        "held" => Ok(Ramp::Held),
        rate => match rate.parse() {
            Ok(rate) if 0.0 < rate => Ok(Ramp::PerSecond(rate)),
            _ => Err("write connections a second, `storm` or `held`".to_owned()),
        },
    }
}

impl RunArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (options, steps) = self.options()?;
        threads(self.threads)?.block_on(Box::pin(self.drive(options, steps)))
    }

    /// Options out of flags and script; a flag that is given wins over the script.
    fn options(&self) -> anyhow::Result<(Options, Vec<Step>)> {
        let mut options = Options::new(self.endpoint.clone(), 100);
        let steps = match &self.script {
            Some(path) => script::apply(&script::load(path)?, &mut options)?,
            None => Vec::new(),
        };
        options.agents = self.agents.unwrap_or(options.agents);
        options.attributes = self.attributes.unwrap_or(options.attributes);
        options.health_components = self.health_components.unwrap_or(options.health_components);
        options.effective_bytes = self
            .effective_config_bytes
            .unwrap_or(options.effective_bytes);
        options.effective_follows_offer = !self.keep_own_config;
        options.heartbeat = self.heartbeat.unwrap_or(options.heartbeat);
        options.labels.extend(self.labels.iter().cloned());
        options.behaviors.extend(self.behaviors.iter().cloned());
        options.ramp = self.ramp;
        options.redial = self.redial;
        options.dial_window = self.dial_window;
        options.sources.clone_from(&self.sources);
        options.token = self.token.as_ref().map(SecretText::new);
        options.trust = self.trust()?;
        options.seed = self.seed;
        options.name.clone_from(&self.name);
        options.log.clone_from(&self.log);
        Ok((options, steps))
    }

    fn trust(&self) -> anyhow::Result<Trust> {
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read_to_string(path);
            return Ok(Trust::Roots(
                pem.with_context(|| format!("reading {}", path.display()))?,
            ));
        }
        if self.endpoint.is_tls() && !self.insecure {
            bail!(
                "{} needs --ca-file, or --insecure to accept any certificate",
                self.endpoint
            );
        }
        Ok(Trust::Anything)
    }

    async fn drive(self, options: Options, steps: Vec<Step>) -> anyhow::Result<ExitCode> {
        let server = self.server_pid.map(Process::new);
        let look = |process: Option<Process>| {
            process.map(|process| process.usage().context("looking at the server's process"))
        };
        let server_before = look(server).transpose()?;
        let own_before = Process::own().usage().ok();
        let began = Instant::now();
        let fleet = Fleet::start(options).await?;
        let mut session = Session {
            fleet: &fleet,
            commander: Commander::new(&fleet),
            progress: (!self.quiet).then(|| Progress::new(server)),
            steps: steps.into(),
            began,
            start: None,
        };
        session.run(self.duration).await?;

        let start = session.start.take();
        let marked = session.commander.marked();
        let cost = |before, process: Process| {
            let after = process.usage().ok()?;
            Some(Cost::between(before, after, fleet.size()))
        };
        let result = FleetResult {
            endpoint: fleet.options().endpoint.to_string(),
            agents: fleet.size(),
            seconds: began.elapsed().as_secs_f64(),
            source_addresses: fleet.source_addresses(),
            stats: fleet.stats(),
            last_round: Some(fleet.round()).filter(|round| Some(round) != start.as_ref()),
            start,
            config: fleet.newest_config(marked),
            trouble: fleet.trouble(),
            server: server_before
                .zip(server)
                .and_then(|(before, server)| cost(before, server)),
            fleet: own_before.and_then(|before| cost(before, Process::own())),
        };
        fleet
            .stop(STOP_LIMIT)
            .await
            .context("writing the fleet's log")?;
        let text = serde_json::to_string_pretty(&result)?;
        if let Some(path) = &self.result {
            std::fs::write(path, &text).with_context(|| format!("writing {}", path.display()))?;
        }
        print_line(&text);
        Ok(ExitCode::SUCCESS)
    }
}

/// A running fleet and everything that may happen to it.
struct Session<'a> {
    fleet: &'a Fleet,
    commander: Commander<'a>,
    progress: Option<Progress>,
    steps: std::collections::VecDeque<Step>,
    began: Instant,
    /// How the fleet attached at first, once it has.
    start: Option<Round>,
}

impl Session<'_> {
    /// Runs until the time is up, a signal comes or a command says stop.
    async fn run(&mut self, duration: Option<Duration>) -> anyhow::Result<()> {
        let mut signals = StopSignals::listen()?;
        let mut lines = Some(standard_input());
        let end = duration.map(|duration| self.began + duration);
        let interval = self
            .progress
            .as_ref()
            .map_or(Duration::from_secs(3600), Progress::interval);
        let mut shows = tokio::time::interval(interval);
        let mut flushes = tokio::time::interval(LOG_FLUSH);
        flushes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = self.steps.front().map(|step| self.began + step.at);
            let command = tokio::select! {
                biased;
                _ = signals.recv() => break,
                () = until(end) => break,
                () = until(step) => self.steps.pop_front().map(|step| Ok(step.command)),
                line = next_line(&mut lines) => Some(line.parse()),
                _ = shows.tick() => {
                    if let Some(progress) = &mut self.progress {
                        progress.show(self.fleet);
                    }
                    None
                }
                _ = flushes.tick() => {
                    self.fleet.flush_log().context("writing the fleet's log")?;
                    self.note_start();
                    None
                }
            };
            let Some(command) = command else { continue };
            if !self.obey(command).await {
                break;
            }
        }
        self.note_start();
        if let Some(progress) = &self.progress {
            progress.end();
        }
        Ok(())
    }

    /// Keeps the first attachment before a storm or an ordered dial covers it.
    fn note_start(&mut self) {
        if self.start.is_none() && self.fleet.size() as u64 <= self.fleet.stats().settled {
            self.start = Some(self.fleet.round());
        }
    }

    /// Carries a command out and answers it; `false` when it ends everything.
    async fn obey(&mut self, command: Result<Command, control::CommandError>) -> bool {
        if matches!(command, Ok(Command::Storm | Command::Dial)) && self.start.is_none() {
            self.start = Some(self.fleet.round());
        }
        let answer = match command {
            Ok(command) => self.commander.carry_out(command).await,
            Err(error) => Some(serde_json::json!({ "error": error.to_string() })),
        };
        if let Some(answer) = &answer {
            print_line(&answer.to_string());
        }
        answer.is_some()
    }
}

/// Lines of standard input, read by a thread of its own: a runtime would wait for it at its end.
fn standard_input() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if !line.trim().is_empty() && sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next line; for ever pending once there is none.
async fn next_line(lines: &mut Option<mpsc::Receiver<String>>) -> String {
    if let Some(receiver) = lines {
        match receiver.recv().await {
            Some(line) => return line,
            None => *lines = None,
        }
    }
    std::future::pending().await
}
