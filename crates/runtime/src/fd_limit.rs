//! Raises the process's limit of open files: a server with many sockets needs more than a shell's default.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files and sockets this process may have open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FdLimit {
    /// The limit when the process started.
    pub before: u64,
    /// The limit now.
    pub now: u64,
}

/// Raises the soft limit of open files to the hard limit and says what came of it.
///
/// A system that refuses leaves the limit as it was; `now` then equals `before`.
pub fn raise_fd_limit() -> FdLimit {
    let limit = getrlimit(Resource::Nofile);
    let before = limit.current.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => FdLimit {
            before,
            now: limit.maximum.unwrap_or(u64::MAX),
        },
        Err(_) => FdLimit {
            before,
            now: before,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_never_falls() {
        let first = raise_fd_limit();
        assert!(first.before <= first.now);
        assert_eq!(raise_fd_limit().now, first.now);
    }
}
