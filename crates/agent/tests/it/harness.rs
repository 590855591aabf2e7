//! One agent program in a directory of its own, and the collector that it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);

/// A machine with an agent on it. Dropping it ends agent and collector.
pub struct Machine {
    directory: TempDir,
    /// Text of the section `collector` beside `executable` and `config_path`.
    pub collector: String,
    pub executable: PathBuf,
    pub endpoint: String,
    pub instance_id: String,
    /// What stands in the section `opamp.capabilities`.
    pub capabilities: String,
    /// Variables of the agent's own process.
    pub env: Vec<(&'static str, &'static str)>,
    agent: Option<Child>,
}

/// A line of the stand-in's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub event: String,
    pub pid: i32,
    pub label: String,
}

impl Machine {
    /// A machine whose agent is to talk to `endpoint`; nothing runs yet.
    pub fn new(endpoint: &str) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            collector: "stop_timeout: 5s".to_owned(),
            executable: stand_in(),
            endpoint: endpoint.to_owned(),
            instance_id: "edge-1".to_owned(),
            capabilities: "accepts_remote_config: true, accepts_restart_command: true".to_owned(),
            env: Vec::new(),
            agent: None,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn config_path(&self) -> PathBuf {
        self.path("etc/config.yaml")
    }

    pub fn config(&self) -> String {
        fs::read_to_string(self.config_path()).unwrap_or_default()
    }

    /// Puts a configuration where the operator of the machine would.
    pub fn put_local(&self, text: &str) {
        fs::create_dir_all(self.path("etc")).unwrap();
        fs::write(self.config_path(), text).unwrap();
    }

    /// Keeps the agent from writing the configuration: a directory stands in the place of the temporary file, which
    /// stops even root.
    pub fn block_config(&self) {
        fs::create_dir_all(self.path("etc/.config.yaml.new")).unwrap();
    }

    pub fn unblock_config(&self) {
        fs::remove_dir(self.path("etc/.config.yaml.new")).unwrap();
    }

    /// A configuration of the stand-in with `label` in its journal and further keys of `stand_in`.
    pub fn stand_in_config(&self, label: &str, keys: &str) -> String {
        format!(
            "extensions: {{ stand_in: {{ journal: '{}', label: {label}, {keys} }} }}\n\
             receivers: {{ otlp: {{}} }}\nexporters: {{ debug: {{}} }}\n\
             service: {{ extensions: [stand_in], pipelines: {{ traces: {{ receivers: [otlp], exporters: [debug] }} }} }}\n",
            self.path("journal").display(),
        )
    }

    pub fn command(&self) -> Command {
        let Self {
            collector,
            executable,
            endpoint,
            instance_id,
            capabilities,
            ..
        } = self;
        let settings = format!(
            "opamp:\n  server: {{ endpoint: '{endpoint}' }}\n\
             \x20 agent: {{ instance_id: '{instance_id}', labels: {{ env: prod }} }}\n\
             \x20 capabilities: {{ {capabilities} }}\n\
             \x20 health: {{ report_interval: 1s }}\n\
             collector: {{ executable: '{}', config_path: '{}', {collector} }}\n\
             storage: {{ directory: '{}' }}\nlog: {{ level: debug, format: json }}\n",
            executable.display(),
            self.config_path().display(),
            self.path("state").display(),
        );
        fs::write(self.path("opamp.yaml"), settings).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_opamp-agent"));
        command
            .arg("--config")
            .arg(self.path("opamp.yaml"))
            .envs(self.env.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Starts the agent.
    pub fn start(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("agent.log"))
            .unwrap();
        let child = self
            .command()
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the agent starts");
        self.agent = Some(child);
    }

    /// Ends the agent by SIGKILL.
    pub fn kill(&mut self) {
        let mut agent = self.agent.take().expect("an agent runs");
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Ends the agent by SIGTERM.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut agent = self.agent.take().expect("an agent runs");
        kill_process(Pid::from_child(&agent), Signal::TERM).unwrap();
        tokio::task::spawn_blocking(move || agent.wait().unwrap())
            .await
            .unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// The agent's log lines with this event.
    pub fn events(&self, event: &str) -> Vec<serde_json::Value> {
        let log = self.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    pub fn journal(&self) -> Vec<Entry> {
        let text = fs::read_to_string(self.path("journal")).unwrap_or_default();
        let entry = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some(Entry {
                event: words.next()?,
                pid: words.next()?.parse().ok()?,
                label: words.next()?,
            })
        };
        text.lines().filter_map(entry).collect()
    }

    /// Waits until the journal's last line says this.
    pub async fn until_journal(&self, event: &str, label: &str) -> Entry {
        let what = format!("{event} {label} in the journal");
        let found = until(&what, || {
            self.journal()
                .last()
                .filter(|entry| entry.event == event && entry.label == label)
                .cloned()
        });
        found.await.unwrap_or_else(|what| {
            panic!(
                "in vain waited for {what}: {:?}\n{}",
                self.journal(),
                self.log()
            )
        })
    }

    /// Waits until the agent has logged the event so many times.
    pub async fn until_event(&self, event: &str, count: usize) -> Vec<serde_json::Value> {
        let what = format!("{count} times {event}");
        let found = until(&what, || {
            Some(self.events(event)).filter(|events| count <= events.len())
        });
        found
            .await
            .unwrap_or_else(|what| panic!("in vain waited for {what}\n{}", self.log()))
    }

    /// The collectors that run on this machine.
    pub fn collectors(&self) -> Vec<i32> {
        // The last configuration of every call, whatever else there is.
        let mark = self.path("state/additions.yaml");
        let numbers = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let runs = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            arguments.first() == Some(&self.executable.as_os_str().as_encoded_bytes())
                && arguments.contains(&mark.as_os_str().as_encoded_bytes())
                && !arguments.contains(&b"validate".as_slice())
        };
        numbers.filter(runs).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().ok();
            agent.wait().ok();
        }
        for pid in self.collectors() {
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).ok();
        }
        if std::thread::panicking() {
            eprintln!("--- the agent's log\n{}", self.log());
        }
    }
}

/// Waits until `look` finds something.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if DEADLINE < begun.elapsed() {
            return Err(what.to_owned());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Puts a copy of a program at `to`, as a package is installed or upgraded. Another process writes it: a program that
/// some child of this one still holds open for writing cannot be run.
pub fn install(from: &Path, to: &Path) {
    let next = to.with_extension("new");
    let copied = Command::new("cp").arg(from).arg(&next).status().unwrap();
    assert!(copied.success());
    fs::rename(next, to).unwrap();
}

pub fn is_alive(pid: i32) -> bool {
    // A zombie is dead; who reaps it is another's affair.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The stand-in collector, which cargo builds as an example of this crate.
fn stand_in() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/stand-in-collector");
    assert!(
        path.exists(),
        "{} is missing: `cargo build -p agent --example stand-in-collector`",
        path.display()
    );
    path
}
