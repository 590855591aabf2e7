//! One fetch: connect, ask where the branch is, and take what is new.

use std::num::NonZeroU32;
use std::sync::Arc;

use gix::ObjectId;
use gix::progress::Discard;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::remote::Direction;
use gix::remote::fetch::{Shallow, Tags};

use super::error::joined;
use super::location::Location;
use super::process::{self, Stderr};
use super::ssh::{self, SshLogin};
use super::store::{self, Store};
use super::watch::Watch;
use super::{GitError, GitOptions, http};

/// Enough history to see that a commit follows the one before it.
const FEWEST_COMMITS: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

/// A remote's branch, and who asks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) location: &'a Location,
    pub(super) options: &'a GitOptions,
    pub(super) store: &'a Store,
}

/// A connection that is not used yet.
struct Connected {
    transport: Box<dyn Transport>,
    stderr: Option<Stderr>,
}

impl Source<'_> {
    /// Takes the branch into a repository and says where its head is.
    pub(super) fn fetch(
        self,
        repository: &gix::Repository,
        watch: &Arc<Watch>,
    ) -> Result<ObjectId, GitError> {
        let branch = &self.options.branch;
        let Connected { transport, stderr } = self.connect(watch)?;
        match self.receive(repository, transport, watch) {
            Ok(Some(head)) => self.checked(repository, head),
            Ok(None) => Err(GitError::NoSuchBranch {
                remote: watch.remote().to_owned(),
                branch: branch.clone(),
                default: self.default_branch(repository, watch),
            }),
            Err(error) => Err(self.failure(&error, stderr, watch)),
        }
    }

    fn connect(self, watch: &Arc<Watch>) -> Result<Connected, GitError> {
        // One process at a time.
        watch.finish();
        let (command, path) = match self.location {
            Location::Http(location) => {
                return Ok(Connected {
                    transport: Box::new(http::transport(location, self.options, watch)?),
                    stderr: None,
                });
            }
            Location::Directory(path) => (process::upload_pack(path), path.display().to_string()),
            Location::Ssh(location) => {
                let login = SshLogin::of(&self.options.auth)?;
                (
                    ssh::command(location, login, self.options),
                    location.path.clone(),
                )
            }
        };
        let (pipes, stderr) = process::start(command, &path, watch)?;
        Ok(Connected {
            transport: Box::new(pipes),
            stderr: Some(stderr),
        })
    }

    /// Nothing where the remote has no such branch.
    fn receive(
        self,
        repository: &gix::Repository,
        transport: Box<dyn Transport>,
        watch: &Watch,
    ) -> gix::Result<Option<ObjectId>> {
        let branch = &self.options.branch;
        let from = format!("refs/heads/{branch}");
        let remote = self.remote(repository, &format!("+{from}:{}", store::tracking(branch)))?;
        let prepared = remote
            .to_connection_with_transport(transport)
            .with_credentials(|_| Ok(None))
            .with_transport_options(Box::new(()))
            .prepare_fetch(Discard, gix::remote::ref_map::Options::default())?;
        let refs = &prepared.ref_map().remote_refs;
        let Some(head) = refs.iter().find_map(|found| target_of(found, &from)) else {
            return Ok(None);
        };
        if store::head(repository, branch) == Some(head) {
            return Ok(Some(head));
        }
        let depth = NonZeroU32::new(self.options.limits.commits)
            .map_or(FEWEST_COMMITS, |commits| commits.max(FEWEST_COMMITS));
        prepared
            .with_shallow(Shallow::DepthAtRemote(depth))
            .receive(Discard, watch.stop())?;
        Ok(Some(head))
    }

    fn remote<'r>(
        self,
        repository: &'r gix::Repository,
        spec: &str,
    ) -> gix::Result<gix::Remote<'r>> {
        repository
            .remote_at_without_url_rewrite(self.options.repository.as_str())?
            .with_fetch_tags(Tags::None)
            .with_refspecs([spec], Direction::Fetch)
    }

    /// The head, after a look whether it arrived whole.
    fn checked(self, repository: &gix::Repository, head: ObjectId) -> Result<ObjectId, GitError> {
        if store::head(repository, &self.options.branch) == Some(head) {
            return Ok(head);
        }
        Err(GitError::Damaged {
            detail: format!("commit {head} is not whole"),
        })
    }

    /// The branch that the remote gives out unasked: a hint, so that nothing is said where it cannot be had.
    fn default_branch(self, repository: &gix::Repository, watch: &Arc<Watch>) -> Option<String> {
        let connected = self.connect(watch).ok()?;
        let remote = self.remote(repository, "HEAD").ok()?;
        let (map, _) = remote
            .to_connection_with_transport(connected.transport)
            .with_credentials(|_| Ok(None))
            .with_transport_options(Box::new(()))
            .ref_map(Discard, gix::remote::ref_map::Options::default())
            .ok()?;
        map.remote_refs.iter().find_map(|found| match found {
            Ref::Symbolic {
                full_ref_name,
                target,
                ..
            } if full_ref_name == "HEAD" => {
                let name = target.to_string();
                name.strip_prefix("refs/heads/").map(str::to_owned)
            }
            _ => None,
        })
    }

    /// Why the fetch failed: what our own parts know goes before what can be concluded.
    fn failure(self, error: &gix::Error, stderr: Option<Stderr>, watch: &Watch) -> GitError {
        watch.kill();
        if let Some(failure) = watch.take_failure() {
            return failure;
        }
        let said = stderr.map(Stderr::text).unwrap_or_default();
        if watch.has_ended() || !said.is_empty() {
            return self.ended(watch.remote(), &said);
        }
        match self.store.local(error) {
            disk @ GitError::Disk { .. } => disk,
            _ => GitError::Protocol {
                remote: watch.remote().to_owned(),
                detail: joined(error.iter_errors().map(ToString::to_string)),
            },
        }
    }

    /// Why the process at the other end of the pipes ended.
    fn ended(self, remote: &str, said: &str) -> GitError {
        if let Location::Ssh(location) = self.location
            && let Ok(login) = SshLogin::of(&self.options.auth)
        {
            return ssh::failure(remote, &location.host, login, said);
        }
        process::failure(remote, said)
    }
}

/// What a reference of this name points to.
fn target_of(found: &Ref, wanted: &str) -> Option<ObjectId> {
    let (name, target, _) = found.unpack();
    (name == wanted).then(|| target.map(ToOwned::to_owned))?
}
