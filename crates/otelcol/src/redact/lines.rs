//! Finds secrets in pieces of text, whatever language they are written in.

use std::ops::Range;

use super::{Edit, Form, Place};
use crate::secrets::{self, Extent};

/// A text and the edits that are found in pieces of it.
pub(super) struct Pieces<'t, 'e> {
    pub(super) text: &'t str,
    pub(super) edits: &'e mut Vec<Edit>,
}

impl Pieces<'_, '_> {
    /// The secrets inside of a piece of one line.
    pub(super) fn parts(&mut self, range: Range<usize>, extent: Extent, place: Option<Place>) {
        let parts = secrets::inside(&self.text[range.clone()], extent);
        for (number, part) in parts.into_iter().enumerate() {
            let place = place.map(|place| place.step(number));
            self.hide(range.start + part.start..range.start + part.end, place);
        }
    }

    /// The secrets from the beginning of the line that has this place in it, and all further lines that are indented
    /// `below` or deeper, until the first that is not.
    pub(super) fn lines_from(&mut self, offset: usize, below: Option<usize>) {
        let start = line_start(self.text, offset);
        let end = self.text[offset..]
            .find('\n')
            .map_or(self.text.len(), |length| offset + length + 1);
        if below.is_none() {
            return self.lines(start..self.text.len(), Place::ROOT, None);
        }
        self.lines(start..end, Place::ROOT, None);
        let rest = self.text[offset..end].trim_start_matches([':', ' ', '"', '\'']);
        let rest = rest.trim_end();
        if !rest.is_empty() {
            let from = offset + self.text[offset..end].find(rest).unwrap_or_default();
            self.hide(from..from + rest.len(), None);
        }
        self.lines(end..self.text.len(), Place::ROOT, below);
    }

    /// The secrets in lines: assignments, what is indented below the name of a secret, private keys.
    ///
    /// `below` is the least indentation of the lines that belong to a secret above them.
    pub(super) fn lines(&mut self, range: Range<usize>, place: Place, mut below: Option<usize>) {
        let mut start = range.start;
        let mut below_api: Option<usize> = None;
        let mut in_key = false;
        for (number, line) in self.text[range].split_inclusive('\n').enumerate() {
            let content = line.trim();
            let indentation = line.len() - line.trim_start().len();
            let at = start + indentation;
            start += line.len();
            if content.is_empty() {
                continue;
            }
            let place = Some(place.step(number));
            in_key |= secrets::holds_private_key(content) && content.contains("BEGIN");
            below = below.filter(|least| *least <= indentation);
            below_api = below_api.filter(|least| *least <= indentation);
            if in_key || below.is_some() {
                in_key &= !content.contains("-----END");
                self.hide(at..at + content.len(), place);
                continue;
            }
            self.parts(at..at + content.len(), Extent::Line, place);
            self.word_pair(at, content, place);
            let (name, value) = assignment(content);
            if below_api.is_some() && secrets::is_secret_below("api", name) {
                self.hide(at + content.len() - value.len()..at + content.len(), place);
            }
            if opens(value) {
                if secrets::is_secret_name(name) || secrets::is_headers_name(name) {
                    below = Some(indentation + 1);
                } else if name == "api" {
                    below_api = Some(indentation + 1);
                }
            }
        }
    }

    /// `HTTP_Passwd abc`, as some agents write it.
    fn word_pair(&mut self, at: usize, content: &str, place: Option<Place>) {
        let Some((name, value)) = content.split_once([' ', '\t']) else {
            return;
        };
        let value = value.trim_start();
        let is_pair = !value.starts_with([':', '=']) && !secrets::is_reference(value);
        if is_pair && secrets::is_secret_name(name) {
            let end = at + content.len();
            self.hide(end - value.len()..end, place);
        }
    }

    fn hide(&mut self, range: Range<usize>, place: Option<Place>) {
        self.edits.push(Edit {
            range,
            form: Form::Part,
            place,
        });
    }
}

/// How far the line that has this place in it is indented.
pub(super) fn indentation(text: &str, offset: usize) -> usize {
    let line = &text[line_start(text, offset)..];
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |end| end + 1)
}

/// The name and the value of a line; both are empty where it assigns nothing.
fn assignment(content: &str) -> (&str, &str) {
    let Some((name, value)) = content.split_once([':', '=']) else {
        return ("", "");
    };
    let name = name.trim_start_matches("- ").trim_matches(['"', '\'', ' ']);
    (name, value.trim_start())
}

/// Whether the value of a line is in the lines below it.
fn opens(value: &str) -> bool {
    value.is_empty() || value.starts_with(['|', '>', '#'])
}
