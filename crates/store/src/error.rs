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
