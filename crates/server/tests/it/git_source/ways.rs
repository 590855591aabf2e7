//! The ways to a repository: in a directory, over SSH, over HTTP.

use std::path::Path;

use testkit::TestServer;
use testkit::git::{HttpServer, Manners, Repository, SshServer};

use super::INTERVAL;

const TOKEN: &str = "a-token-of-the-forge";

/// A repository, and how a server comes to it.
pub struct Way {
    pub repository: Repository,
    address: String,
    /// Keys of the section `git` that log in.
    right: String,
    /// Keys that do not.
    wrong: Option<Wrong>,
    /// The files of its keys go with it.
    _ssh: Option<SshServer>,
}

/// A login that fails.
#[derive(Clone)]
pub struct Wrong {
    keys: String,
    /// The reason that is told.
    pub reason: &'static str,
}

impl Way {
    pub fn in_a_directory() -> Option<Self> {
        let repository = Repository::new()?;
        Some(Self {
            address: repository.address(),
            repository,
            right: "branch: main".to_owned(),
            wrong: None,
            _ssh: None,
        })
    }

    /// Over SSH; what may be wrong is that the host key is not known.
    pub fn over_ssh() -> Option<Self> {
        let (repository, ssh) = (Repository::new()?, SshServer::start()?);
        let keys = |known_hosts: &Path| {
            format!(
                "ssh_key_file: '{}', known_hosts_file: '{}'",
                ssh.key("user").display(),
                known_hosts.display()
            )
        };
        Some(Self {
            address: ssh.url(&repository.address()),
            repository,
            right: keys(&ssh.known_hosts("host", ssh.address)),
            wrong: Some(Wrong {
                keys: keys(&ssh.no_known_hosts()),
                reason: "host_key_unknown",
            }),
            _ssh: Some(ssh),
        })
    }

    /// Over HTTP; what may be wrong is the token.
    pub fn over_http() -> Option<Self> {
        let repository = Repository::new()?;
        let http = HttpServer::start(&repository, Manners::guarded("git", TOKEN));
        Some(Self {
            address: http.url(),
            repository,
            right: format!("token: '{TOKEN}'"),
            wrong: Some(Wrong {
                keys: "token: 'a-token-that-has-expired'".to_owned(),
                reason: "authentication",
            }),
            _ssh: None,
        })
    }

    /// Writes the document of a config and its body.
    pub fn write(&self, name: &str, body: &str) {
        let document = format!("name: {name}\nfile: {name}.yaml\n");
        self.repository
            .write(&format!("{name}.config.yaml"), document);
        self.repository.write(&format!("{name}.yaml"), body);
    }

    /// Commits what was written, pushes it, and gives the commit's id.
    pub fn push(&self, message: &str) -> String {
        self.repository.commit(message).to_string()
    }

    /// A server that follows the repository. Nothing else that it does at an interval comes round during a test: what
    /// happens did not wait for that.
    pub async fn server(&self, more: &str) -> TestServer {
        let sections = self.sections(&self.right, more);
        TestServer::builder().config(&sections).start().await
    }

    /// Gives a server the login that fails, from its next start on.
    pub fn lock_out(&self, server: &mut TestServer, wrong: &Wrong, more: &str) {
        server.set_config(&self.sections(&wrong.keys, more));
    }

    /// Gives it the login that does not.
    pub fn let_in(&self, server: &mut TestServer, more: &str) {
        server.set_config(&self.sections(&self.right, more));
    }

    pub fn wrong(&self) -> Option<Wrong> {
        self.wrong.clone()
    }

    fn sections(&self, login: &str, more: &str) -> String {
        format!(
            "config_source: {{ type: git, git: {{ repository: '{}', sync_interval: {}s, {more}, {login} }} }}\n\
             timing: {{ commit_interval: 20ms, liveness_flush: 10m, resync: 10m, drain: 2s }}\n",
            self.address,
            INTERVAL.as_secs()
        )
    }
}
