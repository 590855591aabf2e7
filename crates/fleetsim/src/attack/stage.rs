//! The server under attack and what goes on beside it: a fleet that reports, operators that ask.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use api_types::{
    configs::PutConfig,
    rollouts::StartRollout,
    tokens::{CreateToken, CreatedToken},
};
use reqwest::Client;
use runtime::SecretText;
use tokio::time::{interval, sleep};

use super::{AttackOptions, victim::Victim};
use crate::{
    Fleet, Options, Redial, Trust,
    bench::{
        BenchError, Mode, Scratch,
        server::{Server, ServerSetup},
    },
    link::tls,
};

/// Longest wait for anything.
pub(super) const LIMIT: Duration = Duration::from_secs(120);
/// Between the questions of an operator, each on a connection of its own.
const ASK_INTERVAL: Duration = Duration::from_millis(250);
/// Between the configs for agents that do not read.
const RELEASE_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes of such a config.
const RELEASE_BYTES: usize = 256 * 1024;
/// Agents that attackers may add to the fleet.
pub(super) const SPARE_AGENTS: usize = 15_000;
/// One of so many reports is a change of health, which is stored; in the others only times changed.
const FLIP_ONE_IN: u64 = 20;

/// A server with a fleet on it.
pub(super) struct Stage {
    pub server: Server,
    pub fleet: Fleet,
    setup: ServerSetup,
    token: String,
    revoked: String,
    operators: Client,
    _directory: Scratch,
}

/// What operators saw.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    pub requests: u64,
    pub failures: u64,
    pub slowest: Duration,
}

impl Stage {
    pub async fn set(
        options: &AttackOptions,
        mode: Mode,
        open_files: Option<u64>,
    ) -> Result<Self, BenchError> {
        let directory = Scratch::new(&options.directory)?;
        let setup = ServerSetup::new(&options.server, directory.path(), mode, None)?;
        let agents = options.agents + SPARE_AGENTS;
        setup.append(&format!(
            "agents: {{ auth: token }}\nlimits: {{ agents: {agents} }}\n"
        ))?;
        let server = match open_files {
            Some(limit) => setup.start_with_open_files(limit).await?,
            None => setup.start().await?,
        };
        let [(own, _), (token, _), (revoked, id)] = [
            token(&server).await?,
            token(&server).await?,
            token(&server).await?,
        ];
        let path = format!("/api/v1/tokens/{id}");
        let request = server.client().delete(server.url(&path));
        server.send(&format!("DELETE {path}"), request).await?;
        let fleet = Fleet::start(fleet_options(options, &setup, own)?)
            .await
            .map_err(BenchError::Fleet)?;
        if !fleet.settled(LIMIT).await {
            return Err(late(format!("all agents attached: {:?}", fleet.stats())));
        }
        let operators = Client::builder()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(20))
            .build();
        Ok(Self {
            server,
            fleet,
            setup,
            token,
            revoked,
            operators: operators.map_err(|source| BenchError::Http {
                what: "making an HTTP client".to_owned(),
                source,
            })?,
            _directory: directory,
        })
    }

    /// What attackers know.
    pub fn victim(&self) -> Result<Arc<Victim>, BenchError> {
        let connector = match self.setup.mode {
            Mode::Plain => None,
            Mode::Tls => {
                let config = tls::client_config(&Trust::Anything)
                    .map_err(|error| BenchError::io("TLS settings")(io::Error::other(error)))?;
                let mut config = config;
                config.alpn_protocols = vec![b"h2".to_vec()];
                Some(tokio_rustls::TlsConnector::from(Arc::new(config)))
            }
        };
        let mut victim = Victim::new(self.setup.agent_addr(), self.setup.admin_addr(), connector);
        victim.token.clone_from(&self.token);
        victim.revoked.clone_from(&self.revoked);
        let claimed = self.fleet.size().min(200);
        victim.uids = (0..claimed)
            .map(|index| self.fleet.agent(index).uid())
            .collect();
        Ok(Arc::new(victim))
    }

    /// Lets every agent report once a second, evenly, and some of them come anew, for ever.
    pub async fn report(&self, with_redials: bool) -> ! {
        let began = Instant::now();
        let mut ticks = interval(Duration::from_millis(5));
        let mut sent = 0_u64;
        let size = self.fleet.size() as u64;
        loop {
            ticks.tick().await;
            let due = (began.elapsed().as_secs_f64() * size as f64) as u64;
            for number in sent..due {
                let agent = self
                    .fleet
                    .agent(usize::try_from(number % size).unwrap_or(0));
                if number % (size * 2) == size {
                    // One a second or two comes on a new connection.
                    if with_redials {
                        agent.redial();
                    }
                } else if number % FLIP_ONE_IN == 0 {
                    agent.flip_health();
                } else {
                    agent.report();
                }
            }
            sent = due;
        }
    }

    /// Asks the API on a new connection now and then, and notes the answers, for ever.
    pub async fn ask(&self, asked: &mut Asked) -> ! {
        let mut ticks = interval(ASK_INTERVAL);
        loop {
            ticks.tick().await;
            let began = Instant::now();
            let request = self.operators.get(self.server.url("/api/v1/fleet"));
            let answer = self.server.send_with_token(request).await;
            asked.requests += 1;
            asked.slowest = asked.slowest.max(began.elapsed());
            if !answer.is_ok_and(|status| status.is_success()) {
                asked.failures += 1;
            }
        }
    }

    /// Releases one large config after the other to agents that do not read, for ever.
    pub async fn release(&self) -> Result<std::convert::Infallible, BenchError> {
        let mut ticks = interval(RELEASE_INTERVAL);
        let mut version = 0;
        loop {
            ticks.tick().await;
            version += 1;
            let body = crate::bench::collector_config(RELEASE_BYTES, version);
            let request = PutConfig {
                kind: "collector".to_owned(),
                selector: Some("reads=never".into()),
                body,
                ..PutConfig::default()
            };
            let client = self.server.client();
            let url = |path: &str| self.server.url(path);
            let path = "/api/v1/configs/attack";
            self.server
                .send(path, client.put(url(path)).json(&request))
                .await?;
            let start = StartRollout {
                strategy: Some("all_at_once".to_owned()),
                ..StartRollout::default()
            };
            let path = "/api/v1/configs/attack/rollouts";
            self.server
                .send(path, client.post(url(path)).json(&start))
                .await?;
        }
    }

    /// Waits until the attackers' connections are gone.
    pub async fn clear(&self, open_files_before: usize) -> Result<(), BenchError> {
        const SLACK: usize = 20;
        let process = self.server.program.process();
        let deadline = Instant::now() + LIMIT;
        loop {
            let open = process
                .open_files()
                .map_err(BenchError::io("counting open files"))?;
            if open <= open_files_before + SLACK {
                return Ok(());
            }
            if deadline < Instant::now() {
                return Err(late(format!(
                    "the attackers' connections are gone: {open} files are open, {open_files_before} were"
                )));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(super) fn late(what: String) -> BenchError {
    BenchError::Late { what, limit: LIMIT }
}

/// Makes an agent token; its secret and its id.
async fn token(server: &Server) -> Result<(String, String), BenchError> {
    let request = CreateToken {
        description: Some("attack".to_owned()),
        ..CreateToken::default()
    };
    let path = "/api/v1/tokens";
    let request = server.client().post(server.url(path)).json(&request);
    let created: CreatedToken = server.call(&format!("POST {path}"), request).await?;
    Ok((created.secret.unwrap_or_default(), created.token.id))
}

fn fleet_options(
    options: &AttackOptions,
    setup: &ServerSetup,
    token: String,
) -> Result<Options, BenchError> {
    let endpoint = setup
        .endpoint()
        .parse()
        .map_err(|error| BenchError::io("reading the endpoint")(io::Error::other(error)))?;
    let mut fleet = Options::new(endpoint, options.agents);
    fleet.redial = Redial::Every(Duration::from_millis(100));
    fleet.token = Some(SecretText::new(token));
    if let Some(pem) = setup.cert_pem() {
        fleet.trust = Trust::Roots(pem.to_owned());
    }
    Ok(fleet)
}
