//! What the command refuses the Git source refuses for the same reasons, and what it lets pass is applied.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use super::{GOOD, GOOD_BODY, LACKING, TEMPLATE, json_of, write};
use crate::git_source::wait_for_status;
use crate::git_source::ways::Way;

/// File, line, column, code, sentence.
type Fault = (String, Option<u64>, Option<u64>, String, String);

/// What the command says that a commit would be refused for.
fn faults(directory: &Path) -> Vec<Fault> {
    let told = json_of(directory, &[]);
    let found = told["findings"].as_array().expect("findings").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut faults: Vec<Fault> = found
        .filter(|found| found["refuses"] == true)
        .map(|found| {
            (
                text(&found["file"]),
                found["line"].as_u64(),
                found["column"].as_u64(),
                text(&found["code"]),
                text(&found["message"]),
            )
        })
        .collect();
    assert_eq!(told["refused"], !faults.is_empty());
    faults.sort();
    faults
}

/// A change of a working copy, and the codes for which the commit is refused.
type Case = (&'static str, fn(&Path), &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "broken",
        |work| {
            write(work, "edge/otel.yaml", b"receivers: {\n");
            write(
                work,
                "a.config.yaml",
                b"name: edge\nnope: 1\nbody: 'a: 1'\n",
            );
            write(work, "b.config.yml", b"name: b\n");
        },
        &[
            "document-unknown-key",
            "document-not-read",
            "document-duplicate-name",
        ],
    ),
    (
        "bodies",
        |work| {
            write(work, "edge/otel.yaml", b"receivers: {\n");
            write(work, "n.config.yaml", b"name: n\nbody: \"a: '\\0'\"\n");
            write(
                work,
                "r.config.yaml",
                b"name: r\nbody: |\n  a:\n    token: '[REDACTED]'\n",
            );
            write(
                work,
                "t.config.yaml",
                b"name: t\ntemplate: jinja\nbody: |\n  a: {{ vars.\n",
            );
            write(
                work,
                "v.config.yaml",
                b"name: v\ntemplate: jinja\nvars: {a-b: 1}\nbody: 'a: 1'\n",
            );
        },
        &[
            "config-body",
            "config-nul",
            "config-redacted",
            "config-template",
            "config-vars",
        ],
    ),
    (
        "links and bytes",
        |work| {
            symlink("edge/config.yaml", work.join("a.config.yaml")).expect("a link");
            write(work, "b.config.yaml", b"name: b\nfile: link\n");
            symlink("edge/otel.yaml", work.join("link")).expect("a link");
            write(work, "c.config.yaml", b"name: c\n# \xff\nbody: 'a: 1'\n");
            write(work, "d.config.yaml", b"name: d\nfile: ../../etc/passwd\n");
        },
        &[
            "document-not-a-file",
            "document-not-utf8",
            "document-file-outside",
            "document-not-a-file",
        ],
    ),
    (
        "too large",
        |work| write(work, "large", &vec![b'x'; (4 << 20) + 1]),
        &["source-too-large"],
    ),
    (
        "empty",
        |work| {
            std::fs::remove_dir_all(work.join("edge")).expect("removed");
            write(work, "README.md", b"");
        },
        &["source-empty"],
    ),
];

#[tokio::test]
async fn the_git_source_refuses_a_commit_for_what_the_command_tells() {
    let Some(way) = Way::in_a_directory() else {
        return;
    };
    let work = way.repository.work();
    for (path, text) in [GOOD, GOOD_BODY] {
        write(&work, path, text.as_bytes());
    }
    assert_eq!(faults(&work), []);
    let good = way.push("good");
    let server = way.server("release: manual").await;
    let applied = |id: String| {
        move |shown: &api_types::config_source::ConfigSource| {
            shown
                .applied
                .as_ref()
                .is_some_and(|applied| applied.commit.id == id)
        }
    };
    wait_for_status(&server, "the good commit", applied(good.clone())).await;
    for (name, change, codes) in CASES {
        change(&work);
        let expected = faults(&work);
        let told: Vec<&str> = expected.iter().map(|fault| &*fault.3).collect();
        assert_eq!(told, *codes, "{name}: {expected:?}");
        let bad = way.push(name);
        let shown = wait_for_status(&server, name, |shown| {
            let refused = shown.refused.as_ref();
            refused.is_some_and(|refused| refused.commit.id == bad)
        })
        .await;
        let findings = shown.refused.expect("a refusal").findings.into_iter();
        let mut refused: Vec<Fault> = findings
            .map(|found| {
                (
                    found.file,
                    found.line,
                    found.column,
                    found.code,
                    found.problem,
                )
            })
            .collect();
        refused.sort();
        assert_eq!(refused, expected, "{name}");
        way.repository.git(&["reset", "-q", "--hard", &good]);
    }
    // What only an agent's configs together show refuses no commit, here as there.
    for (path, text) in [LACKING, TEMPLATE] {
        write(&work, path, text.as_bytes());
    }
    assert_eq!(faults(&work), []);
    let last = way.push("what is incomplete alone");
    wait_for_status(&server, "the last commit", applied(last)).await;
}
