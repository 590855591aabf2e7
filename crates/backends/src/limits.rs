//! How large a config source may be, and the count that is kept while it is read.

/// How much of a source is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// The most entries below the source's directory: files, links and directories.
    pub files: usize,
    /// The largest file, in bytes.
    pub file_bytes: u64,
    /// The most bytes of all files together.
    pub total_bytes: u64,
}

impl Default for SourceLimits {
    /// 10,000 entries, 4 MiB a file, 64 MiB together.
    fn default() -> Self {
        Self {
            files: 10_000,
            file_bytes: 4 << 20,
            total_bytes: 64 << 20,
        }
    }
}

/// The limit that a source breaks, and with what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitBroken {
    /// There are too many entries.
    #[error("more than {most} files and directories, {path} among them")]
    Files {
        /// The limit.
        most: usize,
        /// The first beyond it.
        path: String,
    },
    /// One file is too large.
    #[error("{path} has {bytes} bytes, more than {most}")]
    File {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// All files together are too large.
    #[error("its files have more than {most} bytes, {path} among them")]
    Total {
        /// The first beyond the limit.
        path: String,
        /// The limit.
        most: u64,
    },
    /// The remote sent too much.
    #[error("the remote sent more than {most} bytes")]
    Fetch {
        /// The limit.
        most: u64,
    },
}

/// What was read of a source so far.
#[derive(Debug)]
pub(crate) struct Tally {
    limits: SourceLimits,
    entries: usize,
    bytes: u64,
}

impl Tally {
    pub(crate) const fn new(limits: SourceLimits) -> Self {
        Self {
            limits,
            entries: 0,
            bytes: 0,
        }
    }

    /// Counts an entry. Directories count, too: a few objects can describe any number of them.
    pub(crate) fn entry(&mut self, path: &str) -> Result<(), LimitBroken> {
        self.entries += 1;
        let most = self.limits.files;
        if most < self.entries {
            let path = path.to_owned();
            return Err(LimitBroken::Files { most, path });
        }
        Ok(())
    }

    /// Counts the bytes of a file, before they are read.
    pub(crate) fn file(&mut self, path: &str, bytes: u64) -> Result<(), LimitBroken> {
        let SourceLimits {
            file_bytes,
            total_bytes,
            ..
        } = self.limits;
        let path = || path.to_owned();
        if file_bytes < bytes {
            return Err(LimitBroken::File {
                path: path(),
                bytes,
                most: file_bytes,
            });
        }
        self.bytes += bytes;
        if total_bytes < self.bytes {
            return Err(LimitBroken::Total {
                path: path(),
                most: total_bytes,
            });
        }
        Ok(())
    }
}
