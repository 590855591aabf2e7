//! A server's life: open, serve, drain.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::{ApiState, Readiness};
use engine::admin::source::SourceDesk;
use engine::{Engine, Renderer, SealingKey};
use gateway::Gateway;
use metrics_exporter_prometheus::PrometheusHandle;
use runtime::{CancellationToken, Clock, TaskError, Tasks};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::admin_plane::AdminPlane;
use crate::admin_threads::AdminThreads;
use crate::admin_token::{self, TokenPlace};
use crate::config::{DatabasePlace, Settings};
use crate::data_dir::DataDir;
use crate::error::{StartError, StopError};
use crate::loops::Loops;
use crate::source::{self, SourceLoop};
use crate::{options, restore};

/// How long the step that a loop is in may take when the server stops.
const LOOPS_GRACE: Duration = Duration::from_secs(10);
/// What a plane gets to end on top of its own drain time.
const PLANE_GRACE: Duration = Duration::from_secs(5);

/// Makes what makes the contents for agents, within limits.
pub type NewRenderer = fn(engine::ContentLimits) -> Renderer;

/// A running server. Dropped without [`Server::stop`] it ends as if it were killed.
pub struct Server {
    engine: Engine,
    clock: Arc<dyn Clock>,
    agent_addr: SocketAddr,
    admin_addr: SocketAddr,
    public_url: String,
    admin_url: String,
    token: TokenPlace,
    readiness: watch::Sender<Readiness>,
    agent_plane: Tasks,
    admin_plane: Tasks,
    /// Connections to the database may have been opened on them: they outlive it.
    admin_threads: AdminThreads,
    loops: Tasks,
    /// Held until everything else has ended.
    _data_dir: DataDir,
}

impl Server {
    /// Opens the database, takes both ports, and serves.
    ///
    /// # Errors
    /// What stands in the way, by the key of the configuration that would change it.
    pub async fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::start_with(settings, clock, Renderer::new).await
    }

    /// [`Server::start`] with what makes the contents for agents, from its limits.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(
        settings: Settings,
        clock: Arc<dyn Clock>,
        renderer: NewRenderer,
    ) -> Result<Self, StartError> {
        let descriptors = runtime::raise_fd_limit();
        let metrics = crate::metrics::install().map_err(StartError::Metrics)?;
        engine::register_metrics();
        for warning in &settings.warnings {
            warn!(event = "configuration_warning", warning, "worth a look");
        }
        let data_dir = open_data_dir(&settings)?;
        let db = store::Db::open(&options::database(&settings.database), clock.now()).await?;
        let key = sealing_key(&settings, &data_dir)?;
        let options = options::engine(&settings, key)?;
        let renderer = renderer(options.limits.desired);
        let engine = Engine::open_with(db, renderer, options, clock.now()).await?;
        let token = admin_token::prepare(&engine, &data_dir, &settings, clock.now()).await?;
        let source = settings.config_source.as_ref();
        let let_go = engine
            .let_go_of_sources(source.map(|source| &source.namespace), clock.now())
            .await
            .map_err(StartError::Sources)?;
        if 0 < let_go {
            warn!(
                event = "config_source_removed",
                configs = let_go,
                "configs of a source that is configured no more are changed through the API now"
            );
        }
        let gateway = Gateway::bind(options::gateway(&settings, &clock)?, engine.clone())?;
        let admin_threads = AdminThreads::start().map_err(StartError::Threads)?;
        let admin = bind_admin(&settings, &admin_threads).await?;
        let (agent_addr, admin_addr) = (gateway.local_addr(), admin.1);
        let source = open_source(&settings, (&engine, &clock), &data_dir, agent_addr)?;
        let mut server = Self {
            engine,
            clock,
            agent_addr,
            admin_addr,
            public_url: options::public_url(&settings, agent_addr),
            admin_url: options::admin_url(&settings, admin_addr),
            token,
            readiness: watch::Sender::new(Readiness::Starting),
            agent_plane: Tasks::new(settings.timing.drain + PLANE_GRACE),
            admin_plane: Tasks::new(PLANE_GRACE),
            admin_threads,
            loops: Tasks::new(LOOPS_GRACE),
            _data_dir: data_dir,
        };
        let desk = source.map(|(desk, source)| {
            server
                .loops
                .start("config_source", |shutdown| source.run(shutdown));
            desk
        });
        server.serve(&settings, gateway, (admin.0, desk), metrics);
        info!(
            event = "server_started",
            version = env!("CARGO_PKG_VERSION"),
            agents = %agent_addr,
            admin = %admin_addr,
            descriptors = descriptors.now,
            known_agents = server.engine.known_agents(),
            "ready"
        );
        Ok(server)
    }

    fn serve(
        &mut self,
        settings: &Settings,
        gateway: Gateway,
        (admin, source): (AdminPlane, Option<SourceDesk>),
        metrics: PrometheusHandle,
    ) {
        let loops = Loops {
            engine: self.engine.clone(),
            clock: Arc::clone(&self.clock),
            timing: settings.timing.clone(),
            metrics: metrics.clone(),
        };
        loops.start(&mut self.loops);
        let state = self.api_state(metrics);
        let router = api::router(match source {
            Some(source) => state.with_source(source),
            None => state,
        });
        let admin_threads = &self.admin_threads;
        self.admin_plane.start("admin_plane", |shutdown| {
            let serving = admin_threads.spawn(admin.serve(router, shutdown));
            async { serving.await.map_err(io::Error::other)? }
        });
        self.agent_plane
            .start("agent_plane", |shutdown| serve_agents(gateway, shutdown));
        self.readiness.send_replace(Readiness::Ready);
    }

    /// Where agents connect.
    pub fn agent_addr(&self) -> SocketAddr {
        self.agent_addr
    }

    /// Where the REST API is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// What agents are told to connect to.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// What people and scripts are told to connect to.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Where an administrator finds the token.
    pub fn token_place(&self) -> &TokenPlace {
        &self.token
    }

    /// The engine, for tests that look into it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    fn api_state(&self, metrics: PrometheusHandle) -> ApiState {
        let clock = Arc::clone(&self.clock);
        let readiness = self.readiness.subscribe();
        ApiState::new(
            self.engine.clone(),
            metrics,
            readiness,
            &self.public_url,
            move || clock.now(),
        )
    }

    /// Serves until `stop` resolves or a part ends by itself, then drains.
    ///
    /// # Errors
    /// The part that ended, or did not end in time, and what could not be written.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), StopError> {
        let early = tokio::select! {
            biased;
            () = stop => Ok(()),
            ended = self.agent_plane.first_end() => Err(ended),
            ended = self.admin_plane.first_end() => Err(ended),
            ended = self.loops.first_end() => Err(ended),
        };
        let drained = self.stop().await;
        early.map_err(StopError::Task).and(drained)
    }

    /// Stops in good order: `/ready` says 503, agents are told when to come back, the loops end, and what is only in memory is
    /// written.
    ///
    /// # Errors
    /// The part that did not end in time, and what could not be written.
    pub async fn stop(self) -> Result<(), StopError> {
        self.readiness.send_replace(Readiness::Draining);
        let agents = self.agent_plane.shut_down().await;
        let admins = self.admin_plane.shut_down().await;
        let loops = self.loops.shut_down().await;
        let written = self
            .engine
            .drain(self.clock.now())
            .await
            .map_err(StopError::Drain);
        self.engine.db().close().await;
        let ended: Result<(), TaskError> = agents.and(admins).and(loops);
        ended.map_err(StopError::Task).and(written)
    }
}

/// SQLite's file must be one process's; PostgreSQL's nodes may share a machine and a directory.
fn open_data_dir(settings: &Settings) -> Result<DataDir, StartError> {
    match &settings.database.place {
        DatabasePlace::Sqlite(file) => {
            let held = DataDir::hold(&settings.data_dir)?.hold_database(file)?;
            let file = file.canonicalize().unwrap_or_else(|_| file.clone());
            if let Some(replaced) = restore::finish(&file).map_err(StartError::Restore)? {
                warn!(event = "restore_finished", replaced = %replaced.display(), "a restore had been broken off");
            }
            Ok(held)
        }
        DatabasePlace::Postgres(_) => Ok(DataDir::share(&settings.data_dir)),
    }
}

/// The key that secrets are sealed with: the one of the settings, else what the server keeps where it has a directory alone.
fn sealing_key(
    settings: &Settings,
    data_dir: &DataDir,
) -> Result<Option<Arc<SealingKey>>, StartError> {
    match (&settings.secrets_key, &settings.database.place) {
        (Some(key), _) => Ok(Some(Arc::clone(key))),
        (None, DatabasePlace::Sqlite(_)) => {
            let key = data_dir.sealing_key(&options::random()?)?;
            Ok(Some(Arc::new(key)))
        }
        (None, DatabasePlace::Postgres(_)) => Ok(None),
    }
}

/// The config source, if there is one. Nodes that share a directory have a mirror each.
fn open_source(
    settings: &Settings,
    (engine, clock): (&Engine, &Arc<dyn Clock>),
    data_dir: &DataDir,
    agent_addr: SocketAddr,
) -> Result<Option<(SourceDesk, SourceLoop)>, StartError> {
    let Some(configured) = &settings.config_source else {
        return Ok(None);
    };
    let directory = data_dir.path().join(match settings.database.place {
        DatabasePlace::Sqlite(_) => "config-source".to_owned(),
        DatabasePlace::Postgres(_) => format!("config-source-{}", agent_addr.port()),
    });
    let desk = source::desk(configured);
    let opened = SourceLoop::open(
        engine.clone(),
        Arc::clone(clock),
        (desk.clone(), configured),
        &directory,
    );
    let opened = opened.map_err(StartError::ConfigSource)?;
    Ok(Some((desk, opened)))
}

async fn bind_admin(
    settings: &Settings,
    threads: &AdminThreads,
) -> Result<(AdminPlane, SocketAddr), StartError> {
    let (address, tls) = (settings.admin_address, settings.admin_tls.clone());
    let binding = threads.spawn(async move { AdminPlane::bind(address, tls.as_ref()).await });
    let bound = binding.await.map_err(io::Error::other).flatten();
    let with_address = bound.and_then(|plane| plane.local_addr().map(|address| (plane, address)));
    with_address.map_err(|source| StartError::AdminAddress { address, source })
}

async fn serve_agents(gateway: Gateway, shutdown: CancellationToken) -> Result<(), Infallible> {
    gateway.serve(shutdown.cancelled_owned()).await;
    Ok(())
}
