//! The messages of simulated agents, written and read without building a tree of them first.
//!
//! Thousands of agents share one machine with the server under test, so a report is a few copied
//! slices, and an answer is read where it lies in the receive buffer.

pub(crate) mod answer;
pub(crate) mod content;
pub(crate) mod encode;
pub(crate) mod health;
pub(crate) mod identity;
