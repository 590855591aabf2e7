//! Runs the commands that the documents show, as a reader would, and compares what they print.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::markdown::{Block, blocks};
use crate::shell::{Background, Outcome, Shell};

/// How long a background block has to print what is expected of it, unless `within` says otherwise: it may build first.
const BACKGROUND_START: Duration = Duration::from_secs(900);
/// How long a background block has to end after Ctrl-C.
const BACKGROUND_STOP: Duration = Duration::from_secs(30);
/// The pause between two tries of a block that waits for something.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Lists the blocks of `files` and what is expected of them.
///
/// # Errors
/// When a file cannot be read or has a comment that is no expectation.
pub fn list(root: &Path, files: &[PathBuf]) -> Result<()> {
    for block in all_blocks(root, files)? {
        println!(
            "{}:{} {:?}",
            block.file.display(),
            block.line,
            block.expectation
        );
        print!("{}", block.commands);
    }
    Ok(())
}

/// Runs the blocks of `files` in one shell that starts in `root`.
///
/// # Errors
/// At the first block that does not do what is expected of it.
pub fn run(root: &Path, files: &[PathBuf]) -> Result<()> {
    let blocks = all_blocks(root, files)?;
    let scratch = tempfile::tempdir().context("making a directory for the blocks")?;
    let mut session = Session {
        shell: Shell::open(root, scratch.path())?,
        background: Vec::new(),
        ran: 0,
        skipped: 0,
    };
    let outcome = blocks.iter().try_for_each(|block| session.block(block));
    let stopped = session.stop();
    scratch.close()?;
    outcome.and(stopped)?;
    println!(
        "doc-commands: {} passed, 0 failed, {} not run",
        session.ran, session.skipped
    );
    Ok(())
}

fn all_blocks(root: &Path, files: &[PathBuf]) -> Result<Vec<Block>> {
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(root.join(file))
            .with_context(|| format!("reading {}", file.display()))?;
        all.extend(blocks(file, &text)?);
    }
    Ok(all)
}

struct Session {
    shell: Shell,
    background: Vec<Background>,
    ran: usize,
    skipped: usize,
}

impl Session {
    fn block(&mut self, block: &Block) -> Result<()> {
        let place = format!("{}:{}", block.file.display(), block.line);
        if let Some(reason) = &block.expectation.skip {
            println!("{place} not run: {reason}");
            self.skipped += 1;
            return Ok(());
        }
        println!(
            "{place} {}",
            block.commands.lines().next().unwrap_or_default()
        );
        let outcome = if block.expectation.background {
            self.start(block)
        } else {
            self.repeat(block)
        };
        self.ran += 1;
        outcome.with_context(|| format!("{place}\n{}", block.commands))
    }

    /// Runs a block, again and again where it may wait, until it does what is expected.
    fn repeat(&mut self, block: &Block) -> Result<()> {
        let deadline = Instant::now() + block.expectation.within.unwrap_or_default();
        loop {
            let outcome = self.shell.run(&block.commands)?;
            match judge(block, &outcome) {
                Ok(()) => return Ok(()),
                Err(error) if deadline <= Instant::now() => return Err(error),
                Err(_) => std::thread::sleep(RETRY_PAUSE),
            }
        }
    }

    /// Starts a block that runs on, and waits until it has printed what is expected.
    fn start(&mut self, block: &Block) -> Result<()> {
        let deadline = Instant::now() + block.expectation.within.unwrap_or(BACKGROUND_START);
        let mut background = self.shell.start(&block.commands, self.background.len())?;
        let outcome = loop {
            let output = background.output()?;
            let Some(missing) = block.expectation.first_missing(&output) else {
                break Ok(());
            };
            if let Some(exit) = background.ended()? {
                break Err(anyhow::anyhow!(
                    "ended with status {exit} before it printed {missing:?}:\n{output}"
                ));
            }
            if deadline <= Instant::now() {
                break Err(anyhow::anyhow!(
                    "has not printed {missing:?} in time:\n{output}"
                ));
            }
            std::thread::sleep(RETRY_PAUSE);
        };
        self.background.push(background);
        outcome
    }

    /// Stops what runs in the background, the newest first.
    fn stop(&mut self) -> Result<()> {
        let all = std::mem::take(&mut self.background);
        all.into_iter()
            .rev()
            .map(|background| background.stop(BACKGROUND_STOP))
            .fold(Ok(()), Result::and)
    }
}

fn judge(block: &Block, outcome: &Outcome) -> Result<()> {
    let Outcome { exit, output } = outcome;
    if *exit != block.expectation.exit {
        bail!(
            "ended with status {exit} instead of {}:\n{output}",
            block.expectation.exit
        );
    }
    match block.expectation.first_missing(output) {
        Some(missing) => bail!("did not print {missing:?} but:\n{output}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_document(text: &str) -> Result<()> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("a.md"), text)?;
        run(directory.path(), &[PathBuf::from("a.md")])
    }

    #[test]
    fn a_document_whose_commands_do_what_it_says_passes() {
        run_document("```sh\nA=1\n```\n```sh\necho $A-x\n```\n<!-- expect: 1-x -->\n```sh\nfalse\n```\n<!-- exit: 1 -->\n")
            .expect("passes");
    }

    #[test]
    fn a_command_that_fails_or_prints_something_else_is_named() {
        let error = run_document("```sh\ntrue\n```\n\n```sh\nfalse\n```\n").expect_err("fails");
        assert!(
            format!("{error:#}").starts_with("a.md:6\nfalse\n"),
            "{error:#}"
        );
        assert!(run_document("```sh\necho a\n```\n<!-- expect: b -->\n").is_err());
    }

    #[test]
    fn a_block_may_wait_for_what_it_expects() {
        run_document("```sh\nN=$((N+1)); echo $N\n```\n<!-- expect: 3 -->\n<!-- within: 20s -->\n")
            .expect("passes");
    }

    #[test]
    fn a_background_block_lives_until_the_end() {
        run_document(
            "```sh\ntrap 'exit 0' INT\necho up\nwhile :; do sleep 0.02; done\n```\n<!-- background -->\n<!-- expect: up -->\n```sh\ntrue\n```\n",
        )
        .expect("passes");
        let left = "```sh\ntrap 'exit 0' INT\necho up\nsleep 300 &\nwhile :; do sleep 0.02; done\n```\n<!-- background -->\n<!-- expect: up -->\n";
        let error = run_document(left).expect_err("a process stays");
        assert!(format!("{error:#}").contains("left behind"), "{error:#}");
        assert!(
            run_document("```sh\nexit 3\n```\n<!-- background -->\n<!-- expect: up -->\n").is_err()
        );
    }
}
