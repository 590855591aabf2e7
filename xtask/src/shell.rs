//! One `bash` that runs blocks as a reader's terminal would: variables, functions and the directory carry over.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The longest that one block may run.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(300);

/// How long what a stopped block started may take to end after it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A terminal that blocks are pasted into.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    done: Receiver<i32>,
    scratch: PathBuf,
}

/// What came of a block.
pub struct Outcome {
    /// The exit status of its last command.
    pub exit: i32,
    /// What it printed, on both streams.
    pub output: String,
}

impl Shell {
    /// Opens a terminal in `directory`; `scratch` is a directory for its files.
    ///
    /// # Errors
    /// When `bash` cannot be started.
    pub fn open(directory: &Path, scratch: &Path) -> Result<Self> {
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting bash")?;
        let input = child.stdin.take().context("bash has no input")?;
        let output = BufReader::new(child.stdout.take().context("bash has no output")?);
        let (report, done) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(std::result::Result::ok) {
                let status = line
                    .strip_prefix("block-ended ")
                    .and_then(|status| status.parse().ok());
                if status.is_some_and(|status| report.send(status).is_err()) {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            input,
            done,
            scratch: scratch.to_path_buf(),
        })
    }

    /// Runs `commands` to their end.
    ///
    /// # Errors
    /// When they run too long, or end the terminal itself.
    pub fn run(&mut self, commands: &str) -> Result<Outcome> {
        let (script, log) = (
            self.scratch.join("block.sh"),
            self.scratch.join("block.log"),
        );
        fs::write(&script, commands)?;
        writeln!(
            self.input,
            "source {} >{} 2>&1 </dev/null; echo \"block-ended $?\"",
            script.display(),
            log.display()
        )?;
        self.input.flush()?;
        match self.done.recv_timeout(BLOCK_TIMEOUT) {
            Ok(exit) => Ok(Outcome {
                exit,
                output: read_lossy(&log)?,
            }),
            Err(RecvTimeoutError::Timeout) => {
                bail!("still running after {} s", BLOCK_TIMEOUT.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the block ended its shell"),
        }
    }

    /// Starts `commands` in a process group of their own and leaves them running; returns where they print to.
    ///
    /// # Errors
    /// When they cannot be started.
    pub fn start(&mut self, commands: &str, number: usize) -> Result<Background> {
        let script = self.scratch.join(format!("background-{number}.sh"));
        let log = self.scratch.join(format!("background-{number}.log"));
        fs::write(&script, commands)?;
        let file = fs::File::create(&log)?;
        let child = Command::new("setsid")
            .args(["bash", "--noprofile", "--norc"])
            .arg(&script)
            .current_dir(self.directory()?)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("starting a background block")?;
        Ok(Background { child, log })
    }

    fn directory(&mut self) -> Result<PathBuf> {
        Ok(PathBuf::from(self.run("pwd\n")?.output.trim()))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Nothing is left to do about a shell that is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A block that runs until the end.
pub struct Background {
    child: Child,
    log: PathBuf,
}

impl Background {
    /// What it has printed so far.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn output(&self) -> Result<String> {
        read_lossy(&self.log)
    }

    /// The exit status, if it has ended.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn ended(&mut self) -> Result<Option<i32>> {
        Ok(self
            .child
            .try_wait()?
            .map(|status| status.code().unwrap_or(-1)))
    }

    /// Presses Ctrl-C on its whole process group, and waits for it to end.
    ///
    /// # Errors
    /// When it does not end in time, or leaves processes behind.
    pub fn stop(mut self, within: Duration) -> Result<()> {
        // `setsid` made the child's id that of its group.
        let group = format!("-{}", self.child.id());
        let press = |signal: &str| Command::new("kill").args([signal, "--", &group]).status();
        press("-INT")?;
        for _ in 0..within.as_millis() / 50 {
            if self.child.try_wait()?.is_some() {
                return self.leaves_nothing();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        press("-KILL")?;
        self.child.wait()?;
        bail!(
            "a background block did not stop within {} s of Ctrl-C:\n{}",
            within.as_secs(),
            self.output()?
        )
    }
}

impl Background {
    /// Whatever it started is still in the session that `setsid` made, in whatever process group.
    fn leaves_nothing(&self) -> Result<()> {
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            let left = processes_of_session(self.child.id());
            if left.is_empty() {
                return Ok(());
            }
            if deadline <= Instant::now() {
                for (pid, _) in &left {
                    Command::new("kill").args(["-KILL", pid]).status()?;
                }
                bail!(
                    "processes were left behind after Ctrl-C: {left:?}\n{}",
                    self.output()?
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Pid and name of each process of a session.
fn processes_of_session(session: u32) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name stands in brackets and may hold any character; state, parent, group and session follow.
            let (head, rest) = stat.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            let alive = fields.next()? != "Z";
            let (pid, name) = head.split_once(" (")?;
            let same = fields.nth(2)?.parse() == Ok(session);
            (alive && same).then(|| (pid.to_owned(), name.to_owned()))
        })
        .collect()
}

fn read_lossy(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_the_directory_carry_over() {
        let scratch = tempfile::tempdir().expect("a directory");
        let mut shell = Shell::open(scratch.path(), scratch.path()).expect("a shell");
        shell.run("A=7; mkdir sub; cd sub\n").expect("ran");
        let outcome = shell.run("echo $A; pwd; false\n").expect("ran");
        assert_eq!(outcome.exit, 1);
        assert!(
            outcome.output.starts_with("7\n") && outcome.output.ends_with("/sub\n"),
            "{}",
            outcome.output
        );
    }

    #[test]
    fn both_streams_are_seen() {
        let scratch = tempfile::tempdir().expect("a directory");
        let mut shell = Shell::open(scratch.path(), scratch.path()).expect("a shell");
        assert_eq!(
            shell.run("echo out; echo err >&2\n").expect("ran").output,
            "out\nerr\n"
        );
    }

    #[test]
    fn a_block_that_ends_its_shell_is_noticed() {
        let scratch = tempfile::tempdir().expect("a directory");
        let mut shell = Shell::open(scratch.path(), scratch.path()).expect("a shell");
        assert!(shell.run("exit 0\n").is_err());
    }

    #[test]
    fn a_background_block_is_stopped_by_ctrl_c() {
        let scratch = tempfile::tempdir().expect("a directory");
        let mut shell = Shell::open(scratch.path(), scratch.path()).expect("a shell");
        let script = "trap 'echo bye; exit 0' INT\necho up\nwhile :; do sleep 0.02; done\n";
        let mut background = shell.start(script, 0).expect("started");
        while !background.output().expect("a log").contains("up") {
            assert_eq!(background.ended().expect("known"), None);
            std::thread::sleep(Duration::from_millis(10));
        }
        background.stop(Duration::from_secs(10)).expect("stopped");
    }
}
