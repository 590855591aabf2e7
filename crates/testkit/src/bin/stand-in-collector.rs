//! A collector for tests that does what its configuration tells it, wrong things included, and moves no data.
//!
//! It has the command line, messages, exit codes and signals of a real one: several `--config`, `validate`,
//! `components`, `--version`, reload on SIGHUP, the health check extension. What it does wrong stands in the
//! configuration under `extensions::stand_in`:
//!
//! | key | effect |
//! |---|---|
//! | `refuse: TEXT` | `validate` fails with the text, and so does every start and reload |
//! | `needs_file: PATH` | `validate` and every start and reload fail while there is no such file |
//! | `die_at_start: TEXT` | `validate` succeeds; a start or reload fails with the text |
//! | `die_after_ms: N` | ends with exit code 3, N ms after a start or reload |
//! | `slow_start_ms: N`, `slow_stop_ms: N` | takes so long to get ready, or to stop |
//! | `slow_validate_ms: N` | `validate` takes so long |
//! | `never_ready: true` | runs, and never says that it is ready |
//! | `mute: true` | writes no messages of its own, as if the disk were full |
//! | `hang_on_stop: true` | takes no notice of SIGTERM |
//! | `unhealthy: true` | the health check answers 503 |
//! | `child: true` | starts a child process that never ends by itself |
//! | `flood_lines: N` | writes so many lines when it starts |
//! | `journal: FILE` | appends a line for each start, reload and stop: event, process id, `label` |
//! | `label: TEXT` | the word in the journal |

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use otelcol::{Document, Map, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

const VERSION: &str = "0.149.0";

const KINDS: [(&str, &[&str]); 5] = [
    ("receivers", &["otlp", "hostmetrics", "filelog"]),
    (
        "processors",
        &[
            "batch",
            "memory_limiter",
            "attributes",
            "transform",
            "filter",
            "probabilistic_sampler",
        ],
    ),
    ("exporters", &["debug", "file", "otlp", "otlphttp"]),
    ("connectors", &["forward"]),
    ("extensions", &["health_check", "stand_in"]),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = arguments.first().map(String::as_str).unwrap_or_default();
    match command {
        "--version" => print(&format!("stand-in-collector version {VERSION}\n")),
        "components" => print(&components()),
        "validate" => done(validate(&configs(&arguments))),
        _ => done(run(&configs(&arguments))),
    }
}

fn print(text: &str) -> ExitCode {
    done(
        std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| error.to_string()),
    )
}

fn done(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!(
                "Error: {problem}\n2026/01/01 00:00:00 collector server run finished with error: {problem}"
            );
            ExitCode::FAILURE
        }
    }
}

/// Whether messages are lost.
static IS_MUTE: AtomicBool = AtomicBool::new(false);

fn log(line: &str) {
    if IS_MUTE.load(Ordering::Relaxed) {
        return;
    }
    eprintln!("2026-01-01T00:00:00.000Z\tinfo\tstand-in/main.go:1\t{line}\t{{}}");
}

fn configs(arguments: &[String]) -> Vec<String> {
    let mut files = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            files.extend(rest.next().cloned());
        } else if let Some(file) = argument.strip_prefix("--config=") {
            files.push(file.to_owned());
        }
    }
    files
}

fn components() -> String {
    let mut text = format!(
        "buildinfo:\n    command: stand-in-collector\n    description: Stand-in\n    version: {VERSION}\n"
    );
    for (kind, types) in KINDS {
        text.push_str(&format!("{kind}:\n"));
        for name in types {
            text.push_str(&format!("    - name: {name}\n      module: example.com/stand-in/{name} v{VERSION}\n      stability:\n        logs: Alpha\n"));
        }
    }
    text
}

/// The merged configuration, checked.
struct Config(Document);

impl Config {
    fn read(files: &[String]) -> Result<Self, String> {
        let read = |file: &String| {
            let bytes = std::fs::read(file)
                .map_err(|error| format!("failed to get config: cannot read {file}: {error}"))?;
            Document::parse(&bytes).map_err(|error| {
                format!("failed to get config: cannot resolve the configuration: {error}")
            })
        };
        let documents: Vec<Document> = files.iter().map(read).collect::<Result<_, String>>()?;
        let config = Self(otelcol::merge(documents).document);
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let unknown: Vec<String> = KINDS
            .iter()
            .filter_map(|(kind, types)| self.unknown_types(kind, types))
            .collect();
        if !unknown.is_empty() {
            return Err(format!(
                "failed to get config: cannot unmarshal the configuration: decoding failed due to the following error(s):\n\n{}",
                unknown.join("\n")
            ));
        }
        if let Some(text) = self.text("refuse") {
            return Err(text.to_owned());
        }
        if let Some(path) = self.text("needs_file")
            && !std::path::Path::new(path).exists()
        {
            return Err(format!("cannot open {path}"));
        }
        let pipelines = self
            .map("service.pipelines")
            .ok_or("service::pipelines: service must have at least one pipeline")?;
        pipelines
            .iter()
            .try_for_each(|entry| self.check_pipeline(entry.key.name(), &entry.value))
    }

    fn unknown_types(&self, kind: &str, types: &[&str]) -> Option<String> {
        let defined = self.map(kind)?.iter().map(|entry| entry.key.name());
        let id = defined
            .into_iter()
            .find(|id| !types.contains(&type_of(id)))?;
        Some(format!(
            "'{kind}' unknown type: \"{}\" for id: \"{id}\" (valid values: [{}])",
            type_of(id),
            types.join(" ")
        ))
    }

    fn check_pipeline(&self, name: &str, pipeline: &Node) -> Result<(), String> {
        for kind in ["receivers", "processors", "exporters"] {
            let used = pipeline
                .as_map()
                .and_then(|pipeline| pipeline.get(kind))
                .and_then(Node::as_list)
                .unwrap_or_default();
            let missing = used.iter().filter_map(Node::as_str).find(|id| {
                self.map(kind)
                    .is_none_or(|defined| defined.get(id).is_none())
            });
            if let Some(id) = missing {
                let single = kind.trim_end_matches('s');
                return Err(format!(
                    "service::pipelines::{name}: references {single} \"{id}\" which is not configured"
                ));
            }
        }
        Ok(())
    }

    fn map(&self, path: &str) -> Option<&Map> {
        self.0.get(path)?.as_map()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(&format!("extensions.stand_in.{key}"))?.as_str()
    }

    fn millis(&self, key: &str) -> Option<Duration> {
        self.text(key)?.parse().ok().map(Duration::from_millis)
    }

    fn is_set(&self, key: &str) -> bool {
        self.text(key) == Some("true")
    }

    fn note(&self, event: &str) {
        let Some(path) = self.text("journal") else {
            return;
        };
        let line = format!(
            "{event} {} {}\n",
            std::process::id(),
            self.text("label").unwrap_or("-")
        );
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the journal can be written");
    }
}

fn type_of(id: &str) -> &str {
    id.split('/').next().unwrap_or(id)
}

fn validate(files: &[String]) -> Result<(), String> {
    let config = Config::read(files)?;
    if let Some(pause) = config.millis("slow_validate_ms") {
        std::thread::sleep(pause);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn run(files: &[String]) -> Result<(), String> {
    let problem = |error: std::io::Error| error.to_string();
    let mut hang_up = signal(SignalKind::hangup()).map_err(problem)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(problem)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(problem)?;
    let mut event = "start";
    loop {
        let config = Config::read(files).map_err(|error| {
            if event == "start" {
                error
            } else {
                format!("failed to setup configuration components: {error}")
            }
        })?;
        let health = start(&config, event).await?;
        let death = config
            .millis("die_after_ms")
            .map(|after| Instant::now() + after);
        loop {
            tokio::select! {
                biased;
                _ = hang_up.recv() => break,
                _ = terminate.recv() => if stop(&config).await { return Ok(()) },
                _ = interrupt.recv() => if stop(&config).await { return Ok(()) },
                () = until(death) => {
                    eprintln!("panic: told to die");
                    std::process::exit(3);
                }
            }
        }
        log("Received signal from OS: hangup");
        log("Config updated, restart service");
        if let Some(health) = health {
            health.abort();
        }
        if let Some(pause) = config.millis("slow_stop_ms") {
            sleep(pause).await;
        }
        event = "reload";
    }
}

async fn start(
    config: &Config,
    event: &str,
) -> Result<Option<tokio::task::JoinHandle<()>>, String> {
    IS_MUTE.store(config.is_set("mute"), Ordering::Relaxed);
    log("Starting stand-in-collector...");
    for line in 0..config
        .text("flood_lines")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0_u32)
    {
        log(&format!("line {line} of many"));
    }
    if let Some(text) = config.text("die_at_start") {
        return Err(format!("cannot start pipelines: {text}"));
    }
    if config.is_set("child") {
        std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .map_err(|error| error.to_string())?;
    }
    let health = match config.0.health_check() {
        Some(check) => Some(serve_health(&check.endpoint, config.is_set("unhealthy")).await?),
        None => None,
    };
    if let Some(pause) = config.millis("slow_start_ms") {
        sleep(pause).await;
    }
    config.note(event);
    if !config.is_set("never_ready") {
        log("Everything is ready. Begin running and processing data.");
    }
    Ok(health)
}

/// Whether it stops.
async fn stop(config: &Config) -> bool {
    log("Starting shutdown...");
    if config.is_set("hang_on_stop") {
        return false;
    }
    if let Some(pause) = config.millis("slow_stop_ms") {
        sleep(pause).await;
    }
    config.note("stop");
    log("Shutdown complete.");
    true
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn serve_health(
    endpoint: &str,
    unhealthy: bool,
) -> Result<tokio::task::JoinHandle<()>, String> {
    let refused =
        |error| format!("cannot start extensions: failed to bind to address {endpoint}: {error}");
    let listener = TcpListener::bind(endpoint).await.map_err(refused)?;
    let status = if unhealthy {
        "503 Service Unavailable"
    } else {
        "200 OK"
    };
    Ok(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: 2\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{{}}"
            );
            let mut request = [0; 1024];
            // A client that hangs up early gets no answer; that is its own affair.
            if stream.read(&mut request).await.is_ok() {
                stream.write_all(answer.as_bytes()).await.ok();
            }
        }
    }))
}
