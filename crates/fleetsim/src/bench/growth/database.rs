//! What SQLite's files say of themselves: their sizes, and how many transactions there were.

use std::{io, path::Path};

use super::super::error::BenchError;

/// The database's files at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Files {
    /// Bytes of the database itself.
    pub(super) database_bytes: u64,
    /// Bytes of its log; it is written again from its beginning and does not shrink.
    pub(super) log_bytes: u64,
    /// Transactions that were committed since the log was made; wraps.
    pub(super) transactions: u32,
}

/// Where the header of the log's index counts transactions (SQLite, "WAL-mode File Format": `iChange`).
const TRANSACTIONS_AT: usize = 8;

impl Files {
    /// The files of a database that may be in use.
    pub(super) fn of(database: &Path) -> Result<Self, BenchError> {
        let beside = |suffix: &str| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            path
        };
        let failed = BenchError::io(format!("looking at {}", database.display()));
        let size = |path: &Path| match std::fs::metadata(path) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        };
        let read = || {
            Ok(Self {
                database_bytes: std::fs::metadata(database)?.len(),
                log_bytes: size(Path::new(&beside("-wal")))?,
                transactions: transactions(Path::new(&beside("-shm")))?,
            })
        };
        read().map_err(failed)
    }
}

fn transactions(index: &Path) -> io::Result<u32> {
    let bytes = match std::fs::read(index) {
        Ok(bytes) => bytes,
        // A database that nobody has open has no index.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let counter = bytes.get(TRANSACTIONS_AT..TRANSACTIONS_AT + 4);
    let counter = counter.and_then(|bytes| bytes.try_into().ok());
    Ok(counter.map_or(0, u32::from_ne_bytes))
}
