//! Texts that say what a document says: it was merged and written, and must read back as what was merged.

use super::{Place, is_plain, is_quotable, is_word};
use crate::emit::{KEY_BYTES, STEP};
use crate::flat_keys::is_flat;
use crate::resolve;
use crate::tree::{Content, Key, Map, Node, Scalar, Style, Typed};

/// Whether the text says just what this document says, in obvious forms, with at most so many levels.
pub(crate) fn says(text: &str, root: &Map, depth: usize) -> bool {
    if root.is_empty() {
        return text == "{}\n";
    }
    let mut reader = Reader { rest: text };
    reader.map(root, 0, Lead::Indented, depth).is_some() && reader.rest.is_empty()
}

struct Reader<'t> {
    rest: &'t str,
}

/// Whether the first line of a block has its indentation, or follows a `- `.
#[derive(Clone, Copy)]
enum Lead {
    Indented,
    Inline,
}

/// Each reads one thing that is expected; nothing where it does not stand there in an obvious form.
impl Reader<'_> {
    fn map(&mut self, map: &Map, indent: usize, mut lead: Lead, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        for entry in map.iter() {
            self.lead(indent, lead)?;
            lead = Lead::Indented;
            self.key(&entry.key)?;
            self.value(&entry.value, indent, depth)?;
        }
        Some(())
    }

    fn list(&mut self, items: &[Node], indent: usize, mut lead: Lead, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        for item in items {
            self.lead(indent, lead)?;
            lead = Lead::Indented;
            self.token("-")?;
            match &item.content {
                Content::Map(map) if !map.is_empty() && self.rest.starts_with(" ") => {
                    match self.rest.as_bytes().get(1) {
                        Some(b'{') => self.value(item, indent, depth)?,
                        _ => {
                            self.token(" ")?;
                            self.map(map, indent + STEP, Lead::Inline, depth)?;
                        }
                    }
                }
                Content::List(inner) if !inner.is_empty() && self.rest.starts_with(" -") => {
                    self.token(" ")?;
                    self.list(inner, indent + STEP, Lead::Inline, depth)?;
                }
                _ => self.value(item, indent, depth)?,
            }
        }
        Some(())
    }

    /// What stands behind a key or a `-`, to the end of its last line.
    fn value(&mut self, node: &Node, indent: usize, depth: usize) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix(' ') {
            self.rest = rest;
            self.inline(node, Place::Block, depth)?;
            return self.token("\n");
        }
        self.token("\n")?;
        match &node.content {
            // Nothing is null, and what follows stands no deeper.
            Content::Scalar(scalar) => is_nothing(scalar).then_some(()),
            Content::Map(map) if map.is_empty() => None,
            Content::List(items) if items.is_empty() => None,
            Content::Map(map) => self.map(map, indent + STEP, Lead::Indented, depth),
            Content::List(items) => self.list(items, indent + STEP, Lead::Indented, depth),
        }
    }

    /// A value on the line on which it begins.
    fn inline(&mut self, node: &Node, place: Place, depth: usize) -> Option<()> {
        match &node.content {
            Content::Scalar(scalar) => self.scalar(scalar, place),
            Content::List(items) => {
                let depth = depth.checked_sub(1)?;
                self.token("[")?;
                for (index, item) in items.iter().enumerate() {
                    self.token(if index == 0 { "" } else { ", " })?;
                    self.inline(item, Place::Flow, depth)?;
                }
                self.token("]")
            }
            Content::Map(map) => {
                let depth = depth.checked_sub(1)?;
                self.token("{")?;
                for (index, entry) in map.iter().enumerate() {
                    self.token(if index == 0 { "" } else { ", " })?;
                    self.key(&entry.key)?;
                    self.token(" ")?;
                    self.inline(&entry.value, Place::Flow, depth)?;
                }
                self.token("}")
            }
        }
    }

    fn key(&mut self, key: &Key) -> Option<()> {
        let text = key.scalar.text();
        let is_obvious = is_word(text)
            && text.len() <= KEY_BYTES
            && is_written_plain(&key.scalar)
            && matches!(resolve::plain(text), Typed::Str)
            && matches!(key.scalar.typed, Typed::Str)
            && !is_flat(key);
        if !is_obvious {
            return None;
        }
        self.token(text)?;
        self.token(":")
    }

    fn scalar(&mut self, scalar: &Scalar, place: Place) -> Option<()> {
        let text = scalar.text();
        if scalar.tag.is_some() || scalar.raw.is_some() {
            return None;
        }
        match scalar.style {
            Style::Plain => {
                let is_obvious = is_plain(text, place) && is_typed_as(scalar, resolve::plain(text));
                is_obvious.then_some(())?;
                self.token(text)
            }
            Style::SingleQuoted => self.quoted(scalar, '\''),
            Style::DoubleQuoted => self.quoted(scalar, '"'),
            Style::Literal | Style::Folded => None,
        }
    }

    fn quoted(&mut self, scalar: &Scalar, quote: char) -> Option<()> {
        let text = scalar.text();
        if !is_quotable(text, quote) || !matches!(scalar.typed, Typed::Str) {
            return None;
        }
        self.rest = self.rest.strip_prefix(quote)?;
        self.token(text)?;
        self.rest = self.rest.strip_prefix(quote)?;
        Some(())
    }

    fn lead(&mut self, indent: usize, lead: Lead) -> Option<()> {
        if matches!(lead, Lead::Inline) {
            return Some(());
        }
        let (blanks, rest) = self.rest.split_at_checked(indent)?;
        self.rest = rest;
        blanks.bytes().all(|byte| byte == b' ').then_some(())
    }

    fn token(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }
}

fn is_written_plain(scalar: &Scalar) -> bool {
    scalar.style == Style::Plain && scalar.tag.is_none() && scalar.raw.is_none()
}

fn is_nothing(scalar: &Scalar) -> bool {
    is_written_plain(scalar) && scalar.text().is_empty() && matches!(scalar.typed, Typed::Null)
}

fn is_typed_as(scalar: &Scalar, typed: Typed) -> bool {
    match (scalar.typed, typed) {
        (Typed::Str, Typed::Str)
        | (Typed::Null, Typed::Null)
        | (Typed::Timestamp, Typed::Timestamp) => true,
        (Typed::Bool(a), Typed::Bool(b)) => a == b,
        (Typed::Int(a), Typed::Int(b)) => a == b,
        (Typed::Float(a), Typed::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, emit};

    fn map(text: &str) -> Map {
        Document::parse(text.as_bytes()).unwrap().root
    }

    #[test]
    fn what_is_written_plainly_is_obvious() {
        for text in [
            "receivers: {otlp: {protocols: {grpc: {endpoint: \"127.0.0.1:4317\"}}}}\n",
            "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: 127.0.0.1:4317\n      http:\n",
            "a:\n  - {key: b.c, value: 'x y', action: upsert}\n  - - 1\n    - b\n  - c: 1\n    d:\n  - []\n  - {}\n",
            "a: ${env:X}\nb: ${env:Y:-http://x.example/p}/v1\nc: 1.5\nd: true\ne: 2024-01-01\nf: some words\n",
            "{}\n",
        ] {
            let root = map(text);
            let written = emit::document(&root);
            assert!(says(&written, &root, 20), "{written}");
        }
    }

    #[test]
    fn what_says_something_else_is_not() {
        let text = "a:\n  b: 1\n  c:\n    - x\n    - {y: z}\nd:\n";
        let root = map(text);
        assert!(says(text, &root, 20));
        for other in [
            "a:\n  b: 2\n  c:\n    - x\n    - {y: z}\nd:\n",
            "a:\n  b: 1\n  c:\n    - x\n    - {y: z}\nd: 1\n",
            "a:\n  b: 1\n  c:\n    - x\n    - {y: z}\n",
            "a:\n  b: 1\n  c:\n    - x\n    - {y: z}\nd:\ne:\n",
            "a:\n  b: 1\n  c:\n    - x\n    - {y: z}\nd:\n  ",
            "a:\n  b: 1\n  c:\n    - x\n  - {y: z}\nd:\n",
            "a:\n  b: 1\n  c: [x, {y: z}]\nd:\n ",
            "a:\n b: 1\n c:\n    - x\n    - {y: z}\nd:\n",
            "",
        ] {
            assert!(!says(other, &root, 20), "{other}");
        }
    }

    #[test]
    fn what_takes_a_parser_is_left_to_one() {
        for text in [
            "a: |\n  b\n",
            "a: >-\n  b\n",
            "a: \"b\\n\"\n",
            "a: 'it''s'\n",
            "a: !!str 1\n",
            "a: b #c\n",
            "? a\n: b\n",
            "\"a\": b\n",
            "1: b\n",
            "true: b\n",
            "a: - b\n",
            "a: é\n",
            "a: b\n  c\n",
            "a: [b c]\n",
            "a: [${env:X}]\n",
            "a: *b\n",
            "a: b: c\n",
            "a: b:\n",
        ] {
            let Ok(document) = Document::parse(text.as_bytes()) else {
                continue;
            };
            assert!(!says(text, &document.root, 20), "{text}");
        }
        let deep = format!("a: {}1{}\n", "[".repeat(20), "]".repeat(20));
        assert!(!says(&deep, &map(&deep), 20));
        assert!(says(&deep, &map(&deep), 21));
    }
}
