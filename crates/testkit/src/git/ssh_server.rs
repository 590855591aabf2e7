//! An SSH server of the test's own: its port, its host key, its list of who may come.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::run;
use crate::needs;

/// A server; it ends with the process.
pub struct SshServer {
    directory: TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl SshServer {
    /// One that the key `user` opens; `None` where there is no `sshd`.
    ///
    /// # Panics
    /// When it cannot be set up.
    pub fn start() -> Option<Self> {
        let sshd = needs::find("sshd")?;
        needs::find("ssh")?;
        needs::find("ssh-keygen")?;
        let directory = tempfile::tempdir().expect("a directory");
        for key in ["host", "other-host", "user", "stranger"] {
            let file = directory.path().join(key);
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(file));
        }
        std::fs::copy(
            directory.path().join("user.pub"),
            directory.path().join("authorized"),
        )
        .expect("copied");
        let config = directory.path().join("sshd_config");
        std::fs::write(&config, config_of(directory.path())).expect("written");
        // Root's server wants it; it is there wherever the service runs.
        std::fs::create_dir_all("/run/sshd").ok();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sshd, config) = (sshd.clone(), config.clone());
                std::thread::spawn(move || serve(stream, &sshd, &config));
            }
        });
        Some(Self { directory, address })
    }

    /// The address of a path on this machine.
    pub fn url(&self, path: &str) -> String {
        self.url_at(self.address, path)
    }

    /// The address of a path by way of a proxy.
    pub fn url_at(&self, address: SocketAddr, path: &str) -> String {
        format!(
            "ssh://{}@{address}{path}",
            run(Command::new("id").arg("-un"))
        )
    }

    /// The file of a private key: `user`, who may come; `stranger`, who may not; `host`, the server's own; `other-host`.
    pub fn key(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file of known hosts that knows this key for an address.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn known_hosts(&self, key: &str, address: SocketAddr) -> PathBuf {
        let public = std::fs::read_to_string(self.key(&format!("{key}.pub"))).expect("a key");
        // A blank in the path is a trap for those who hand it to ssh.
        let file = self
            .directory
            .path()
            .join(format!("known {key} {}", address.port()));
        let host = format!("[{}]:{}", address.ip(), address.port());
        std::fs::write(&file, format!("{host} {public}")).expect("written");
        file
    }

    /// A file of known hosts that knows none.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn no_known_hosts(&self) -> PathBuf {
        let file = self.directory.path().join("known none");
        std::fs::write(&file, "").expect("written");
        file
    }

    /// Lets everyone on this machine read a key.
    ///
    /// # Panics
    /// When it cannot be changed.
    pub fn publish(&self, key: &str) {
        std::fs::set_permissions(self.key(key), PermissionsExt::from_mode(0o644)).expect("set");
    }
}

fn config_of(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "HostKey {directory}/host\nAuthorizedKeysFile {directory}/authorized\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n\
         AcceptEnv GIT_PROTOCOL\nLogLevel QUIET\n"
    )
}

/// One connection, as `inetd` would have it: no port is chosen that somebody else could take in between.
fn serve(stream: TcpStream, sshd: &Path, config: &Path) {
    let output = stream.try_clone().expect("cloned");
    let mut child = Command::new(sshd)
        .args(["-i", "-f"])
        .arg(config)
        .stdin(Stdio::from(OwnedFd::from(stream)))
        .stdout(Stdio::from(OwnedFd::from(output)))
        .stderr(Stdio::null())
        .spawn()
        .expect("sshd starts");
    child.wait().ok();
}
