//! Whether a text says what the document says that it was written from, found without making a tree of it.
//!
//! A yes is certain; where anything needs a closer look (flat or merge keys, anchors, another order) there is no answer.

use granit_parser::{Event, Span, StructureStyle};

use super::Builder;
use crate::document::Limits;
use crate::error::ParseError;
use crate::flat_keys::is_flat;
use crate::map_builder::is_merge_key;
use crate::syntax;
use crate::tree::{Content, Key, Map, Node};
use crate::value::same_scalar;

/// Whether a document whose root this is was read from the text, as far as that is seen at once.
pub(crate) fn is_certain(text: &str, root: &Map, limits: &Limits) -> bool {
    let text = syntax::text(text.as_bytes(), limits.bytes);
    text.and_then(|text| Builder::new(text, text, limits).is_document(root))
        .unwrap_or(false)
}

impl<'s> Builder<'s> {
    fn is_document(&mut self, root: &Map) -> Result<bool, ParseError> {
        loop {
            let Some((event, _)) = self.next()? else {
                return Ok(false);
            };
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::MappingStart(style, 0, _) => {
                    return self.is_collection(style, 1, |this| this.is_map(root, 1));
                }
                _ => return Ok(false),
            }
        }
    }

    fn is_node(
        &mut self,
        event: Event<'s>,
        span: &Span,
        expected: &Node,
        depth: usize,
    ) -> Result<bool, ParseError> {
        match (event, &expected.content) {
            (Event::Scalar(text, style, 0, tag), Content::Scalar(expected)) => {
                let scalar = self.scalar(&text, style, tag.as_deref(), span)?;
                Ok(same_scalar(&scalar, expected))
            }
            (Event::SequenceStart(style, 0, _), Content::List(items)) => {
                self.is_collection(style, depth, |this| this.is_list(items, depth))
            }
            (Event::MappingStart(style, 0, _), Content::Map(map)) => {
                self.is_collection(style, depth, |this| this.is_map(map, depth))
            }
            _ => Ok(false),
        }
    }

    fn is_collection(
        &mut self,
        style: StructureStyle,
        depth: usize,
        content: impl FnOnce(&mut Self) -> Result<bool, ParseError>,
    ) -> Result<bool, ParseError> {
        if self.limits.depth < depth {
            return Ok(false);
        }
        let flow = usize::from(style == StructureStyle::Flow);
        self.in_flow += flow;
        let is_it = content(self)?;
        self.in_flow -= flow;
        Ok(is_it)
    }

    fn is_list(&mut self, items: &[Node], depth: usize) -> Result<bool, ParseError> {
        for item in items {
            let (event, span) = self.within()?;
            if !self.is_node(event, &span, item, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(matches!(self.within()?.0, Event::SequenceEnd))
    }

    fn is_map(&mut self, map: &Map, depth: usize) -> Result<bool, ParseError> {
        for entry in map.iter() {
            let (event, span) = self.within()?;
            if !matches!(event, Event::Scalar(_, _, 0, _)) {
                return Ok(false);
            }
            let key = self.key(event, &span)?;
            if !is_simple(&key) || key.name() != entry.key.name() {
                return Ok(false);
            }
            let (event, span) = self.within()?;
            if !self.is_node(event, &span, &entry.value, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(matches!(self.within()?.0, Event::MappingEnd))
    }
}

/// Whether a key is just itself: it merges nothing, nests nothing, and collides with no other of another name.
fn is_simple(key: &Key) -> bool {
    key.printed.is_none() && !is_flat(key) && !is_merge_key(&key.scalar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    fn map(text: &str) -> Map {
        Document::parse(text.as_bytes()).unwrap().root
    }

    #[test]
    fn what_was_written_is_certain() {
        for text in [
            "a: {b: [1, 'x', \"y\\n\"], c: ~}\n",
            "a:\n- - 1\n  - b: |\n      text\n",
            "a: 0x10\nb: 1.50\nc: !!str 1\nd: 2024-01-01\n",
        ] {
            let root = map(text);
            let written = crate::emit::document(&root);
            assert!(is_certain(&written, &root, &Limits::default()), "{written}");
        }
    }

    #[test]
    fn what_differs_in_any_place_is_not() {
        let root = map("a: {b: [1, x], c: 1}\nd: {e: f}\n");
        for text in [
            "a: {b: [1, x], c: 1}\nd: {e: g}\n",
            "a: {b: [1, x], c: '1'}\nd: {e: f}\n",
            "a: {b: [1, x], c: 1.0}\nd: {e: f}\n",
            "a: {b: [1], c: 1}\nd: {e: f}\n",
            "a: {b: [1, x, x], c: 1}\nd: {e: f}\n",
            "a: {b: [1, x], c: 1, z: 1}\nd: {e: f}\n",
            "a: {b: [1, x], c: 1}\n",
            "a: {b: [1, x], c: 1}\nd: {e: f}\ng: 1\n",
            "a: {b: [1, x], c: 1}\nd: {E: f}\n",
            "a: {b: [1, x], c: 1}\nd: [e, f]\n",
            "a: {b: [1, x], c: 1}\nd: e\n",
            "a: {b: [1, x], c: 1}\nd: {e: f\n",
            "- a\n",
            "",
        ] {
            assert!(!is_certain(text, &root, &Limits::default()), "{text}");
        }
    }

    #[test]
    fn what_only_a_closer_look_finds_equal_is_not_certain() {
        for (text, same) in [
            ("a: {b: 1, c: 2}\n", "a: {c: 2, b: 1}\n"),
            ("a: {b: 1}\nc: {b: 1}\n", "a: &x {b: 1}\nc: *x\n"),
            ("a: {b: 1}\n", "a: {<<: {b: 1}}\n"),
            ("a: {b: 1}\n", "a::b: 1\n"),
            ("a: {16: 1}\n", "a: {0x10: 1}\n"),
        ] {
            let root = map(text);
            assert_eq!(
                crate::Value::from(&root),
                crate::Value::from(&map(same)),
                "{same}"
            );
            assert!(!is_certain(same, &root, &Limits::default()), "{same}");
        }
    }
}
