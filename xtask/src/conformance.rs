//! Which test shows which requirement of the protocol: `docs/conformance.csv` beside the names of tests makes
//! `docs/conformance.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The list of requirements, one a line: id, who, level, requirement, section, why no test shows it, and why none that does
/// drives sockets.
const LIST: &str = "docs/conformance.csv";
/// The page that is made of it.
const PAGE: &str = "docs/conformance.md";
/// Where tests are.
const PLACES: [&str; 3] = ["crates", "interop", "fuzz"];
/// Where tests drive our sessions over real sockets: the program, the client's runner or the whole server at one end.
const OVER_SOCKETS: [&str; 9] = [
    "crates/agent/tests/it/",
    "crates/gateway/tests/it/",
    "crates/opamp/tests/it/grpc.rs",
    "crates/opamp/tests/it/plain_http.rs",
    "crates/opamp/tests/it/runner.rs",
    "crates/opamp/tests/it/sockets/",
    "crates/opamp/tests/it/tls.rs",
    "crates/opamp/tests/it/websocket.rs",
    "crates/server/tests/it/conformance/",
];
/// What makes or meets a socket there: one of these words stands in each file whose tests count.
const SOCKET_WORDS: [&str; 8] = [
    "Pair::",
    "Plane::",
    "Raw::",
    "Agent::start",
    "Server::start",
    "TestServer::",
    "crate::peers",
    "TcpStream::connect",
];
/// `a_01_`: letters, digits and underscores that an id takes in a test's name.
const ID_BYTES: usize = 6;

/// One requirement, as the list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    id: String,
    who: String,
    level: String,
    text: String,
    section: String,
    /// Why no test shows it; empty where one must.
    without_test: String,
    /// Why no test shows it over sockets; empty where one must, and where no test shows it at all.
    without_sockets: String,
}

/// A test that carries ids in its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    file: PathBuf,
    name: String,
    over_sockets: bool,
}

/// Tests by the id that they show.
type Shown = BTreeMap<String, BTreeSet<Test>>;

/// How many requirements there are, and how many of them are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub all: usize,
    /// Those with a test.
    pub with_test: usize,
    /// Those with a test over sockets.
    pub over_sockets: usize,
}

/// Makes the page anew; with `check`, only says whether it is what it should be.
///
/// # Errors
/// Names each id that has neither a test nor a reason, or both, also as to tests over sockets; each that a test's name carries and the list
/// does not; a place of tests over sockets that has none; and a page that is not current.
pub fn run(root: &Path, check: bool) -> Result<Counts> {
    let list = fs::read(root.join(LIST)).with_context(|| format!("reading {LIST}"))?;
    let requirements = read(&list)?;
    let shown = tests(root)?;
    let mut faults = faults(&requirements, &shown);
    faults.extend(idle_places(&shown));
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    let page = page(&requirements, &shown);
    let path = root.join(PAGE);
    if !check {
        fs::write(&path, &page).with_context(|| format!("writing {PAGE}"))?;
    } else if fs::read_to_string(&path).unwrap_or_default() != page {
        bail!("{PAGE} is not what the tests' names say: run cargo xtask conformance");
    }
    Ok(counts(&requirements, &shown))
}

fn counts(requirements: &[Requirement], shown: &Shown) -> Counts {
    let with = |is_shown: &dyn Fn(&BTreeSet<Test>) -> bool| {
        let tests = requirements.iter().filter_map(|one| shown.get(&one.id));
        tests.filter(|tests| is_shown(tests)).count()
    };
    Counts {
        all: requirements.len(),
        with_test: with(&|_| true),
        over_sockets: with(&|tests| tests.iter().any(|test| test.over_sockets)),
    }
}

fn read(list: &[u8]) -> Result<Vec<Requirement>> {
    let mut reader = csv::Reader::from_reader(list);
    let rows = reader.records().map(|row| {
        let row = row.with_context(|| format!("reading {LIST}"))?;
        let column = |index: usize| row.get(index).unwrap_or_default().to_owned();
        Ok(Requirement {
            id: column(0),
            who: column(1),
            level: column(2),
            text: column(3),
            section: column(4),
            without_test: column(5),
            without_sockets: column(6),
        })
    });
    rows.collect()
}

fn tests(root: &Path) -> Result<Shown> {
    let mut shown = Shown::new();
    for place in PLACES {
        for file in rust_files(&root.join(place))? {
            let text =
                fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let file = file.strip_prefix(root).unwrap_or(&file).to_path_buf();
            let meets_sockets = meets_sockets(&file, &text);
            for (name, is_async) in test_names(&text) {
                for id in ids(name) {
                    let test = Test {
                        file: file.clone(),
                        name: name.to_owned(),
                        over_sockets: meets_sockets && is_async,
                    };
                    shown.entry(id).or_default().insert(test);
                }
            }
        }
    }
    Ok(shown)
}

/// Whether a file stands where tests drive sockets, and has something that makes or meets one.
fn meets_sockets(file: &Path, text: &str) -> bool {
    let file = file.to_string_lossy();
    OVER_SOCKETS.iter().any(|place| file.starts_with(place))
        && SOCKET_WORDS.iter().any(|word| text.contains(word))
}

fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let entries =
            fs::read_dir(&directory).with_context(|| format!("listing {}", directory.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("target") {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Names of functions that a test attribute stands over, and whether they are async: only such a test can wait for a socket.
fn test_names(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[") {
            is_test |= ["#[test]", "#[tokio::test"]
                .iter()
                .any(|attribute| line.starts_with(attribute));
            return None;
        }
        let after_async = line.strip_prefix("async fn ");
        let after = after_async.or(line.strip_prefix("fn "));
        // Inside `proptest!` and tables of the store's contract a doc or an argument list may come between.
        let name = after.and_then(|after| after.split(['(', '<']).next())?;
        std::mem::take(&mut is_test).then_some((name, after_async.is_some()))
    })
}

/// The ids at the beginning of a test's name: `ws_07_ws_08_an_oversize…` has two.
fn ids(name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut rest = name;
    while let Some(head) = rest.get(..ID_BYTES) {
        let bytes = head.as_bytes();
        let is_id = bytes[..2].iter().all(u8::is_ascii_lowercase)
            && bytes[2] == b'_'
            && bytes[3..5].iter().all(u8::is_ascii_digit)
            && bytes[5] == b'_';
        if !is_id {
            break;
        }
        ids.push(head[..5].to_ascii_uppercase().replace('_', "-"));
        rest = &rest[ID_BYTES..];
    }
    ids
}

fn faults(requirements: &[Requirement], shown: &Shown) -> Vec<String> {
    let known: BTreeSet<&str> = requirements.iter().map(|one| one.id.as_str()).collect();
    let unknown = shown
        .iter()
        .filter(|(id, _)| !known.contains(id.as_str()))
        .flat_map(|(id, tests)| {
            tests.iter().map(move |test| {
                format!(
                    "{}: {} names {id}, which {LIST} does not have",
                    test.file.display(),
                    test.name
                )
            })
        });
    let unproved = requirements.iter().filter_map(|one| {
        fault_of(one, shown.get(&one.id)).map(|fault| format!("{}: {fault}", one.id))
    });
    unproved.chain(unknown).collect()
}

/// What is wrong with a requirement that these tests show.
fn fault_of(one: &Requirement, tests: Option<&BTreeSet<Test>>) -> Option<String> {
    let Some(tests) = tests else {
        if one.without_test.is_empty() {
            let text = &one.text;
            return Some(format!(
                "no test carries it in its name, and {LIST} does not say why ({text})"
            ));
        }
        return (!one.without_sockets.is_empty())
            .then(|| format!("no test shows it at all: {LIST} says why once"));
    };
    if !one.without_test.is_empty() {
        return Some(format!(
            "a test shows it, so {LIST} must not say that none does"
        ));
    }
    let over_sockets = tests.iter().any(|test| test.over_sockets);
    match (over_sockets, one.without_sockets.is_empty()) {
        (false, true) => Some(format!(
            "no test shows it over sockets, and {LIST} does not say why"
        )),
        (true, false) => Some(format!(
            "a test shows it over sockets, so {LIST} must not say that none does"
        )),
        (true, true) | (false, false) => None,
    }
}

/// Places that are said to have tests over sockets and have none.
fn idle_places(shown: &Shown) -> Vec<String> {
    let is_used = |place: &str| {
        shown
            .values()
            .flatten()
            .any(|test| test.over_sockets && test.file.to_string_lossy().starts_with(place))
    };
    OVER_SOCKETS
        .into_iter()
        .filter(|place| !is_used(place))
        .map(|place| format!("{place}: no test there drives sockets and carries an id"))
        .collect()
}

fn page(requirements: &[Requirement], shown: &Shown) -> String {
    let counts = counts(requirements, shown);
    let places = OVER_SOCKETS.map(|place| format!("`{place}`")).join(", ");
    let mut page = format!(
        "# Conformance\n\n\
         Every numbered requirement of the OpAMP specification (main branch of 2026-07-23), with the tests that show it or the reason why\n\
         none does. This page is made by `cargo xtask conformance` from [conformance.csv](conformance.csv) and the names of tests; CI fails when an\n\
         id loses its test. `both`, `server` and `client` say whose duty it is; `client` is the whole agent side.\n\n\
         \"Over sockets\" are tests in which our client or our server talks to a peer over a real connection and what counts is what\n\
         the peer saw: those that stand in {places}.\n\n\
         {} requirements, {} with tests, {} of them over sockets.\n\n",
        counts.all, counts.with_test, counts.over_sockets,
    );
    page.push_str(
        "| id | who | level | requirement | section | over sockets | by themselves |\n|---|---|---|---|---|---|---|\n",
    );
    for one in requirements {
        let [over_sockets, others] = proofs(one, shown.get(&one.id));
        let cells = [
            &one.id,
            &one.who,
            &one.level,
            &one.text,
            &one.section,
            &over_sockets,
            &others,
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(page, "| {} |", cells.join(" | ")).expect("a string takes everything");
    }
    page
}

/// The last two cells: tests over sockets or why there are none, and the other tests.
fn proofs(one: &Requirement, tests: Option<&BTreeSet<Test>>) -> [String; 2] {
    let Some(tests) = tests else {
        return [one.without_test.clone(), String::new()];
    };
    let (over_sockets, others): (Vec<_>, Vec<_>) = tests.iter().partition(|test| test.over_sockets);
    let first = if over_sockets.is_empty() {
        one.without_sockets.clone()
    } else {
        links(&over_sockets)
    };
    [first, links(&others)]
}

fn links(tests: &[&Test]) -> String {
    let mut by_file: BTreeMap<&Path, Vec<String>> = BTreeMap::new();
    for test in tests {
        by_file
            .entry(&test.file)
            .or_default()
            .push(format!("`{}`", test.name));
    }
    let links = by_file.iter().map(|(file, names)| {
        let file = file.display();
        format!("{} in [{file}](../{file})", names.join(", "))
    });
    links.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(id: &str, without_test: &str, without_sockets: &str) -> Requirement {
        let text = |text: &str| text.to_owned();
        Requirement {
            id: text(id),
            who: text("both"),
            level: text("MUST"),
            text: text("Do it."),
            section: text("Section"),
            without_test: text(without_test),
            without_sockets: text(without_sockets),
        }
    }

    fn shown(ids: &[(&str, bool)]) -> Shown {
        let test = |over_sockets| Test {
            file: PathBuf::from("crates/a/src/b.rs"),
            name: "ws_01_a".to_owned(),
            over_sockets,
        };
        ids.iter()
            .map(|(id, over_sockets)| ((*id).to_owned(), BTreeSet::from([test(*over_sockets)])))
            .collect()
    }

    #[test]
    fn ids_stand_at_the_beginning_of_names() {
        assert_eq!(ids("ws_07_ws_08_an_oversize_message"), ["WS-07", "WS-08"]);
        assert!(ids("a_gap_asks_for_full_state").is_empty());
        assert!(ids("sq_02").is_empty());
    }

    #[test]
    fn only_tests_count() {
        let text = "#[test]\nfn sq_01_a() {}\nfn sq_02_b() {}\n#[tokio::test(start_paused = true)]\n#[cfg(unix)]\nasync fn sq_03_c() {}\n";
        let names = [("sq_01_a", false), ("sq_03_c", true)];
        assert_eq!(test_names(text).collect::<Vec<_>>(), names);
    }

    #[test]
    fn sockets_are_met_by_place_and_by_word() {
        let meets = |file: &str, text: &str| meets_sockets(Path::new(file), text);
        let here = "crates/gateway/tests/it/websocket.rs";
        assert!(meets(here, "let plane = Plane::start().await;"));
        assert!(!meets(here, "let state = WireState::default();"));
        assert!(!meets("crates/opamp/tests/it/reply.rs", "Plane::start()"));
    }

    #[test]
    fn an_id_has_a_test_or_a_reason_and_never_both() {
        let list = [
            requirement("WS-01", "", ""),
            requirement("PK-02", "Not yet.", ""),
            requirement("TR-03", "", "A default."),
        ];
        let (ws, pk, tr) = (("WS-01", true), ("PK-02", true), ("TR-03", false));
        assert_eq!(faults(&list, &shown(&[ws, tr])), [""; 0]);
        let wrong: [&[(&str, bool)]; 6] = [
            &[tr],
            &[("WS-01", false), tr],
            &[ws],
            &[ws, ("TR-03", true)],
            &[ws, tr, pk],
            &[ws, tr, ("ZZ-99", true)],
        ];
        for shows in wrong {
            assert_eq!(faults(&list, &shown(shows)).len(), 1, "{shows:?}");
        }
        let twice = [requirement("PK-02", "Not yet.", "Not yet.")];
        assert_eq!(faults(&twice, &shown(&[])).len(), 1);
    }

    #[test]
    fn a_place_without_tests_is_named() {
        assert_eq!(idle_places(&shown(&[])).len(), OVER_SOCKETS.len());
        let mut used = shown(&[("WS-01", true)]);
        let test = Test {
            file: PathBuf::from("crates/gateway/tests/it/grpc.rs"),
            name: "ws_01_b".to_owned(),
            over_sockets: true,
        };
        used.get_mut("WS-01").expect("it is there").insert(test);
        assert_eq!(idle_places(&used).len(), OVER_SOCKETS.len() - 1);
    }

    #[test]
    fn the_page_names_tests_and_reasons() {
        let page = page(
            &[
                requirement("WS-01", "", ""),
                requirement("PK-02", "Not yet.", ""),
                requirement("TR-03", "", "A default."),
            ],
            &shown(&[("WS-01", true), ("TR-03", false)]),
        );
        let counts = "3 requirements, 2 with tests, 1 of them over sockets.";
        assert!(page.contains(counts), "{page}");
        let link = "`ws_01_a` in [crates/a/src/b.rs](../crates/a/src/b.rs)";
        for row in [
            format!("| WS-01 | both | MUST | Do it. | Section | {link} |  |"),
            "| PK-02 | both | MUST | Do it. | Section | Not yet. |  |".to_owned(),
            format!("| TR-03 | both | MUST | Do it. | Section | A default. | {link} |"),
        ] {
            assert!(page.contains(&row), "{page}");
        }
    }
}
