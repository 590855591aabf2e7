//! What the agent keeps on disk, so that a kill, a full disk or a torn write never costs its identity or its configuration.
//!
//! One directory, held by one agent at a time ([`lock`]). Small states are checksummed records of which the generation
//! before is kept ([`record`]); configurations are files named by their own hash ([`contents`]).

pub mod atomic;
pub mod contents;
pub mod lock;
pub mod record;
