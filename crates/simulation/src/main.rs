//! Runs many seeds, or shows what one does: `opamp-simulation --seeds 0..10000`, `opamp-simulation --seed 17`.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::{Batch, Plan};

/// Server and agents on a simulated clock and network, many times over.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Run these seeds, `FROM..TO`, on every processor.
    #[arg(long, value_parser = range, default_value = "0..10000")]
    seeds: Range<u64>,
    /// Run this seed alone, and print what happens.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let outcome = match arguments.seed {
        Some(seed) => simulation::run(Plan {
            tells: true,
            ..Plan::of(seed)
        })
        .map(|summary| println!("{summary:?}")),
        None => simulation::run_all(arguments.seeds).map(|batch: Batch| println!("{batch}")),
    };
    println!("took {:.1?}", started.elapsed());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            println!("{violation}");
            println!("again: opamp-simulation --seed {}", violation.seed);
            ExitCode::FAILURE
        }
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("FROM..TO is expected")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
    Ok(number(from)?..number(to)?)
}
