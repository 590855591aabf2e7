//! The server under test: its configuration file, its process, its API.

use std::{
    fmt::Write as _,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use api_types::{configs::PutConfig, fleet::Fleet as FleetCounts, rollouts::StartRollout};
use rand::RngExt as _;
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};

use super::{error::BenchError, figure::Mode};
use crate::{certificate::Certificate, process::Process};

/// How long a server may take to become ready, migrations and preload included.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How often readiness is asked for; the restart storm counts from the answer.
const READY_INTERVAL: Duration = Duration::from_millis(5);
/// Longest wait for one API call.
const API_LIMIT: Duration = Duration::from_secs(60);

/// A program that runs for the benchmark; it is killed when this is dropped.
pub(super) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    pub(super) fn start(
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

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(super) fn process(&self) -> Process {
        // A child that was not waited for has an id.
        Process::new(self.child.id().unwrap_or_default())
    }

    /// Fails when the program has ended.
    pub(super) fn still_running(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("ended with {status}"))),
            Err(source) => Err(BenchError::io(format!("waiting for {}", self.name))(source)),
        }
    }

    pub(super) fn failed(&self, what: &str) -> BenchError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        let log = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        BenchError::Child {
            program: self.name.clone(),
            what: what.to_owned(),
            log,
        }
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(super) async fn kill(&mut self) -> Result<(), BenchError> {
        self.child
            .kill()
            .await
            .map_err(BenchError::io(format!("killing {}", self.name)))
    }
}

/// Where and how the server under test runs.
pub(super) struct ServerSetup {
    program: PathBuf,
    directory: PathBuf,
    pub(super) mode: Mode,
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
    pub(super) fn new(
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

    /// Starts the server and waits until it is ready.
    pub(super) async fn start(&self) -> Result<Server, BenchError> {
        let config = self.config_file().display().to_string();
        let log = self.directory.join("server.log");
        let program = Program::start(&self.program, &["--config", &config], log, Stdio::null())?;
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

    /// Where agents dial.
    pub(super) fn endpoint(&self) -> String {
        let scheme = match self.mode {
            Mode::Plain => "ws",
            Mode::Tls => "wss",
        };
        format!("{scheme}://{}/v1/opamp", self.agents)
    }

    /// The certificate that agents trust.
    pub(super) fn cert_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(Certificate::cert_pem)
    }
}

/// A running server under test.
pub(super) struct Server {
    pub(super) program: Program,
    client: Client,
    base: String,
    token: String,
    /// When `/ready` first answered 200.
    pub(super) ready_at: Instant,
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

    /// Makes a revision of a config for every agent.
    pub(super) async fn put_config(&self, name: &str, body: &str) -> Result<(), BenchError> {
        let request = PutConfig {
            kind: "collector".to_owned(),
            body: body.to_owned(),
            message: Some("benchmark".to_owned()),
            ..PutConfig::default()
        };
        let path = format!("/api/v1/configs/{name}");
        let request = self.client.put(self.url(&path)).json(&request);
        self.call::<serde_json::Value>(&format!("PUT {path}"), request)
            .await
            .map(drop)
    }

    /// Releases the newest revision; returns the moment before the first byte was sent.
    pub(super) async fn release(&self, name: &str) -> Result<Instant, BenchError> {
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

    /// The server's own count of its fleet.
    pub(super) async fn fleet(&self) -> Result<FleetCounts, BenchError> {
        self.call(
            "GET /api/v1/fleet",
            self.client.get(self.url("/api/v1/fleet")),
        )
        .await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn call<T: DeserializeOwned>(
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

fn http(what: &str) -> impl FnOnce(reqwest::Error) -> BenchError {
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
