//! The real server program as a child process: for crashes, signals and what it prints.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::api::Api;
use crate::database::TestDatabase;
use crate::server::{ADMIN_TOKEN, Extra, config_text};
use crate::wait::{DEADLINE, wait_until};

/// A server program with a place of its own; killed when dropped.
pub struct ServerProcess {
    program: PathBuf,
    directory: TempDir,
    /// Its drop removes the database.
    database: TestDatabase,
    agent_addr: SocketAddr,
    admin_addr: SocketAddr,
    extra: Extra,
    environment: Vec<(&'static str, OsString)>,
    child: Option<Child>,
}

impl ServerProcess {
    /// Writes a configuration for `program` and starts it; waits until it is ready.
    ///
    /// # Panics
    /// When it cannot be started or does not become ready.
    pub async fn start(program: impl AsRef<Path>, sections: &str) -> Self {
        Self::start_on(TestDatabase::create().await, program, sections).await
    }

    /// The same on a database of the caller's.
    ///
    /// # Panics
    /// When it cannot be started or does not become ready.
    pub async fn start_on(
        database: TestDatabase,
        program: impl AsRef<Path>,
        sections: &str,
    ) -> Self {
        let extra = Extra {
            sections: sections.to_owned(),
            ..Extra::default()
        };
        let directory = tempfile::tempdir().expect("a directory");
        let (agent_addr, admin_addr) = (free_port(), free_port());
        let program = program.as_ref().to_path_buf();
        let mut process = Self {
            program,
            directory,
            database,
            agent_addr,
            admin_addr,
            extra,
            environment: Vec::new(),
            child: None,
        };
        process.write_config();
        process.spawn();
        process.wait_until_ready().await;
        process
    }

    fn write_config(&self) {
        let (agents, admin) = (self.agent_addr, self.admin_addr);
        let text = config_text(&self.data_dir(), &self.database, agents, admin, &self.extra);
        std::fs::write(self.config_file(), text).expect("a configuration");
    }

    /// Sets a variable of the program's environment from its next start on.
    pub fn set_environment(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.environment.push((name, value.into()));
    }

    /// Gives it another database, empty, from its next start on: on SQLite nothing changes, whose file stays where it is.
    pub async fn use_new_database(&mut self) {
        if !self.writes_files() {
            self.database = TestDatabase::create().await;
            self.write_config();
        }
    }

    /// Runs the program with its configuration and these arguments, to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        Command::new(&self.program)
            .arg("--config")
            .arg(self.config_file())
            .args(arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("a process")
    }

    /// Starts the program again after [`Self::kill`].
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log");
        let child = Command::new(&self.program)
            .arg("--config")
            .arg(self.config_file())
            .current_dir(self.directory.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.expect("a process"));
    }

    /// Waits until `/ready` says 200.
    pub async fn wait_until_ready(&self) {
        let api = self.api();
        wait_until("the server to be ready", async || {
            let request = api.request(reqwest::Method::GET, "/ready");
            api.try_send(request)
                .await
                .is_some_and(|answer| answer.status.is_success())
        })
        .await;
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    ///
    /// # Panics
    /// When it is not running.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("a running server");
        child.kill().await.expect("killed");
    }

    /// Waits until it has ended by itself, and gives how.
    ///
    /// # Panics
    /// When it is not running, or does not end.
    pub async fn wait_until_gone(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running server");
        let ended = tokio::time::timeout(DEADLINE, child.wait()).await;
        ended.expect("an end").expect("a status")
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it is not running.
    pub fn id(&self) -> u32 {
        let id = self.child.as_ref().and_then(Child::id);
        id.expect("a running server")
    }

    /// Sends it SIGTERM, waits for its end, and gives its exit status.
    ///
    /// # Panics
    /// When it is not running, or was killed by a signal.
    pub async fn terminate(&mut self) -> i32 {
        let mut child = self.child.take().expect("a running server");
        let pid = child.id().expect("a running server").to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .expect("kill");
        assert!(sent.success());
        child
            .wait()
            .await
            .expect("an end")
            .code()
            .expect("an exit status")
    }

    /// Lets no file of its grow beyond so many bytes from now on, which is how a full disk is to be had without one;
    /// `None` lifts that. The program must have been started with SIGXFSZ ignored.
    ///
    /// # Panics
    /// When it is not running.
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        let pid = i32::try_from(self.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a running server");
        let limit = rustix::process::Rlimit {
            current: bytes,
            maximum: None,
        };
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit)
            .expect("a limit that may be set");
    }

    /// Whether its data lie in files of its own, and not with a database server.
    pub fn writes_files(&self) -> bool {
        self.database.is_sqlite()
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

    /// What it has logged so far, in all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The file of its configuration.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    /// Where its database and token are.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }
}

/// A loopback address that was free a moment ago: for a program that must keep its port over restarts.
pub fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address")
}
