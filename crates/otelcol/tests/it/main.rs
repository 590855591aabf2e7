//! Integration tests: what the crate promises about reading, merging, writing and redacting.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop"
)]

mod checks;
mod corpus;
mod errors;
mod examples;
mod faults;
mod generate;
mod hostile;
mod known;
mod merging;
mod pages;
mod properties;
mod reading;
mod redaction;
mod reference;
