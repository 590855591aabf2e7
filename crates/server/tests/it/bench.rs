//! The benchmark's procedure, tried on this very build: every figure is measured, none means anything.

use std::path::{Path, PathBuf};

use fleetsim::bench::{self, BenchOptions, Figure, Mode, growth};

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");

/// Where the servers' data may be: a real disk.
fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_of_the_benchmark_is_measured() {
    let mut options = BenchOptions::smoke(PROGRAM.into(), directory("bench"));
    options.modes = vec![Mode::Plain];
    let report = bench::run(&options, |_| {}).await.unwrap();
    assert_eq!(report.problems(), Vec::<String>::new());
    assert_eq!(report.rows.len(), Figure::ALL.len());
    for row in &report.rows {
        assert!(row.median.is_some_and(f64::is_finite), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_of_growth_is_measured() {
    let options = growth::GrowthOptions::smoke(PROGRAM.into(), directory("growth"));
    let report = growth::run(&options, |_| {}).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    for part in growth::Part::ALL {
        assert!(
            report.rows.iter().any(|row| row.part == part),
            "{part:?} has no figure"
        );
    }
    assert!(report.rows.iter().all(|row| row.value.is_finite()));
    let value = |figure: &str| {
        let row = report.rows.iter().find(|row| row.figure == figure);
        row.unwrap_or_else(|| panic!("no {figure}")).value
    };
    assert!(0.0 < value("transactions"), "the liveness flush is one");
    assert!(0.0 < value("heartbeats answered"));
}
