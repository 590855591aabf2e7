//! A few seeds in each test run; `scripts/simulation` and CI run thousands.

use simulation::{Plan, Summary, run, run_all};

#[test]
fn whatever_goes_wrong_server_and_agents_agree_in_the_end() {
    let batch = run_all(0..40).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(batch.runs, 40);
    // Runs in which nothing happens would hold too.
    assert!(400 < batch.offers && 80 < batch.servers, "{batch}");
    assert!(5 < batch.deltas && 0 < batch.refused_deltas, "{batch}");
}

#[test]
fn a_seed_decides_everything() {
    // Seeds with agents that share a connection among them.
    for seed in [3, 5, 11, 17, 30, 31, 37, 55] {
        let first = go(Plan::of(seed));
        assert_eq!(first, go(Plan::of(seed)), "seed {seed}");
        assert_ne!(first.trace, go(Plan::of(seed + 1)).trace);
    }
}

#[test]
fn a_server_that_opens_a_file_anew_agrees_too() {
    for seed in 0..3 {
        let summary = go(Plan {
            on_file: true,
            ..Plan::of(seed)
        });
        assert!(0 < summary.messages);
    }
}

fn go(plan: Plan) -> Summary {
    run(plan).unwrap_or_else(|violation| panic!("{violation}"))
}
