//! Integration tests of the protocol library, in one binary because linking is slow.
//!
//! Names carry the ids of the conformance checklist that they prove (`sq_02_…`).

mod bounds;
mod client;
mod link;
mod reply;
mod schema;
mod server;
mod support;
mod ws;
