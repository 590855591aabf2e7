//! `opamp-server`: see [`server::cli`].

use std::process::ExitCode;

use clap::Parser;

/// Thousands of small, long-lived states beside short-lived messages: glibc's allocator spent a quarter of the CPU of a
/// stored change on them and kept a third more memory (docs/performance.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    server::cli::Cli::parse().run()
}
