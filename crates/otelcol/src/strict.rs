//! What our YAML parser would let pass and the Collector's refuses, or reads as something else.
//!
//! Ours follows YAML 1.2, the Collector's is libyaml in Go. A difference here would be a config that
//! passes every check and stops the agent that gets it.

use crate::error::{Fault, ParseError, Position};
use crate::parse::fault;
use crate::syntax::TAB_ADVICE;
use crate::tree::{Scalar, Style};

/// Follows the tokens of a text and checks what stands between them for tabs.
pub(crate) struct Layout<'s> {
    source: &'s str,
    /// Where the last token ended.
    end: Position,
    /// Whether a tab here would stand where the Collector looks for a key or an item.
    may_begin: bool,
    /// Nothing but blanks came since a plain scalar.
    after_plain: bool,
    /// Nothing but blanks came since a comment that has its line for itself.
    after_comment: bool,
}

/// What a token is to the layout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A scalar without quotes.
    Plain,
    /// A scalar behind `|` or `>`.
    Block,
    /// Any other.
    Other,
}

impl<'s> Layout<'s> {
    pub(crate) const fn new(source: &'s str) -> Self {
        let end = Position {
            offset: 0,
            line: 1,
            column: 1,
        };
        Self {
            source,
            end,
            may_begin: true,
            after_plain: false,
            after_comment: false,
        }
    }

    /// Checks the text up to a token and the token's own lines.
    pub(crate) fn token(
        &mut self,
        token: Token,
        start: Position,
        end: Position,
        in_flow: bool,
    ) -> Result<(), ParseError> {
        if self.end < start {
            let gap = &self.source[self.end.offset as usize..start.offset as usize];
            match token {
                // The lines before its first one belong to it.
                Token::Block => block_scalar(gap, &self.source[start.offset as usize..], start)?,
                Token::Plain | Token::Other if in_flow => {}
                Token::Plain | Token::Other => self.gap(gap)?,
            }
            self.end = start;
        }
        if self.end < end {
            if token == Token::Plain {
                plain_lines(
                    &self.source[start.offset as usize..end.offset as usize],
                    start,
                )?;
            }
            self.end = end;
            (self.may_begin, self.after_plain, self.after_comment) =
                (end.column == 1, token == Token::Plain, false);
        }
        Ok(())
    }

    /// A tab may not begin anything outside of brackets.
    ///
    /// Not even a line that is otherwise blank or a comment. The exceptions are the Collector's:
    /// right behind a plain scalar a tab that is not at the margin is a blank, and so is any
    /// between comments that have lines of their own.
    fn gap(&mut self, gap: &str) -> Result<(), ParseError> {
        let mut rest = gap;
        let mut margin = self.end.column;
        for (number, line) in (self.end.line..).zip(gap.split_inclusive('\n')) {
            let (code, comment) = split_comment(line);
            let mut previous = '\n';
            for (column, character) in (margin..).zip(code.chars()) {
                if character == '\t' && !self.takes_tab(column, rest) {
                    let offset = self.end.offset + length(gap) - length(rest);
                    return Err(tab(Position {
                        offset,
                        line: number,
                        column,
                    }));
                }
                self.character(character, previous);
                previous = character;
                rest = &rest[character.len_utf8()..];
            }
            rest = &rest[comment.len()..];
            if !comment.is_empty() {
                (self.after_plain, self.after_comment) = (false, self.may_begin);
            }
            self.may_begin |= line.ends_with('\n');
            margin = 1;
        }
        Ok(())
    }

    fn takes_tab(&self, column: u32, rest: &str) -> bool {
        let is_blank = self.after_plain && column != 1;
        let is_between_comments = self.after_comment && rest.trim_start().starts_with('#');
        !self.may_begin || is_blank || is_between_comments
    }

    fn character(&mut self, character: char, previous: char) {
        if matches!(character, ' ' | '\t' | '\r' | '\n') {
            return;
        }
        (self.after_plain, self.after_comment) = (false, false);
        // `---` begins a document, not an item.
        self.may_begin = matches!(character, '-' | '?') && previous != '-';
    }
}

/// Without a digit in its header, a block scalar may not begin with a tab.
fn block_scalar(gap: &str, content: &str, start: Position) -> Result<(), ParseError> {
    let (header, _) = split_comment(gap.lines().next().unwrap_or_default());
    let indicator = header.rsplit(['|', '>']).next().unwrap_or_default();
    if content.starts_with('\t') && !indicator.contains(|c: char| c.is_ascii_digit()) {
        return Err(tab(start));
    }
    Ok(())
}

pub(crate) fn tab(position: Position) -> ParseError {
    syntax(position, "a tab where a space is expected", TAB_ADVICE)
}

/// A line between tokens and its comment; nothing but a comment begins with `#` there.
fn split_comment(line: &str) -> (&str, &str) {
    line.split_at(line.find('#').unwrap_or(line.len()))
}

/// Documents have less than 4 GiB.
fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// Checks a plain scalar of several lines: the Collector accepts no tab at the margin.
fn plain_lines(slice: &str, start: Position) -> Result<(), ParseError> {
    let Some(at) = slice.find("\n\t") else {
        return Ok(());
    };
    let before = &slice[..=at];
    let lines = before.split('\n').count() - 1;
    let line = start.line + u32::try_from(lines).unwrap_or(u32::MAX);
    Err(tab(Position {
        offset: start.offset + length(before),
        line,
        column: 1,
    }))
}

/// Checks a plain scalar inside of brackets, which a `?` ends for the Collector.
pub(crate) fn in_flow(scalar: &Scalar, start: Position) -> Result<(), ParseError> {
    if scalar.style == Style::Plain && scalar.text.contains('?') {
        return Err(syntax(
            start,
            "a \"?\" inside of brackets or braces begins a key",
            "quote the value",
        ));
    }
    Ok(())
}

/// Checks a key: it is written, and on one line.
pub(crate) fn key(scalar: &Scalar, in_flow: bool, start: Position) -> Result<(), ParseError> {
    let is_missing = scalar.style == Style::Plain && scalar.text.is_empty() && scalar.tag.is_none();
    if is_missing && !in_flow {
        return Err(syntax(
            start,
            "the key before \":\" is missing",
            "write \"key: value\"",
        ));
    }
    if scalar.raw.as_ref().is_some_and(|raw| raw.contains('\n')) {
        return Err(syntax(
            start,
            "a key goes over several lines",
            "write it on one line",
        ));
    }
    Ok(())
}

fn syntax(position: Position, message: &str, advice: &'static str) -> ParseError {
    fault(
        position,
        Fault::Syntax {
            message: message.to_owned(),
            advice,
        },
    )
}
