//! Programs for the cases, each found or built, in directories of their own, ended when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A program of a case; it is stopped when dropped, and its log is shown when the case failed.
pub struct Program {
    child: Child,
    log: PathBuf,
}

/// `opamp-agent` with a real collector.
pub struct Agent {
    // Invariant: dropped before the directory, so that its log can still be shown.
    _program: Program,
    pub directory: TempDir,
}

impl Program {
    /// Starts `command` with its output in `log`.
    pub fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = fs::File::create(&log).expect("a log file");
        let output = file.try_clone().expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(file)
            .spawn();
        Self {
            child: child.expect("the program starts"),
            log,
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process number")
    }

    /// Stops it in order.
    pub fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        self.child.wait().ok();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- {}\n{log}", self.log.display());
        }
    }
}

impl Agent {
    /// Starts an agent that runs `collector` and dials `endpoint`.
    pub fn start(collector: &Path, endpoint: &str) -> Self {
        Self::start_with(collector, &format!("endpoint: '{endpoint}'"))
    }

    /// Starts an agent that runs `collector` and reaches its server by these keys of `opamp.server`.
    pub fn start_with(collector: &Path, server: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let settings = format!(
            "opamp:\n  server: {{ {server}, polling_interval: 1s }}\n\
             \x20 agent: {{ instance_id: edge-1, labels: {{ env: prod }} }}\n\
             \x20 capabilities: {{ accepts_remote_config: true, accepts_restart_command: true }}\n\
             collector: {{ executable: '{}', config_path: '{}' }}\n\
             storage: {{ directory: '{}' }}\nlog: {{ format: json }}\n",
            collector.display(),
            path("config.yaml").display(),
            path("state").display(),
        );
        fs::write(path("opamp.yaml"), settings).expect("a configuration");
        let mut command = Command::new(program("agent", "opamp-agent"));
        let program = Program::start(
            command.arg("--config").arg(path("opamp.yaml")),
            path("agent.log"),
        );
        Self {
            directory,
            _program: program,
        }
    }

    pub fn config(&self) -> String {
        fs::read_to_string(self.directory.path().join("config.yaml")).unwrap_or_default()
    }

    /// Waits until the agent has logged a line with these words.
    pub async fn until_logged(&self, words: &str) {
        testkit::wait_until(&format!("{words} in the log"), async || {
            self.log().contains(words)
        })
        .await;
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("agent.log")).unwrap_or_default()
    }
}

/// The real collector; none where it is not built.
pub fn collector() -> Option<PathBuf> {
    built("collector/build.sh", &["--path"])
}

/// The directory of a peer's programs; none where it is not built.
pub fn peer(name: &str) -> Option<PathBuf> {
    built("build-go", &["--path", name])
}

/// The directory of a peer for Node.js; none where it is not installed.
pub fn node_peer(name: &str) -> Option<PathBuf> {
    built("build-node", &["--path", name])
}

/// What one of the scripts in `interop` says that it has built, if it has.
fn built(script: &str, arguments: &[&str]) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(script);
    let output = Command::new(path)
        .args(arguments)
        .output()
        .expect("the script runs");
    let path = PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim());
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var("REQUIRE_ALL").is_ok_and(|value| value == "1");
    let what = format!(
        "{script} {arguments:?} has not built {}: run interop/run",
        path.display()
    );
    assert!(!required, "{what}");
    eprintln!("skipped: {what}");
    None
}

/// A program of this workspace beside the test's own, built where it is missing. Cargo gives a test no other package's
/// programs; `interop/run` builds them first, so that they are as new as the tests.
pub fn program(package: &str, name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test program");
    let path = test
        .parent()
        .and_then(Path::parent)
        .expect("a target directory")
        .join(name);
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = path
            .parent()
            .and_then(Path::parent)
            .expect("a target directory");
        let status = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "-p",
                package,
                "--bin",
                name,
                "--target-dir",
            ])
            .arg(target)
            .status();
        assert!(
            status.expect("cargo runs").success(),
            "{name} could not be built"
        );
    }
    path
}
