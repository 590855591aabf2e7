//! Writes what fuzzers begin with: `seeds DIRECTORY` makes a directory for each target in it.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let directory = PathBuf::from(env::args_os().nth(1).expect("seeds DIRECTORY"));
    for (target, seeds) in opamp_fuzz::seeds::all() {
        let target = directory.join(target);
        fs::create_dir_all(&target)?;
        for (number, seed) in seeds.into_iter().enumerate() {
            fs::write(target.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
