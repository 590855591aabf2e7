//! Finds the ```sh blocks of a document and what their comments expect of them.
//!
//! The comments stand directly after a block, one a line, and are invisible to readers:
//! `<!-- expect: text -->`, `<!-- exit: 1 -->`, `<!-- within: 30s -->`, `<!-- background -->`, `<!-- skip: reason -->`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// One block of commands, as a reader would paste it.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The document.
    pub file: PathBuf,
    /// The line of the block's first command, counted from 1.
    pub line: usize,
    /// The commands.
    pub commands: String,
    /// What must hold.
    pub expectation: Expectation,
}

/// What must hold of a block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Texts that the output must contain in this order; ` … ` inside stands for anything.
    pub texts: Vec<String>,
    /// The exit status; 0 unless written.
    pub exit: i32,
    /// The block is run again until its texts appear, for at most this long.
    pub within: Option<Duration>,
    /// The block runs on in the background until the end of the run.
    pub background: bool,
    /// The block is not run, for this reason.
    pub skip: Option<String>,
}

/// The blocks of the document `text`, which came from `file`.
///
/// # Errors
/// Names the line of a comment that is no expectation, and of a block that does not end.
pub fn blocks(file: &Path, text: &str) -> Result<Vec<Block>> {
    let mut lines = text.lines().enumerate().peekable();
    let mut blocks = Vec::new();
    while let Some((index, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| line.trim() != "```")
            .collect();
        if language.trim() != "sh" {
            continue;
        }
        if text.lines().nth(index + 1 + body.len()).is_none() {
            bail!("{}:{}: the block does not end", file.display(), index + 1);
        }
        let mut expectation = Expectation::default();
        while let Some((index, line)) =
            lines.next_if(|(_, line)| is_comment(line) || line.trim().is_empty())
        {
            let place = || format!("{}:{}", file.display(), index + 1);
            expectation.read(line).with_context(place)?;
        }
        let commands = body.iter().map(|line| format!("{line}\n")).collect();
        blocks.push(Block {
            file: file.to_path_buf(),
            line: index + 2,
            commands,
            expectation,
        });
    }
    Ok(blocks)
}

fn is_comment(line: &str) -> bool {
    line.trim().starts_with("<!--") && line.trim().ends_with("-->")
}

impl Expectation {
    fn read(&mut self, line: &str) -> Result<()> {
        let Some(comment) = line
            .trim()
            .strip_prefix("<!--")
            .and_then(|rest| rest.strip_suffix("-->"))
        else {
            return Ok(());
        };
        let (word, rest) = comment.split_once(':').unwrap_or((comment, ""));
        let rest = rest.trim();
        match (word.trim(), rest.is_empty()) {
            ("expect", false) => self.texts.push(rest.to_owned()),
            ("exit", false) => self.exit = rest.parse().context("exit is a number")?,
            ("within", false) => self.within = Some(seconds(rest)?),
            ("background", true) => self.background = true,
            ("skip", false) => self.skip = Some(rest.to_owned()),
            _ => bail!(
                "unknown comment {comment:?}; known are expect: …, exit: n, within: 30s, background, skip: reason"
            ),
        }
        Ok(())
    }

    /// The first text that `output` lacks after the ones before it.
    pub fn first_missing(&self, output: &str) -> Option<&str> {
        let mut rest = output;
        self.texts.iter().map(String::as_str).find(|text| {
            match text.split('…').map(str::trim).try_fold(rest, skip_past) {
                Some(after) => {
                    rest = after;
                    false
                }
                None => true,
            }
        })
    }
}

fn skip_past<'a>(output: &'a str, text: &str) -> Option<&'a str> {
    output.find(text).map(|at| &output[at + text.len()..])
}

fn seconds(text: &str) -> Result<Duration> {
    let number = text.strip_suffix('s').context("written as seconds: 30s")?;
    Ok(Duration::from_secs(
        number.parse().context("written as seconds: 30s")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Block> {
        blocks(Path::new("a.md"), text).expect("a good document")
    }

    #[test]
    fn blocks_are_found_with_their_comments() {
        let found = read(
            "# A\n```sh\nmake demo\n```\n<!-- background -->\n<!-- expect: ready -->\n\ntext\n```json\n{}\n```\n\n```sh\nls\npwd\n```\n",
        );
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].line, found[0].commands.as_str()),
            (3, "make demo\n")
        );
        assert!(found[0].expectation.background);
        assert_eq!(found[0].expectation.texts, ["ready"]);
        assert_eq!(
            (found[1].line, found[1].commands.as_str()),
            (14, "ls\npwd\n")
        );
        assert_eq!(found[1].expectation, Expectation::default());
    }

    #[test]
    fn all_comments_are_understood() {
        let found = read(
            "```sh\nx\n```\n<!-- exit: 22 -->\n<!-- within: 30s -->\n<!-- skip: needs a cluster -->\n",
        );
        let expected = Expectation {
            exit: 22,
            within: Some(Duration::from_secs(30)),
            skip: Some("needs a cluster".to_owned()),
            ..Expectation::default()
        };
        assert_eq!(found[0].expectation, expected);
    }

    #[test]
    fn a_misspelt_comment_is_refused_with_its_line() {
        let error =
            blocks(Path::new("a.md"), "```sh\nx\n```\n<!-- expects: y -->\n").expect_err("refused");
        assert_eq!(error.to_string(), "a.md:4");
        assert!(format!("{error:#}").contains("unknown comment"));
        assert!(blocks(Path::new("a.md"), "```sh\nx\n").is_err());
    }

    #[test]
    fn texts_are_expected_in_their_order() {
        let expectation = |texts: &[&str]| Expectation {
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            ..Expectation::default()
        };
        let output = "id 7 state APPLIED\nid 8 state FAILED\n";
        assert_eq!(
            expectation(&["APPLIED", "FAILED"]).first_missing(output),
            None
        );
        assert_eq!(
            expectation(&["FAILED", "APPLIED"]).first_missing(output),
            Some("APPLIED")
        );
        assert_eq!(
            expectation(&["id … APPLIED", "id … FAILED"]).first_missing(output),
            None
        );
        assert_eq!(
            expectation(&["id 9 … FAILED"]).first_missing(output),
            Some("id 9 … FAILED")
        );
    }
}
