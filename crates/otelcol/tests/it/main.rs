//! Integration tests: what the crate promises about reading, merging, writing and redacting.

mod errors;
mod generate;
mod hostile;
mod merging;
mod properties;
mod reading;
mod redaction;
mod reference;
