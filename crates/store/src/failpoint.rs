//! Points at which a test has the process killed: before each statement of a durable transaction, and before and after its
//! commit. They are there in builds with debug assertions alone, and do something only where the environment names a file.

/// The variable with the path of a file. While there is such a file, it holds a number: at so many points from now on the
/// process kills itself as `kill -9` does. What was passed is added to a file of that name and `.log`.
#[cfg(debug_assertions)]
const VARIABLE: &str = "OPAMP_FAILPOINTS";

/// Passes a point, or ends the process there.
#[cfg(debug_assertions)]
pub(crate) fn pass(point: &str) {
    use std::sync::{Mutex, OnceLock, PoisonError};
    static FILE: OnceLock<Option<std::path::PathBuf>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let Some(file) = FILE.get_or_init(|| std::env::var_os(VARIABLE).map(Into::into)) else {
        return;
    };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(left) = std::fs::read_to_string(file)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok())
    else {
        return;
    };
    note(&file.with_extension("log"), point);
    if left <= 1 {
        kill();
    }
    std::fs::write(file, (left - 1).to_string()).expect("the file of failpoints is a test's own");
}

/// In a build for users there are no such points.
#[cfg(not(debug_assertions))]
pub(crate) const fn pass(_: &str) {}

#[cfg(debug_assertions)]
fn note(log: &std::path::Path, point: &str) {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    let log = options.create(true).append(true).open(log);
    writeln!(log.expect("a log"), "{point}").expect("the log of failpoints is a test's own");
}

/// Ends this process at once and without a word, from this very place.
#[cfg(debug_assertions)]
fn kill() {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
    loop {
        std::thread::park();
    }
}
