//! A PostgreSQL server for the tests of one process.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// How long a server may take to come up on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The server's address with the database `postgres`; `None` where there is no PostgreSQL.
pub(super) fn url() -> Option<String> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    URL.get_or_init(find).clone()
}

fn find() -> Option<String> {
    if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
        return Some(url);
    }
    let Some(binaries) = newest_binaries() else {
        let required =
            std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == OsStr::new("1"));
        assert!(
            !required,
            "REQUIRE_ALL=1, and there is neither TEST_POSTGRES_URL nor /usr/lib/postgresql/*/bin"
        );
        // Past the test harness, which hides what a passing test prints.
        writeln!(
            std::io::stderr(),
            "skipped on PostgreSQL: there is no /usr/lib/postgresql/*/bin"
        )
        .ok()?;
        return None;
    };
    Some(start(&binaries))
}

fn newest_binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let major = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|path| major(path).is_some())
        .max_by_key(|path| major(path));
    newest
        .map(|path| path.join("bin"))
        .filter(|bin| bin.join("postgres").exists())
}

/// Starts a server and gives its address.
fn start(binaries: &Path) -> String {
    let (sender, receiver) = channel();
    let binaries = binaries.to_owned();
    // The server is told to end when the thread that started it ends, and threads of tests end early: this one lives
    // as long as the process.
    std::thread::Builder::new()
        .name("postgres".into())
        .spawn(move || run(&binaries, &sender))
        .expect("a thread for PostgreSQL");
    let dir = receiver.recv().expect("PostgreSQL starts");
    format!("postgres:///postgres?host={}&user=postgres", dir.display())
}

/// Runs a server until the process ends.
///
/// PostgreSQL refuses to run as root: it then runs as `nobody`. A shell stands between, which the kernel tells when
/// this process dies, whichever way: it stops the server and removes its directory.
fn run(binaries: &Path, started: &Sender<PathBuf>) {
    let dir = tempfile::Builder::new()
        .prefix("pg-")
        .tempdir()
        .expect("a temporary directory")
        .keep();
    let script = r#"
        "$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$2/log" 2>&1 || exit 1
        trap 'kill -INT $server' TERM
        "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off \
            -c max_connections=300 -c shared_buffers=64MB -c max_wal_size=4GB >>"$2/log" 2>&1 &
        server=$!
        # A trap interrupts the first wait; the second one waits for the server's end.
        wait $server; wait $server
        rm -rf "$2"
    "#;
    let mut shell = unprivileged(&dir);
    shell
        .args(["sh", "-c", script, "postgres-for-tests"])
        .arg(binaries)
        .arg(&dir);
    let mut shell = shell
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv starts");
    wait_until_up(&mut shell, binaries, &dir);
    // Whether anybody still listens: the server ends with this process.
    let _nobody_listens = started.send(dir).is_err();
    shell.wait().expect("PostgreSQL is our child");
}

fn wait_until_up(shell: &mut Child, binaries: &Path, dir: &Path) {
    let log = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    let deadline = Instant::now() + START_DEADLINE;
    while !is_up(binaries, dir) {
        assert!(
            Instant::now() < deadline,
            "PostgreSQL did not come up: {}",
            log()
        );
        if let Ok(Some(status)) = shell.try_wait() {
            panic!("PostgreSQL ended at its start with {status}: {}", log());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A command that runs what follows without root's rights, in a directory that is its own, and that gets a signal
/// when this thread ends.
fn unprivileged(dir: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let am_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n");
    if am_root {
        let owned = Command::new("chown")
            .arg("nobody")
            .arg(dir)
            .status()
            .is_ok_and(|status| status.success());
        assert!(
            owned,
            "the directory of PostgreSQL cannot be given to nobody"
        );
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))
        .expect("our own directory");
    command.args(["--pdeathsig=TERM"]);
    command
}

fn is_up(binaries: &Path, dir: &Path) -> bool {
    let asked = Command::new(binaries.join("pg_isready"))
        .arg("-q")
        .arg("-h")
        .arg(dir)
        .status();
    asked.is_ok_and(|status| status.success())
}

/// The address of another database on the same server.
pub(super) fn with_database(server: &str, name: &str) -> String {
    let (address, parameters) = server.split_once('?').unwrap_or((server, ""));
    let (address, _) = address.rsplit_once('/').unwrap_or((address, ""));
    let question = if parameters.is_empty() { "" } else { "?" };
    format!("{address}/{name}{question}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_keeps_the_rest_of_the_address() {
        let socket = "postgres:///postgres?host=/tmp/x&user=postgres";
        assert_eq!(
            with_database(socket, "t"),
            "postgres:///t?host=/tmp/x&user=postgres"
        );
        assert_eq!(
            with_database("postgres://u:p@h:5/postgres", "t"),
            "postgres://u:p@h:5/t"
        );
    }
}
