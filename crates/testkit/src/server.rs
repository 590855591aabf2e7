//! A server in this process, on free ports, with a database and a data directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Renderer;
use fleetsim::{Endpoint, Fleet, Options, Transport};
use runtime::{Clock, Environment, SystemClock};
use server::config::Settings;
use server::{NewRenderer, Server};
use tempfile::TempDir;

use crate::api::Api;
use crate::database::TestDatabase;
use crate::fleet;

/// The administrator's token of every test server.
pub const ADMIN_TOKEN: &str = "test-administrators-token";

/// A running server.
pub struct TestServer {
    server: Option<Server>,
    agent_addr: SocketAddr,
    admin_addr: SocketAddr,
    place: Place,
    clock: Arc<dyn Clock>,
    renderer: NewRenderer,
}

/// What outlives a restart.
struct Place {
    directory: TempDir,
    database: TestDatabase,
    extra: Extra,
}

/// What a test's configuration says beside the usual.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    /// Whole sections.
    pub sections: String,
    /// Further keys of `server`, as in a flow map.
    pub server: String,
    /// Further keys of `admin`, as in a flow map.
    pub admin: String,
}

/// A server that is yet to start.
pub struct TestServerBuilder {
    extra: Extra,
    clock: Arc<dyn Clock>,
}

impl Extra {
    fn has_tls(&self) -> bool {
        self.server.contains("tls: { enabled: true")
    }
}

impl TestServer {
    /// A server with quick intervals and agents that need no token.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A server to be configured.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder {
            extra: Extra::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Its REST API, as the administrator.
    pub fn api(&self) -> Api {
        Api::new(
            format!("http://{}", self.admin_addr),
            Some(ADMIN_TOKEN.to_owned()),
        )
    }

    /// Where agents connect.
    pub fn agent_addr(&self) -> SocketAddr {
        self.agent_addr
    }

    /// Where the REST API is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Where its files are.
    pub fn data_dir(&self) -> PathBuf {
        self.place.data_dir()
    }

    /// Its database, for the few tests that concern one engine's ways.
    pub fn database(&self) -> &TestDatabase {
        &self.place.database
    }

    /// The server itself.
    ///
    /// # Panics
    /// While it is stopped.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a running server")
    }

    /// A fleet of `agents` simulated agents over WebSocket, quick unless `adjust` says otherwise.
    pub async fn fleet(&self, agents: usize, adjust: impl FnOnce(&mut Options)) -> Fleet {
        self.fleet_over(Transport::WebSocket, agents, adjust).await
    }

    /// A fleet over a transport.
    pub async fn fleet_over(
        &self,
        transport: Transport,
        agents: usize,
        adjust: impl FnOnce(&mut Options),
    ) -> Fleet {
        let mut options = Options::new(self.endpoint(transport), agents);
        fleet::quick(&mut options);
        adjust(&mut options);
        Fleet::start(options).await.expect("a fleet")
    }

    /// What an agent dials.
    pub fn endpoint(&self, transport: Transport) -> Endpoint {
        let address = self.agent_addr;
        let secure = if self.place.extra.has_tls() { "s" } else { "" };
        let url = match transport {
            Transport::WebSocket => format!("ws{secure}://{address}/v1/opamp"),
            Transport::Http => format!("http{secure}://{address}/v1/opamp"),
            Transport::Grpc => format!("grpc{secure}://{address}"),
        };
        url.parse().expect("an endpoint")
    }

    /// Stops the server in good order.
    ///
    /// # Panics
    /// When it does not end in good order.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await.expect("a good end");
        }
    }

    /// Puts other sections in place of those of [`TestServerBuilder::config`], from the next start on.
    pub fn set_config(&mut self, yaml: &str) {
        yaml.clone_into(&mut self.place.extra.sections);
    }

    /// Makes it a server of another version from the next start on: one that writes contents for agents otherwise.
    pub fn set_renderer(&mut self, renderer: NewRenderer) {
        self.renderer = renderer;
    }

    /// Stops the server and starts it again on the same ports, database and directory.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Starts a stopped server on the ports it had.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        let settings = self.place.settings(self.agent_addr, self.admin_addr);
        let started = Server::start_with(settings, Arc::clone(&self.clock), self.renderer);
        self.server = Some(started.await.expect("a server"));
    }
}

impl TestServerBuilder {
    /// Adds whole sections to the configuration, as YAML.
    #[must_use]
    pub fn config(mut self, yaml: &str) -> Self {
        self.extra.sections.push_str(yaml);
        self
    }

    /// Adds keys to the section `server`, as in a flow map: `tls: { enabled: true }`.
    #[must_use]
    pub fn server_config(mut self, keys: &str) -> Self {
        self.extra.server = keys.to_owned();
        self
    }

    /// Adds keys to the section `admin`, as in a flow map.
    #[must_use]
    pub fn admin_config(mut self, keys: &str) -> Self {
        self.extra.admin = keys.to_owned();
        self
    }

    /// Another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(self) -> TestServer {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place {
            directory,
            database: TestDatabase::create().await,
            extra: self.extra,
        };
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let server = Server::start(place.settings(any, any), Arc::clone(&self.clock))
            .await
            .expect("a server");
        let (agent_addr, admin_addr) = (server.agent_addr(), server.admin_addr());
        TestServer {
            server: Some(server),
            agent_addr,
            admin_addr,
            place,
            clock: self.clock,
            renderer: Renderer::new,
        }
    }
}

impl Place {
    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn settings(&self, agents: SocketAddr, admin: SocketAddr) -> Settings {
        let text = config_text(&self.data_dir(), &self.database, agents, admin, &self.extra);
        Settings::parse("test.yaml", &text, &Environment::default()).expect("good settings")
    }
}

/// The configuration of a test's server; `timing` is quick unless `extra` has it.
pub fn config_text(
    data_dir: &Path,
    database: &TestDatabase,
    agents: SocketAddr,
    admin: SocketAddr,
    extra: &Extra,
) -> String {
    let mut text = format!(
        "server: {{ listen: {{ grpc: '{agents}', http: '{admin}' }}, {} }}\n\
         data_dir: '{}'\nadmin: {{ bootstrap_token: {ADMIN_TOKEN}, {} }}\n{}{}",
        extra.server,
        data_dir.display(),
        extra.admin,
        database.section(),
        extra.sections,
    );
    if !extra.sections.contains("timing:") {
        text.push_str(
            "timing: { commit_interval: 20ms, liveness_flush: 1s, resync: 1s, drain: 2s }\n",
        );
    }
    text
}
