//! The real server and the real agent with an OpenTelemetry Collector as its authors built it.
//!
//! Without the collector (`interop/collector/build.sh`) a case says that it is skipped; with `REQUIRE_ALL=1` it fails.

mod extension;
mod harness;
mod managed;
mod reference;
mod secured;
mod supervisor;
mod telemetry;
