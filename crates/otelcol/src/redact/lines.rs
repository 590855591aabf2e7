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

    /// The secrets from the beginning of the line that has this place in it.
    pub(super) fn lines_from(&mut self, offset: usize) {
        let start = self.text[..offset].rfind('\n').map_or(0, |end| end + 1);
        self.lines(start..self.text.len(), Place::ROOT);
    }

    /// The secrets in lines: assignments, what is indented below the name of a secret, private keys.
    pub(super) fn lines(&mut self, range: Range<usize>, place: Place) {
        let mut start = range.start;
        let mut below: Option<usize> = None;
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
            below = below.filter(|outer| *outer < indentation);
            if in_key || below.is_some() {
                in_key &= !content.contains("-----END");
                self.hide(at..at + content.len(), place);
                continue;
            }
            self.parts(at..at + content.len(), Extent::Line, place);
            self.word_pair(at, content, place);
            if opens_secret(content) {
                below = Some(indentation);
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

/// Whether the lines below this one are the value of a secret.
fn opens_secret(content: &str) -> bool {
    let Some((name, value)) = content.split_once([':', '=']) else {
        return false;
    };
    let name = name.trim_start_matches("- ").trim_matches(['"', '\'', ' ']);
    let value = value.trim_start();
    let is_open = value.is_empty() || value.starts_with(['|', '>', '#']);
    is_open && (secrets::is_secret_name(name) || secrets::is_headers_name(name))
}
