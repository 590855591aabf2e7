//! Every attack of `make attacks` in small: what it may cost the server, that it is refused, and that no agent and no
//! operator is kept out. Times are judged by `make attacks` alone.

use std::path::PathBuf;

use fleetsim::attack::{self, AttackOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attack_in_small_keeps_its_bounds() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = PathBuf::from(env!("CARGO_BIN_EXE_opamp-server"));
    let options = AttackOptions::smoke(server, directory.path().to_owned());
    let report = attack::run(&options, |line| eprintln!("{line}"))
        .await
        .expect("a report");
    assert_eq!(report.rows.len(), options.attacks.len());
    assert_eq!(
        report.problems(),
        Vec::<String>::new(),
        "\n{}",
        report.table()
    );
}
