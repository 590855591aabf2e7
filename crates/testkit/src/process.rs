//! The real server program as a child process: for crashes, signals and what it prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::api::Api;
use crate::database::TestDatabase;
use crate::server::{ADMIN_TOKEN, Extra, config_text};
use crate::wait::wait_until;

/// A server program with a place of its own; killed when dropped.
pub struct ServerProcess {
    program: PathBuf,
    directory: TempDir,
    /// Its drop removes the database.
    database: TestDatabase,
    agent_addr: SocketAddr,
    admin_addr: SocketAddr,
    child: Option<Child>,
}

impl ServerProcess {
    /// Writes a configuration for `program` and starts it; waits until it is ready.
    ///
    /// # Panics
    /// When it cannot be started or does not become ready.
    pub async fn start(program: impl AsRef<Path>, sections: &str) -> Self {
        let extra = Extra {
            sections: sections.to_owned(),
            ..Extra::default()
        };
        let directory = tempfile::tempdir().expect("a directory");
        let database = TestDatabase::create().await;
        let (agent_addr, admin_addr) = (free_port(), free_port());
        let text = config_text(
            &directory.path().join("data"),
            &database,
            agent_addr,
            admin_addr,
            &extra,
        );
        std::fs::write(directory.path().join("config.yaml"), text).expect("a configuration");
        let program = program.as_ref().to_path_buf();
        let mut process = Self {
            program,
            directory,
            database,
            agent_addr,
            admin_addr,
            child: None,
        };
        process.spawn();
        process.wait_until_ready().await;
        process
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
            .arg(self.directory.path().join("config.yaml"))
            .current_dir(self.directory.path())
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
        let id = self.child.as_ref().and_then(Child::id);
        let pid = id
            .and_then(|id| i32::try_from(id).ok())
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

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }
}

/// A loopback address that was free a moment ago: for a program that must keep its port over restarts.
pub fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address")
}
