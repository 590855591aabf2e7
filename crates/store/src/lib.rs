//! All SQL of the control plane: migrations and one module per aggregate, on SQLite and on PostgreSQL.
//!
//! [`Db`] hands out connections: [`Db::read`] a reader, [`Db::begin`] a transaction whose commit is durable when it
//! returns. Functions take such a connection (`agents::get(&mut conn, …)`); the use case owns the transaction.
//! Agents' reports go another way, many agents a transaction and synced less strictly: [`Db::apply_reports`] and
//! [`Db::flush_liveness`].
//!
//! Left out: decisions (those are in `domain` and `engine`), clocks, timers and tasks. Every time is handed in.

pub mod agents;
pub mod audit;
mod bulk;
mod codec;
pub mod configs;
pub mod contents;
mod db;
pub mod desired;
mod error;
pub mod events;
mod failpoint;
pub mod holds;
pub mod idempotency;
pub mod meta;
pub mod refusals;
pub mod released;
pub mod retention;
pub mod rollouts;
pub mod secrets;
pub mod sources;
mod sql;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokens;

pub use db::backup;
pub use db::{Conn, Db, DbOptions, Location, PoolUse, Reader, Tx};
pub use error::{OpenError, StoreError};

/// What became of a write that depends on what was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versioned<T> {
    /// It was done.
    Done(T),
    /// There is nothing to write to.
    NotFound,
    /// Somebody else wrote in between.
    Conflict {
        /// The version that stands now.
        current: u64,
    },
}
