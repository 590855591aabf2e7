//! How the collector is called: to run, to check a configuration, to tell of itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

use super::STORAGE_VARIABLE;
use crate::settings::CollectorSettings;

/// One way to call the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    executable: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    configs: Vec<PathBuf>,
}

/// Why the collector could not be started.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The program could not be run.
    #[error("starting {}", executable.display())]
    Spawn {
        /// The program.
        executable: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its log file could not be opened.
    #[error("opening the collector's log {}", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The kernel gave no handle on the new process.
    #[error("watching the new process")]
    Watch(#[source] io::Error),
}

impl Launch {
    /// The call of this collector with `configs`, the later winning.
    pub fn new(settings: &CollectorSettings, configs: Vec<PathBuf>) -> Self {
        Self {
            executable: settings.executable.clone(),
            args: settings.args.clone(),
            env: settings.env.clone(),
            configs,
        }
    }

    /// The program.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// The configurations.
    pub fn configs(&self) -> &[PathBuf] {
        &self.configs
    }

    /// The same call with another file in the place of `from`.
    pub fn with_config_replaced(&self, from: &Path, to: &Path) -> Self {
        let configs = self.configs.iter().map(|path| {
            if path == from {
                to.to_owned()
            } else {
                path.clone()
            }
        });
        Self {
            configs: configs.collect(),
            ..self.clone()
        }
    }

    /// The command that runs the collector, writing to `log`, marked as belonging to `storage_id`.
    pub fn run_command(&self, log: &fs::File, storage_id: &str) -> io::Result<Command> {
        let mut command = self.command(None);
        command.env(STORAGE_VARIABLE, storage_id);
        // Files and not pipes: a pipe breaks with the agent, and a Go program dies of a broken standard error.
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        // A group of its own: signals of the agent's terminal do not reach it, and it is killed with its children.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command)
    }

    /// The command that checks the configurations.
    pub fn validate_command(&self) -> Command {
        self.command(Some("validate"))
    }

    /// The command that prints something about the program alone (`components`, `--version`).
    pub fn plain_command(&self, argument: &str) -> Command {
        let mut command = Command::new(&self.executable);
        command.arg(argument).envs(&self.env);
        command
    }

    /// A text that is equal for calls that lead to the same process: program file, arguments, variables, and the bytes
    /// of every configuration.
    pub fn fingerprint(&self) -> String {
        self.fingerprint_with(&stamp_of(&self.executable))
    }

    /// The same for a process that runs the program file of this stamp, whatever stands in its place now.
    pub fn fingerprint_with(&self, stamp: &str) -> String {
        let mut parts: Vec<Vec<u8>> = vec![stamp.as_bytes().to_vec()];
        parts.extend(self.args.iter().map(|arg| arg.clone().into_bytes()));
        parts.extend(
            self.env
                .iter()
                .map(|(name, value)| format!("{name}={value}").into_bytes()),
        );
        for path in &self.configs {
            parts.push(path.as_os_str().as_encoded_bytes().to_vec());
            parts.push(fs::read(path).map_or_else(
                |_| b"unreadable".to_vec(),
                |bytes| trust::sha256(&bytes).to_vec(),
            ));
        }
        // Each part is hashed by itself, so that two lists which join to the same bytes still differ.
        let digests: Vec<[u8; 32]> = parts.iter().map(|part| trust::sha256(part)).collect();
        trust::hex(&trust::sha256_of_parts(
            digests.iter().map(<[u8; 32]>::as_slice),
        ))
    }

    fn command(&self, subcommand: Option<&str>) -> Command {
        let mut command = Command::new(&self.executable);
        let configs = self
            .configs
            .iter()
            .flat_map(|path| [OsString::from("--config"), path.clone().into_os_string()]);
        command
            .args(subcommand)
            .args(&self.args)
            .args(configs)
            .envs(&self.env);
        command
    }
}

/// Tells one state of a program file from another without reading it: path, device, inode, size and change times.
pub fn stamp_of(executable: &Path) -> String {
    let found = find_program(executable);
    match fs::metadata(&found) {
        Ok(metadata) => {
            let (device, inode, size) = (metadata.dev(), metadata.ino(), metadata.size());
            format!(
                "{} {device} {inode} {size} {} {}",
                found.display(),
                metadata.mtime(),
                metadata.mtime_nsec()
            )
        }
        Err(_) => format!("{} missing", found.display()),
    }
}

/// Where a program lies: a bare name is looked up in `PATH`, as the system does when it is run.
pub fn find_program(executable: &Path) -> PathBuf {
    if executable.components().count() != 1 || executable.is_absolute() {
        return executable.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(executable))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| executable.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(args: &[&str], configs: &[&Path]) -> Launch {
        Launch {
            executable: "/bin/sh".into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: BTreeMap::new(),
            configs: configs.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    #[test]
    fn a_call_has_arguments_before_configurations() {
        let call = launch(&["--set=a=b"], &[Path::new("/one"), Path::new("/two")]);
        let arguments = |command: Command| {
            command
                .get_args()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        let expected = [
            "validate",
            "--set=a=b",
            "--config",
            "/one",
            "--config",
            "/two",
        ];
        assert_eq!(arguments(call.validate_command()), expected);
        assert_eq!(arguments(call.command(None)), expected[1..]);
        assert_eq!(
            arguments(
                call.with_config_replaced(Path::new("/two"), Path::new("/x"))
                    .command(None)
            )[3..],
            ["--config", "/x"]
        );
    }

    #[test]
    fn the_fingerprint_follows_whatever_the_process_would_see() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.yaml");
        fs::write(&path, "a: 1").unwrap();
        let before = launch(&["x"], &[&path]).fingerprint();
        assert_eq!(launch(&["x"], &[&path]).fingerprint(), before);
        assert_ne!(launch(&["y"], &[&path]).fingerprint(), before);
        fs::write(&path, "a: 2").unwrap();
        assert_ne!(launch(&["x"], &[&path]).fingerprint(), before);
        let call = launch(&["x"], &[&path]);
        assert_ne!(call.fingerprint_with("older"), call.fingerprint());
    }

    #[test]
    fn a_bare_name_is_looked_up() {
        assert!(find_program(Path::new("sh")).is_absolute());
        assert_eq!(find_program(Path::new("./sh")), Path::new("./sh"));
    }
}
