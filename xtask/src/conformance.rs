//! Which test shows which requirement of the protocol: `docs/conformance.csv` beside the names of tests makes
//! `docs/conformance.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The list of requirements, one a line: id, who, level, requirement, section, and why no test shows it.
const LIST: &str = "docs/conformance.csv";
/// The page that is made of it.
const PAGE: &str = "docs/conformance.md";
/// Where tests are.
const PLACES: [&str; 3] = ["crates", "interop", "fuzz"];
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
}

/// A test that carries ids in its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    file: PathBuf,
    name: String,
}

/// Tests by the id that they show.
type Shown = BTreeMap<String, BTreeSet<Test>>;

/// Makes the page anew; with `check`, only says whether it is what it should be. Returns how many ids a test shows, and of how many.
///
/// # Errors
/// Names each id that has neither a test nor a reason, or both, each that a test's name carries and the list does not, and a page that is not current.
pub fn run(root: &Path, check: bool) -> Result<(usize, usize)> {
    let list = fs::read(root.join(LIST)).with_context(|| format!("reading {LIST}"))?;
    let requirements = read(&list)?;
    let shown = tests(root)?;
    let faults = faults(&requirements, &shown);
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
    let with_test = requirements
        .iter()
        .filter(|one| shown.contains_key(&one.id));
    Ok((with_test.count(), requirements.len()))
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
            for name in test_names(&text) {
                for id in ids(name) {
                    let test = Test {
                        file: file.clone(),
                        name: name.to_owned(),
                    };
                    shown.entry(id).or_default().insert(test);
                }
            }
        }
    }
    Ok(shown)
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

/// Names of functions that a test attribute stands over.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[") {
            is_test |= ["#[test]", "#[tokio::test"]
                .iter()
                .any(|attribute| line.starts_with(attribute));
            return None;
        }
        let after = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
        // Inside `proptest!` and tables of the store's contract a doc or an argument list may come between.
        let name = after.and_then(|after| after.split(['(', '<']).next());
        if name.is_some() && std::mem::take(&mut is_test) {
            return name;
        }
        None
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
        match (shown.contains_key(&one.id), one.without_test.is_empty()) {
            (false, true) => Some(format!(
                "{}: no test carries it in its name, and {LIST} does not say why ({})",
                one.id, one.text
            )),
            (true, false) => Some(format!(
                "{}: a test shows it, so {LIST} must not say that none does",
                one.id
            )),
            (true, true) | (false, false) => None,
        }
    });
    unproved.chain(unknown).collect()
}

fn page(requirements: &[Requirement], shown: &Shown) -> String {
    let mut page = format!(
        "# Conformance\n\n\
         Every numbered requirement of the OpAMP specification (main branch of 2026-07-23), with the tests that show it or the reason why\n\
         none does. This page is made by `cargo xtask conformance` from [conformance.csv](conformance.csv) and the names of tests; CI fails when an\n\
         id loses its test. `both`, `server` and `client` say whose duty it is; `client` is the whole agent side.\n\n\
         {} requirements, {} with tests.\n\n",
        requirements.len(),
        requirements
            .iter()
            .filter(|one| shown.contains_key(&one.id))
            .count(),
    );
    page.push_str(
        "| id | who | level | requirement | section | shown by |\n|---|---|---|---|---|---|\n",
    );
    for one in requirements {
        let proof = shown
            .get(&one.id)
            .map_or_else(|| one.without_test.clone(), links);
        let cells = [
            &one.id,
            &one.who,
            &one.level,
            &one.text,
            &one.section,
            &proof,
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(page, "| {} |", cells.join(" | ")).expect("a string takes everything");
    }
    page
}

fn links(tests: &BTreeSet<Test>) -> String {
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

    fn requirement(id: &str, without_test: &str) -> Requirement {
        let text = |text: &str| text.to_owned();
        Requirement {
            id: text(id),
            who: text("both"),
            level: text("MUST"),
            text: text("Do it."),
            section: text("Section"),
            without_test: text(without_test),
        }
    }

    fn shown(ids: &[&str]) -> Shown {
        let test = Test {
            file: PathBuf::from("crates/a/src/b.rs"),
            name: "ws_01_a".to_owned(),
        };
        ids.iter()
            .map(|id| ((*id).to_owned(), BTreeSet::from([test.clone()])))
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
        assert_eq!(test_names(text).collect::<Vec<_>>(), ["sq_01_a", "sq_03_c"]);
    }

    #[test]
    fn an_id_has_a_test_or_a_reason_and_never_both() {
        let list = [requirement("WS-01", ""), requirement("PK-02", "Not yet.")];
        assert!(faults(&list, &shown(&["WS-01"])).is_empty());
        assert_eq!(faults(&list, &shown(&[])).len(), 1);
        assert_eq!(faults(&list, &shown(&["WS-01", "PK-02"])).len(), 1);
        assert_eq!(faults(&list, &shown(&["WS-01", "ZZ-99"])).len(), 1);
    }

    #[test]
    fn the_page_names_tests_and_reasons() {
        let page = page(
            &[requirement("WS-01", ""), requirement("PK-02", "Not yet.")],
            &shown(&["WS-01"]),
        );
        assert!(page.contains("2 requirements, 1 with tests."), "{page}");
        assert!(
            page.contains("`ws_01_a` in [crates/a/src/b.rs](../crates/a/src/b.rs)"),
            "{page}"
        );
        assert!(
            page.contains("| PK-02 | both | MUST | Do it. | Section | Not yet. |"),
            "{page}"
        );
    }
}
