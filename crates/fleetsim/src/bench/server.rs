//! The server under test: its configuration file, its process, its API.

use std::{
    fmt::Write as _,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use api_types::{
    configs::PutConfig,
    fleet::Fleet as FleetCounts,
    plans::{Plan, PlanConfig},
    rollouts::StartRollout,
};
use rand::RngExt as _;
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};

use super::{error::BenchError, figure::Mode};
use crate::{certificate::Certificate, process::Process};

/// The database's file in the server's data directory.
const DATABASE: &str = "opamp.db";
/// How long a server may take to become ready, migrations and preload included.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How often readiness is asked for; the restart storm counts from the answer.
const READY_INTERVAL: Duration = Duration::from_millis(5);
/// How long a server may take to stop in good order.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for one API call.
const API_LIMIT: Duration = Duration::from_secs(60);

/// A program that runs for the benchmark; it is killed when this is dropped.
pub(crate) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    pub(crate) fn start(
        path: &Path,
        arguments: &[&str],
        log: PathBuf,
        stdout: Stdio,
    ) -> Result<Self, BenchError> {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let stderr = File::options().create(true).append(true).open(&log);
        let stderr = stderr.map_err(BenchError::io(format!("opening {}", log.display())))?;
        let child = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| BenchError::Program {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            name: name.unwrap_or_default(),
            child,
            log,
        })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn process(&self) -> Process {
        // A child that was not waited for has an id.
        Process::new(self.child.id().unwrap_or_default())
    }

    /// Fails when the program has ended.
    pub(crate) fn still_running(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("ended with {status}"))),
            Err(source) => Err(BenchError::io(format!("waiting for {}", self.name))(source)),
        }
    }

    pub(crate) fn failed(&self, what: &str) -> BenchError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        let log = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        BenchError::Child {
            program: self.name.clone(),
            what: what.to_owned(),
            log,
        }
    }

    /// Asks it to stop as SIGTERM does, and waits until it is gone.
    pub(super) async fn stop(&mut self) -> Result<(), BenchError> {
        let failed = |name: &str| BenchError::io(format!("stopping {name}"));
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let asked = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            asked.map_err(|error| failed(&self.name)(error.into()))?;
        }
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.failed(&format!("ended with {status}"))),
            Ok(Err(error)) => Err(failed(&self.name)(error)),
            Err(_) => Err(self.failed("did not stop")),
        }
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), BenchError> {
        self.child
            .kill()
            .await
            .map_err(BenchError::io(format!("killing {}", self.name)))
    }
}

/// A revision of a config for all agents.
pub(crate) fn revision_of(body: &str) -> PutConfig {
    PutConfig {
        kind: "collector".to_owned(),
        body: body.to_owned(),
        message: Some("benchmark".to_owned()),
        ..PutConfig::default()
    }
}

/// Where and how the server under test runs.
pub(crate) struct ServerSetup {
    program: PathBuf,
    directory: PathBuf,
    pub(crate) mode: Mode,
    agents: SocketAddr,
    admin: SocketAddr,
    token: String,
    certificate: Option<Certificate>,
}

impl ServerSetup {
    /// Writes the configuration of a fresh server into `directory`.
    ///
    /// It says where to listen and where to keep its data; everything else is the default, but for
    /// the smoke run, which does not wait a minute for the liveness flush.
    pub(crate) fn new(
        program: &Path,
        directory: &Path,
        mode: Mode,
        liveness_flush: Option<Duration>,
    ) -> Result<Self, BenchError> {
        let certificate = match mode {
            Mode::Plain => None,
            Mode::Tls => Some(Certificate::generate().map_err(BenchError::Certificate)?),
        };
        let token: [u8; 16] = rand::rng().random();
        let setup = Self {
            program: program.to_owned(),
            directory: directory.to_owned(),
            mode,
            agents: free_address()?,
            admin: free_address()?,
            token: format!("bench-{}", crate::wire::identity::hex(&token)),
            certificate,
        };
        let path = setup.config_file();
        let text = setup.config(liveness_flush)?;
        std::fs::write(&path, text)
            .map_err(BenchError::io(format!("writing {}", path.display())))?;
        Ok(setup)
    }

    fn config_file(&self) -> PathBuf {
        self.directory.join("config.yaml")
    }

    fn config(&self, liveness_flush: Option<Duration>) -> Result<String, BenchError> {
        let mut text = String::new();
        let mut line = |parts: std::fmt::Arguments<'_>| {
            text.write_fmt(parts)
                .expect("writing to a string cannot fail");
            text.push('\n');
        };
        line(format_args!("server:"));
        line(format_args!(
            "  listen: {{ grpc: \"{}\", http: \"{}\" }}",
            self.agents, self.admin
        ));
        if let Some(certificate) = &self.certificate {
            let files = certificate
                .write(&self.directory)
                .map_err(BenchError::Certificate)?;
            let (cert, key) = (quoted(&files.0), quoted(&files.1));
            line(format_args!(
                "  tls: {{ enabled: true, cert_file: {cert}, key_file: {key} }}"
            ));
        }
        line(format_args!(
            "data_dir: {}",
            quoted(&self.directory.join("data"))
        ));
        line(format_args!(
            "admin: {{ bootstrap_token: \"{}\" }}",
            self.token
        ));
        if let Some(interval) = liveness_flush {
            line(format_args!(
                "timing: {{ liveness_flush: {}ms }}",
                interval.as_millis()
            ));
        }
        Ok(text)
    }

    /// Adds sections to the configuration.
    pub(crate) fn append(&self, sections: &str) -> Result<(), BenchError> {
        use std::io::Write as _;
        let path = self.config_file();
        let opened = File::options().append(true).open(&path);
        let written = opened.and_then(|mut file| file.write_all(sections.as_bytes()));
        written.map_err(BenchError::io(format!("writing {}", path.display())))
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<Server, BenchError> {
        self.start_as(&self.program, &[]).await
    }

    /// Starts the server, which may have so many open files, and waits until it is ready.
    pub(crate) async fn start_with_open_files(&self, limit: u64) -> Result<Server, BenchError> {
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        let server = self.program.display().to_string();
        self.start_as(Path::new("/bin/sh"), &["-c", &script, &server])
            .await
    }

    async fn start_as(&self, program: &Path, arguments: &[&str]) -> Result<Server, BenchError> {
        let config = self.config_file().display().to_string();
        let log = self.directory.join("server.log");
        let arguments = [arguments, &["--config", &config]].concat();
        let program = Program::start(program, &arguments, log, Stdio::null())?;
        let client = Client::builder().timeout(API_LIMIT).build();
        let client = client.map_err(http("making an HTTP client"))?;
        let base = format!("http://{}", self.admin);
        let mut server = Server {
            program,
            client,
            base,
            token: self.token.clone(),
            ready_at: Instant::now(),
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The database's file.
    pub(super) fn database(&self) -> PathBuf {
        self.directory.join("data").join(DATABASE)
    }

    /// Where agents dial.
    pub(crate) fn endpoint(&self) -> String {
        let scheme = match self.mode {
            Mode::Plain => "ws",
            Mode::Tls => "wss",
        };
        format!("{scheme}://{}/v1/opamp", self.agents)
    }

    /// Where agents dial, as an address.
    pub(crate) fn agent_addr(&self) -> SocketAddr {
        self.agents
    }

    /// Where operators dial.
    pub(crate) fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// The certificate that agents trust.
    pub(crate) fn cert_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(Certificate::cert_pem)
    }
}

/// A running server under test.
pub(crate) struct Server {
    pub(crate) program: Program,
    client: Client,
    base: String,
    token: String,
    /// When `/ready` first answered 200.
    pub(crate) ready_at: Instant,
}

impl Server {
    async fn wait_until_ready(&mut self) -> Result<(), BenchError> {
        let deadline = Instant::now() + READY_LIMIT;
        let url = format!("{}/ready", self.base);
        loop {
            self.program.still_running()?;
            let told = match self.client.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => {
                    self.ready_at = Instant::now();
                    return Ok(());
                }
                Ok(answer) => format!("/ready is answered {}", answer.status()),
                Err(error) => runtime::logging::error_chain(&error),
            };
            if deadline < Instant::now() {
                return Err(self
                    .program
                    .failed(&format!("did not become ready ({told})")));
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
    }

    /// Makes a revision of a config for the agents that `selector` matches; empty: every agent.
    pub(crate) async fn put_config(
        &self,
        name: &str,
        selector: &str,
        body: &str,
    ) -> Result<(), BenchError> {
        let request = PutConfig {
            selector: Some(selector.into()),
            ..revision_of(body)
        };
        self.put(name, &request).await
    }

    /// Makes a revision of a config.
    pub(crate) async fn put(&self, name: &str, request: &PutConfig) -> Result<(), BenchError> {
        let path = format!("/api/v1/configs/{name}");
        let request = self.client.put(self.url(&path)).json(request);
        self.call::<serde_json::Value>(&format!("PUT {path}"), request)
            .await
            .map(drop)
    }

    /// Releases the newest revision; returns the moment before the first byte was sent.
    pub(crate) async fn release(&self, name: &str) -> Result<Instant, BenchError> {
        let request = StartRollout {
            strategy: Some("all_at_once".to_owned()),
            ..StartRollout::default()
        };
        let path = format!("/api/v1/configs/{name}/rollouts");
        let request = self.client.post(self.url(&path)).json(&request);
        let began = Instant::now();
        self.call::<serde_json::Value>(&format!("POST {path}"), request)
            .await?;
        Ok(began)
    }

    /// What the release of a revision that is not made yet would do; how long the answer took.
    pub(crate) async fn plan(
        &self,
        name: &str,
        edit: PutConfig,
    ) -> Result<(Plan, Duration), BenchError> {
        let request = PlanConfig {
            edit: Some(edit),
            ..PlanConfig::default()
        };
        let path = format!("/api/v1/configs/{name}/plan");
        let request = self.client.post(self.url(&path)).json(&request);
        let began = Instant::now();
        let plan = self.call(&format!("POST {path}"), request).await?;
        Ok((plan, began.elapsed()))
    }

    /// The sum of the metrics of that name.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64, BenchError> {
        const WHAT: &str = "GET /metrics";
        let answer = self.client.get(self.url("/metrics")).send().await;
        let text = answer
            .map_err(http(WHAT))?
            .text()
            .await
            .map_err(http(WHAT))?;
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let series = series.split('{').next()?;
            (series == name).then(|| value.parse::<f64>().ok())?
        });
        Ok(values.sum())
    }

    /// The server's own count of its fleet.
    pub(crate) async fn fleet(&self) -> Result<FleetCounts, BenchError> {
        self.call(
            "GET /api/v1/fleet",
            self.client.get(self.url("/api/v1/fleet")),
        )
        .await
    }

    /// The HTTP client that its API is asked with.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Access to the API for a thread of its own.
    pub(super) fn access(&self) -> Access {
        Access {
            base: self.base.clone(),
            token: self.token.clone(),
        }
    }

    /// Stops it in good order, as SIGTERM does, and waits until it is gone.
    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        self.program.stop().await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Sends a request of an operator and wants it to succeed.
    pub(crate) async fn send(&self, what: &str, request: RequestBuilder) -> Result<(), BenchError> {
        let status = self.send_with_token(request).await.map_err(http(what))?;
        if status.is_success() {
            return Ok(());
        }
        Err(BenchError::Refused {
            what: what.to_owned(),
            status: status.as_u16(),
            body: String::new(),
        })
    }

    /// Sends a request of an operator, reads its answer and gives the status.
    pub(crate) async fn send_with_token(
        &self,
        request: RequestBuilder,
    ) -> Result<reqwest::StatusCode, reqwest::Error> {
        let answer = request.bearer_auth(&self.token).send().await?;
        let status = answer.status();
        answer.bytes().await?;
        Ok(status)
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        what: &str,
        request: RequestBuilder,
    ) -> Result<T, BenchError> {
        let answer = request
            .bearer_auth(&self.token)
            .send()
            .await
            .map_err(http(what))?;
        let status = answer.status();
        if !status.is_success() {
            let body = answer.text().await.unwrap_or_default();
            return Err(BenchError::Refused {
                what: what.to_owned(),
                status: status.as_u16(),
                body,
            });
        }
        answer.json().await.map_err(http(what))
    }
}

/// Where the API is, and the right to use it.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) base: String,
    pub(super) token: String,
}

pub(super) fn http(what: &str) -> impl FnOnce(reqwest::Error) -> BenchError {
    let what = what.to_owned();
    move |source| BenchError::Http { what, source }
}

/// A path as a YAML scalar; JSON's strings are YAML's.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.display().to_string()).to_string()
}

/// A loopback address that nobody listens on, and that no outgoing connection takes by chance:
/// the server must have the same one again after it was killed.
fn free_address() -> Result<SocketAddr, BenchError> {
    const BELOW_EPHEMERAL: std::ops::Range<u16> = 20_000..30_000;
    let mut random = rand::rng();
    for _ in 0..100 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, random.random_range(BELOW_EPHEMERAL)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(BenchError::io("finding a free port")(
        std::io::ErrorKind::AddrInUse.into(),
    ))
}
