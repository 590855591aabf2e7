//! Bodies: written in the document, or in a file that it names.

use std::collections::BTreeMap;

use super::SourceBody;
use super::document::text_of;
use super::fault::FaultCode;
use super::node::At;
use super::section::Faults;
use crate::SourceFile;

/// A body that stands in its document.
pub(super) fn inline(file: &str, document: &str, at: At, text: &str) -> SourceBody {
    let found = first_line(document, at, text);
    SourceBody {
        text: text.to_owned(),
        file: file.to_owned(),
        first_line: found.map(|(line, _)| line),
        indent: found.map_or(0, |(_, indent)| indent),
    }
}

/// A body that stands in a file of its own.
pub(super) fn of_file(
    path: &str,
    at: At,
    files: &BTreeMap<&str, &SourceFile>,
    faults: &mut Faults<'_>,
) -> Option<SourceBody> {
    let Some(file) = files.get(path) else {
        let problem = format!(
            "there is no file {path} in the source: correct the path, which begins at the document's directory"
        );
        faults.add(at, FaultCode::FileNotFound, problem);
        return None;
    };
    let text = text_of(file, faults)?;
    Some(SourceBody {
        text: text.to_owned(),
        file: path.to_owned(),
        first_line: Some(1),
        indent: 0,
    })
}

/// A path that a document names, from the source's directory; or why it is refused.
pub(super) fn resolve(document: &str, path: &str) -> Result<String, String> {
    if path.starts_with('/') {
        return Err(format!(
            "file must be a path from the document's directory, not the absolute {path}"
        ));
    }
    let directory = document
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    let mut names: Vec<&str> = directory
        .split('/')
        .filter(|name| !name.is_empty())
        .collect();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop().ok_or_else(|| {
                    format!(
                        "file leaves the source's directory with {path}: put the file inside of it"
                    )
                })?;
            }
            name => names.push(name),
        }
    }
    Ok(names.join("/"))
}

/// Where in the document the body's first line stands, and how far to the right of the body's: every line of the body
/// must be found there, else YAML has joined some.
fn first_line(document: &str, at: At, body: &str) -> Option<(u64, u64)> {
    within_line(document, at, body).or_else(|| {
        // A block's place is its first line that is not empty, or its header.
        let blank = body.lines().take_while(|line| line.is_empty()).count() as u64;
        let candidates = [at.line.saturating_sub(blank), at.line, at.line + 1];
        candidates.into_iter().find_map(|line| {
            let indent = indent_of_block(document, line, body)?;
            Some((line, indent))
        })
    })
}

/// A scalar in one line, with or without quotes.
fn within_line(document: &str, at: At, body: &str) -> Option<(u64, u64)> {
    let line = lines_from(document, at.line)?.next()?;
    let column = usize::try_from(at.column.checked_sub(1)?).ok()?;
    let (from, _) = line.char_indices().nth(column)?;
    let scalar = &line[from..];
    let (scalar, quote) = match scalar.strip_prefix(['"', '\'']) {
        Some(quoted) => (quoted, 1),
        None => (scalar, 0),
    };
    let is_here = !body.contains('\n') && scalar.starts_with(body);
    is_here.then_some((at.line, at.column - 1 + quote))
}

/// By how many blanks a block that begins at a line is indented more than the body, if it is the body.
fn indent_of_block(document: &str, line: u64, body: &str) -> Option<u64> {
    let pairs = || Some(lines_from(document, line)?.zip(body.lines()));
    let (written, first) = pairs()?.find(|(_, line)| !line.trim().is_empty())?;
    let indent = written.len().checked_sub(first.len())?;
    let lines_up = |(written, line): (&str, &str)| {
        let (blanks, rest) = written.split_at_checked(indent).unwrap_or((written, ""));
        blanks.bytes().all(|byte| byte == b' ') && rest == line
    };
    let has_all = body.lines().count() <= lines_from(document, line)?.count();
    (has_all && pairs()?.all(lines_up)).then_some(indent as u64)
}

fn lines_from(document: &str, line: u64) -> Option<std::iter::Skip<std::str::Lines<'_>>> {
    let before = usize::try_from(line.checked_sub(1)?).ok()?;
    Some(document.lines().skip(before))
}
