//! The bare repository on this machine's disk.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use gix::ObjectId;

use super::error::joined;
use super::{GitError, GitLimits};

/// The repository's name in the mirror's directory.
const REPOSITORY: &str = "repository.git";
/// What is being made, and takes the repository's place when it is whole.
const NEW: &str = "repository.new";
/// What has lost its place.
const OLD: &str = "repository.old";
/// The file in the repository that says what it is a mirror of.
const ORIGIN: &str = "opamp-origin";
/// With so many packs it is cheaper to begin anew: each fetch leaves one, and nothing merges them.
const MOST_PACKS: usize = 50;

/// Where a mirror's repository is, and how it is opened.
#[derive(Debug, Clone)]
pub(super) struct Store {
    directory: PathBuf,
    origin: String,
    alloc_bytes: u64,
}

impl Store {
    /// The store in a directory, which is made. It owns three names in there and touches nothing else.
    pub(super) fn new(
        directory: &Path,
        origin: &str,
        limits: &GitLimits,
    ) -> Result<Self, GitError> {
        let store = Self {
            directory: directory.to_owned(),
            origin: origin.to_owned(),
            alloc_bytes: limits.fetch_bytes,
        };
        // Configs are nobody else's business.
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(store.disk("making it"))?;
        store.recover();
        for left in [NEW, OLD] {
            store.remove(left)?;
        }
        Ok(store)
    }

    /// The repository, if it is a mirror of this origin and can be opened.
    pub(super) fn open(&self) -> Option<gix::Repository> {
        let path = self.directory.join(REPOSITORY);
        let origin = fs::read_to_string(path.join(ORIGIN)).ok()?;
        (origin == self.origin).then(|| self.open_at(&path).ok())?
    }

    /// Makes an empty repository beside the one in use.
    pub(super) fn begin(&self) -> Result<gix::Repository, GitError> {
        self.remove(NEW)?;
        let path = self.directory.join(NEW);
        let options = gix::create::Options::default();
        gix::ThreadSafeRepository::init_opts(
            &path,
            gix::create::Kind::Bare,
            options,
            self.options(),
        )
        .map_err(|error| self.local(&error))?;
        fs::write(path.join(ORIGIN), &self.origin).map_err(self.disk("making a repository"))?;
        self.open_at(&path).map_err(|error| self.local(&error))
    }

    /// Puts what [`begin`](Self::begin) made into use.
    pub(super) fn replace(&self) -> Result<gix::Repository, GitError> {
        let [current, new, old] = [REPOSITORY, NEW, OLD].map(|name| self.directory.join(name));
        let doing = "replacing the repository";
        // A crash between the two is what `recover` is for.
        match fs::rename(&current, old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.disk(doing)(error));
            }
            _ => {}
        }
        fs::rename(new, &current).map_err(self.disk(doing))?;
        self.remove(OLD)?;
        self.open_at(&current).map_err(|error| self.local(&error))
    }

    /// Takes away what [`begin`](Self::begin) made and nobody will use.
    pub(super) fn abandon(&self) {
        // What stays is taken away by the next that begins.
        drop(self.remove(NEW));
    }

    /// Whether it has so many packs that it should be made anew.
    pub(super) fn is_scattered(&self) -> bool {
        let packs = self.directory.join(REPOSITORY).join("objects/pack");
        let is_pack = |entry: &fs::DirEntry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "pack")
        };
        let count = |entries: fs::ReadDir| entries.flatten().filter(is_pack).count();
        fs::read_dir(packs).is_ok_and(|entries| MOST_PACKS <= count(entries))
    }

    /// What an error of the repository on disk means.
    pub(super) fn local(&self, error: &gix::Error) -> GitError {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let mut causes = error
            .iter_errors()
            .filter_map(|error| error.downcast_ref::<io::Error>());
        let of_disk = |error: &&io::Error| {
            let kinds = [
                StorageFull,
                QuotaExceeded,
                ReadOnlyFilesystem,
                PermissionDenied,
            ];
            kinds.contains(&error.kind())
        };
        if let Some(cause) = causes.find(of_disk) {
            let source = io::Error::new(cause.kind(), cause.to_string());
            return self.disk("keeping what was fetched")(source);
        }
        GitError::Damaged {
            detail: joined(error.iter_errors().map(ToString::to_string)),
        }
    }

    fn open_at(&self, path: &Path) -> gix::Result<gix::Repository> {
        gix::open_opts(path, self.options())
    }

    /// Nothing of the user's or the machine's configuration, and no allocation that a small object could cause at will.
    fn options(&self) -> gix::open::Options {
        gix::open::Options::isolated()
            .open_path_as_is(true)
            .config_overrides([format!("gitoxide.objects.allocLimit={}", self.alloc_bytes)])
    }

    /// Takes back what a crash left between two names.
    fn recover(&self) {
        let [current, old] = [REPOSITORY, OLD].map(|name| self.directory.join(name));
        if !current.exists() {
            // Most often there is none of the two, and without one a new one is made.
            drop(fs::rename(old, current));
        }
    }

    fn remove(&self, name: &str) -> Result<(), GitError> {
        let path = self.directory.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.disk("removing what is left")(error))
            }
            _ => Ok(()),
        }
    }

    fn disk(&self, doing: &'static str) -> impl FnOnce(io::Error) -> GitError + use<> {
        let directory = self.directory.clone();
        move |source| GitError::Disk {
            directory,
            doing,
            source,
        }
    }
}

/// The reference that remembers where a branch was.
pub(super) fn tracking(branch: &str) -> String {
    format!("refs/remotes/origin/{branch}")
}

/// Where a branch was when it was last fetched. Nothing, too, where that commit is not whole.
pub(super) fn head(repository: &gix::Repository, branch: &str) -> Option<ObjectId> {
    let reference = repository.try_find_reference(&*tracking(branch)).ok()??;
    let head = reference.try_id()?.detach();
    let commit = repository.find_commit(head).ok()?;
    commit.tree().ok()?;
    Some(head)
}
