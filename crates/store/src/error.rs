//! What can go wrong with a database, told apart by what an operator or a caller can do about it.

use std::path::PathBuf;

/// Why the database could not be opened at start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It could not be reached or opened.
    #[error("opening the database {location}")]
    Unreachable {
        /// Where it was looked for; never with a password.
        location: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// It can be read but not written.
    #[error("the database {location} is read-only")]
    ReadOnly {
        /// Where it is.
        location: String,
        /// How that was noticed.
        #[source]
        source: sqlx::Error,
    },
    /// A newer program has migrated it.
    #[error(
        "the database {location} has schema version {found}, this program knows versions up to {known}: run the newer program"
    )]
    Newer {
        /// Where it is.
        location: String,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// A migration that was applied is not the one this program has under that number.
    #[error(
        "migration {version} of the database {location} is not the one this program knows: it was made by another build"
    )]
    Foreign {
        /// Where it is.
        location: String,
        /// The migration's number.
        version: i64,
    },
    /// The copy that is made before a migration failed.
    #[error("copying the database to {to} before migrating it")]
    Copy {
        /// Where the copy was to go.
        to: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A migration failed; it was rolled back.
    #[error("migrating the database {location} to version {version}")]
    Migrate {
        /// Where it is.
        location: String,
        /// The migration's number.
        version: i64,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The configured address is not one of a database.
    #[error("the database address is not usable: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
}

/// Why an operation on an open database failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be used at the moment: gone, full, read-only or overloaded. Trying later may help.
    #[error("the database cannot be used while {during}")]
    Lost {
        /// What was being done.
        during: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// Another transaction got in the way; the same work may be tried again at once.
    #[error("another transaction got in the way of {during}")]
    Contended {
        /// What was being done.
        during: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The write would break a rule of the schema, for example make a second row of the same name.
    #[error("{during} would break a rule of the schema")]
    Refused {
        /// What was being done.
        during: &'static str,
        /// Which.
        #[source]
        source: sqlx::Error,
    },
    /// A statement failed for a reason that is a bug here.
    #[error("{during} failed")]
    Statement {
        /// What was being done.
        during: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value is not what was written.
    #[error("the stored {what} cannot be read")]
    Corrupt {
        /// Which.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether the database itself is the trouble: what is logged as `database_degraded`.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// Whether the same work may succeed when it is tried again at once.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        matches!(self, Self::Contended { .. })
    }
}

impl StoreError {
    /// The driver's error.
    pub(crate) fn into_source(self) -> sqlx::Error {
        match self {
            Self::Lost { source, .. }
            | Self::Contended { source, .. }
            | Self::Refused { source, .. }
            | Self::Statement { source, .. } => source,
            Self::Corrupt { what } => sqlx::Error::Decode(what.into()),
        }
    }

    /// Sorts an error of the driver.
    pub(crate) fn of(during: &'static str, source: sqlx::Error) -> Self {
        match trouble(&source) {
            Trouble::Lost => Self::Lost { during, source },
            Trouble::Contended => Self::Contended { during, source },
            Trouble::Refused => Self::Refused { during, source },
            Trouble::Other => Self::Statement { during, source },
        }
    }
}

/// The sorts of errors that drivers give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Lost,
    Contended,
    Refused,
    Other,
}

fn trouble(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Trouble::Lost,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            match error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
                Some(_) => sqlite_trouble(code.parse().unwrap_or(0)),
                None => postgres_trouble(&code),
            }
        }
        _ => Trouble::Other,
    }
}

/// Sorts an extended result code; the low byte is the primary one. See SQLite's "Result and Error Codes".
fn sqlite_trouble(code: u32) -> Trouble {
    match code & 0xff {
        // BUSY, LOCKED
        5 | 6 => Trouble::Contended,
        // NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB
        7 | 8 | 10 | 11 | 13 | 14 | 26 => Trouble::Lost,
        // CONSTRAINT
        19 => Trouble::Refused,
        _ => Trouble::Other,
    }
}

/// Sorts a SQLSTATE. See PostgreSQL's "Error Codes".
fn postgres_trouble(code: &str) -> Trouble {
    match code {
        // Serialization failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => Trouble::Contended,
        // Read-only transaction: a standby, or a database that was made read-only.
        "25006" => Trouble::Lost,
        _ => match code.get(..2) {
            // Connection, insufficient resources, operator intervention, system error, internal error.
            Some("08" | "53" | "57" | "58" | "XX") => Trouble::Lost,
            Some("23") => Trouble::Refused,
            _ => Trouble::Other,
        },
    }
}

/// Whether an error says that nothing can be written.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let code = error.code().unwrap_or_default();
    match error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        Some(_) => code.parse::<u32>().is_ok_and(|code| code & 0xff == 8),
        None => code == "25006",
    }
}

/// Whether an error says that a file is no SQLite database (NOTADB).
pub(crate) fn is_no_database(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(26)
}

/// Whether an error says that a SQLite file is not whole (CORRUPT).
pub(crate) fn is_damaged(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(11)
}

/// The primary result code of an error of SQLite.
fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    let code: u32 = error.code()?.parse().ok()?;
    Some(code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_can_be_done_about_them() {
        // Extended codes: IOERR_WRITE, READONLY_DBMOVED, CONSTRAINT_UNIQUE, BUSY_SNAPSHOT, ERROR.
        let sqlite = [
            (778, Trouble::Lost),
            (1032, Trouble::Lost),
            (2067, Trouble::Refused),
            (517, Trouble::Contended),
        ];
        for (code, expected) in sqlite.into_iter().chain([(1, Trouble::Other)]) {
            assert_eq!(sqlite_trouble(code), expected, "{code}");
        }
        let postgres = [
            ("57P01", Trouble::Lost),
            ("08006", Trouble::Lost),
            ("53300", Trouble::Lost),
            ("25006", Trouble::Lost),
            ("40P01", Trouble::Contended),
            ("23505", Trouble::Refused),
            ("42601", Trouble::Other),
            ("", Trouble::Other),
        ];
        for (code, expected) in postgres {
            assert_eq!(postgres_trouble(code), expected, "{code}");
        }
        assert_eq!(trouble(&sqlx::Error::PoolTimedOut), Trouble::Lost);
        assert_eq!(trouble(&sqlx::Error::RowNotFound), Trouble::Other);
    }
}
