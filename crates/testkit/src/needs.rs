//! Programs that cases need and machines may lack.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;

/// Where a program is; `None` where it is not, which fails with `REQUIRE_ALL=1`.
///
/// # Panics
/// With `REQUIRE_ALL=1`, when it is not there.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers out of the path of users.
    let directories =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = directories
        .map(|directory| directory.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        let required = std::env::var_os("REQUIRE_ALL").is_some_and(|all| all == OsStr::new("1"));
        assert!(!required, "REQUIRE_ALL=1, and there is no {program}");
        // Past the test harness, which hides what a passing test prints.
        writeln!(std::io::stderr(), "skipped: there is no {program}").ok()?;
    }
    found
}
