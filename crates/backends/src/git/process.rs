//! Git over the pipes of a process: `git` beside us, or `ssh` to a server.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;

use super::GitError;
use super::error::quoted;
use super::watch::{Counted, Watch};

/// The most of what a process says on its standard error that is kept, in bytes.
const MOST_STDERR_BYTES: u64 = 16 * 1024;

/// A transport over a process's pipes.
pub(super) type Pipes = Connection<Counted<ChildStdout>, ChildStdin>;

/// What a process says on its standard error.
#[derive(Debug)]
pub(super) struct Stderr(JoinHandle<String>);

impl Stderr {
    fn collect(mut pipe: ChildStderr) -> io::Result<Self> {
        let collect = move || {
            let mut said = Vec::new();
            // What cannot be read is not told; the process's end is told in any case.
            drop(pipe.by_ref().take(MOST_STDERR_BYTES).read_to_end(&mut said));
            // It must not block on a full pipe.
            drop(io::copy(&mut pipe, &mut io::sink()));
            String::from_utf8_lossy(&said).into_owned()
        };
        let thread = std::thread::Builder::new().name("git-stderr".to_owned());
        Ok(Self(thread.spawn(collect)?))
    }

    /// All of it, once the process has ended.
    pub(super) fn text(self) -> String {
        self.0.join().unwrap_or_default()
    }
}

/// Starts a process that speaks Git on its pipes. It ends with the watch.
pub(super) fn start(
    mut command: Command,
    path: &str,
    watch: &Arc<Watch>,
) -> Result<(Pipes, Stderr), GitError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let missing = |source| GitError::Missing {
        what: format!("the program {name}, which must be installed for this repository"),
        source,
    };
    // Messages are looked through for what went wrong: they must be in English.
    command.env("LC_ALL", "C").env("GIT_PROTOCOL", "version=2");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A group of its own: it ends with all that it starts, and not with a Ctrl-C that was meant for us.
    command.process_group(0);
    let mut child = command.spawn().map_err(missing)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    watch.own(child);
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(missing(io::Error::other("it has no pipes")));
    };
    let stderr = Stderr::collect(stderr).map_err(missing)?;
    let connection = Connection::new(
        Counted::new(stdout, Arc::clone(watch)),
        stdin,
        Protocol::V2,
        path,
        None::<(String, Option<u16>)>,
        ConnectMode::Process,
        false,
    );
    Ok((connection, stderr))
}

/// The process that gives out a repository of this machine.
pub(super) fn upload_pack(directory: &Path) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    command.arg("upload-pack").arg("--").arg(directory);
    command
}

/// What it means that `git upload-pack` failed with these words.
pub(super) fn failure(remote: &str, said: &str) -> GitError {
    let remote = remote.to_owned();
    let detail = quoted(said);
    if said.contains("does not appear to be a git repository") || said.contains("No such file") {
        return GitError::NoSuchRepository { remote, detail };
    }
    GitError::Unreachable {
        remote,
        detail: ended(detail),
    }
}

/// What a process said when it ended; or that it said nothing.
pub(super) fn ended(said: String) -> String {
    if said.is_empty() {
        "the connection ended before all was there".to_owned()
    } else {
        said
    }
}
