//! Texts in obvious forms, read into the tree that the parser would make of them.

use super::{Place, begins_word, is_in_word, is_plain, is_quotable};
use crate::document::Limits;
use crate::emit::KEY_BYTES;
use crate::error::Position;
use crate::map_builder::MapBuilder;
use crate::resolve;
use crate::scalar;
use crate::tree::{Content, Key, Node, Origin, Scalar, Style, Typed};

/// The root of a document, positions and styles included; nothing where it has other forms, a fault or too much of something.
pub(crate) fn read(text: &str, limits: &Limits) -> Option<Node> {
    // Other line breaks than `\n` are left to the parser.
    if text.contains('\r') {
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        line_start: 0,
        indent: None,
        nodes: limits.nodes,
    };
    reader.pass_to_content();
    if reader.indent != Some(0) {
        return None;
    }
    let root = reader.map(0, limits.depth)?;
    reader.indent.is_none().then_some(root)
}

struct Reader<'t> {
    text: &'t str,
    /// What is read next, in bytes.
    at: usize,
    line: u32,
    line_start: usize,
    /// Between entries: how far the next one is indented; nothing at the end of the text.
    indent: Option<usize>,
    /// How many more values there may be.
    nodes: usize,
}

/// Each reads one thing that is expected; nothing where it does not stand there in an obvious form.
impl<'t> Reader<'t> {
    /// A map in block style, whose first key is next, and whose keys have this indentation.
    fn map(&mut self, indent: usize, depth: usize) -> Option<Node> {
        let depth = depth.checked_sub(1)?;
        let position = self.position();
        self.count()?;
        let mut map = MapBuilder::default();
        loop {
            let key = self.key()?;
            map.claim(&key).ok()?;
            let value = self.value(indent, true, depth)?;
            map.push(key, value);
            if self.ends(indent)? {
                let content = Content::Map(map.finish().ok()?);
                return Some(node(position, content, Place::Block));
            }
        }
    }

    /// A list in block style, whose first `-` is next, and whose others have this indentation.
    fn list(&mut self, indent: usize, position: Position, depth: usize) -> Option<Node> {
        let depth = depth.checked_sub(1)?;
        self.count()?;
        let mut items = Vec::new();
        loop {
            // In a map, the key that follows a list of the same indentation ends it.
            if !self.is_item() {
                break;
            }
            self.at += 1;
            items.push(self.value(indent, false, depth)?);
            if self.ends(indent)? {
                break;
            }
        }
        Some(node(position, Content::List(items), Place::Block))
    }

    /// Whether a collection of this indentation ends before the next entry.
    fn ends(&self, indent: usize) -> Option<bool> {
        match self.indent {
            Some(next) if indent < next => None,
            next => Some(next != Some(indent)),
        }
    }

    /// What stands behind a key or a `-` that is so far indented, to the end of its last line.
    fn value(&mut self, indent: usize, of_key: bool, depth: usize) -> Option<Node> {
        // Where the parser says that a value is that nobody wrote: at the indicator.
        let nothing = self.position_of(self.at - 1);
        self.blanks();
        if let Some(next) = self.peek()
            && !matches!(next, b'\n' | b'#')
        {
            if !of_key && (self.is_item() || self.is_key()) {
                let column = self.at - self.line_start;
                return match next {
                    b'-' => self.list(column, self.position(), depth),
                    _ => self.map(column, depth),
                };
            }
            let value = self.inline(Place::Block, depth)?;
            self.end_line()?;
            return Some(value);
        }
        self.end_line()?;
        match self.indent {
            Some(next) if indent < next || (of_key && indent == next && self.is_item()) => {
                if !self.is_item() {
                    return self.map(next, depth);
                }
                let position = if indent < next {
                    self.position()
                } else {
                    self.after_item()?
                };
                self.list(next, position, depth)
            }
            _ if !of_key => None,
            _ => {
                self.count()?;
                let null = scalar::null();
                Some(node(nothing, null.content, Place::Block))
            }
        }
    }

    /// A value on one line.
    fn inline(&mut self, place: Place, depth: usize) -> Option<Node> {
        let position = self.position();
        self.count()?;
        let (content, place) = match self.peek()? {
            b'{' => (self.braces(depth.checked_sub(1)?)?, Place::Flow),
            b'[' => (self.brackets(depth.checked_sub(1)?)?, Place::Flow),
            b'\'' => (self.quoted('\'', Style::SingleQuoted)?, place),
            b'"' => (self.quoted('"', Style::DoubleQuoted)?, place),
            _ => (self.plain(place)?, place),
        };
        Some(node(position, content, place))
    }

    fn braces(&mut self, depth: usize) -> Option<Content> {
        let mut map = MapBuilder::default();
        self.at += 1;
        self.blanks();
        while !self.takes(b'}') {
            let key = self.key()?;
            map.claim(&key).ok()?;
            (self.peek()? == b' ').then_some(())?;
            self.blanks();
            let value = self.inline(Place::Flow, depth)?;
            map.push(key, value);
            self.separator(b'}')?;
        }
        Some(Content::Map(map.finish().ok()?))
    }

    fn brackets(&mut self, depth: usize) -> Option<Content> {
        let mut items = Vec::new();
        self.at += 1;
        self.blanks();
        while !self.takes(b']') {
            items.push(self.inline(Place::Flow, depth)?);
            self.separator(b']')?;
        }
        Some(Content::List(items))
    }

    /// The comma before the next value, or nothing before what closes.
    fn separator(&mut self, closing: u8) -> Option<()> {
        self.blanks();
        if self.peek()? == closing {
            return Some(());
        }
        self.takes(b',').then_some(())?;
        self.blanks();
        (self.peek()? != closing).then_some(())
    }

    fn key(&mut self) -> Option<Key> {
        let position = self.position();
        self.count()?;
        let text = self.word().filter(|_| self.is_key())?;
        self.at += text.len() + 1;
        // What is no text, such as `true`, has another name.
        let is_text = matches!(resolve::plain(text), Typed::Str);
        (is_text && text.len() <= KEY_BYTES).then(|| Key {
            scalar: scalar::of_line(text, Style::Plain),
            printed: None,
            position,
        })
    }

    fn quoted(&mut self, quote: char, style: Style) -> Option<Content> {
        let rest = self.text.get(self.at + 1..)?;
        let text = rest.get(..rest.find([quote, '\n'])?)?;
        self.at += 1 + text.len();
        (is_quotable(text, quote) && self.takes(quote as u8))
            .then(|| Content::Scalar(scalar::of_line(text, style)))
    }

    fn plain(&mut self, place: Place) -> Option<Content> {
        let rest = self.text.get(self.at..)?;
        let end = match place {
            Place::Block => rest.find('\n'),
            Place::Flow => rest.find([',', ']', '}', '\n']),
        };
        let rest = &rest[..end.unwrap_or(rest.len())];
        let text = rest.split_once(" #").map_or(rest, |(text, _)| text);
        let text = text.trim_end_matches(' ');
        self.at += text.len();
        let scalar = || Scalar {
            typed: resolve::plain(text),
            ..scalar::of_line(text, Style::Plain)
        };
        is_plain(text, place).then(|| Content::Scalar(scalar()))
    }

    /// Passes what may follow a value on its line, and lines without one.
    fn end_line(&mut self) -> Option<()> {
        self.blanks();
        match self.peek() {
            // A comment is set off from what it follows.
            Some(b'#') if self.text[..self.at].ends_with(' ') => {}
            Some(b'\n') | None => {}
            Some(_) => return None,
        }
        self.pass_line();
        self.pass_to_content();
        Some(())
    }

    /// From the beginning of a line to the next value, if there is one.
    fn pass_to_content(&mut self) {
        loop {
            self.blanks();
            match self.peek() {
                Some(b'\n' | b'#') => self.pass_line(),
                Some(_) => {
                    self.indent = Some(self.at - self.line_start);
                    return;
                }
                None => {
                    self.indent = None;
                    return;
                }
            }
        }
    }

    fn pass_line(&mut self) {
        let rest = &self.text[self.at..];
        match rest.find('\n') {
            Some(length) => {
                self.at += length + 1;
                self.line += 1;
                self.line_start = self.at;
            }
            None => self.at = self.text.len(),
        }
    }

    fn blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn is_item(&self) -> bool {
        let rest = self.rest();
        rest.first() == Some(&b'-') && matches!(rest.get(1), Some(b' ' | b'\n') | None)
    }

    /// What stands behind the `-`: there the parser says that a list is that is no deeper than its key.
    fn after_item(&self) -> Option<Position> {
        let after = self.rest().iter().skip(1);
        let blanks = after.take_while(|byte| **byte == b' ').count();
        let at = self.at + 1 + blanks;
        // With a comment it says something else.
        (self.text.as_bytes().get(at) != Some(&b'#')).then(|| self.position_of(at))
    }

    fn is_key(&self) -> bool {
        let Some(word) = self.word() else {
            return false;
        };
        let rest = &self.rest()[word.len()..];
        rest.first() == Some(&b':') && matches!(rest.get(1), Some(b' ' | b'\n') | None)
    }

    fn word(&self) -> Option<&'t str> {
        let rest = self.rest();
        rest.first().copied().filter(|first| begins_word(*first))?;
        let length = rest.iter().take_while(|byte| is_in_word(**byte)).count();
        self.text.get(self.at..self.at + length)
    }

    fn rest(&self) -> &'t [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Every value and every key counts.
    fn count(&mut self) -> Option<()> {
        self.nodes = self.nodes.checked_sub(1)?;
        Some(())
    }

    /// Where the next byte stands.
    fn position(&self) -> Position {
        self.position_of(self.at)
    }

    /// Where a byte of this line stands. What was read of the line is one byte a character.
    fn position_of(&self, at: usize) -> Position {
        // Texts of more than 4 GiB are refused long before.
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Position {
            offset: number(at),
            line: self.line,
            column: number(at - self.line_start + 1),
        }
    }
}

fn node(position: Position, content: Content, place: Place) -> Node {
    Node {
        content,
        origin: Origin { layer: 0, position },
        in_flow: place == Place::Flow,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::by_parser;

    /// What the parser makes of it, as text.
    fn parsed(text: &str, limits: &Limits) -> Result<String, String> {
        let document = by_parser(text, limits).map_err(|error| error.to_string())?;
        assert_eq!(document.ignored_from, None, "{text}");
        Ok(format!("{:#?}", document.root))
    }

    fn obvious(text: &str, limits: &Limits) -> Option<String> {
        let root = read(text, limits)?;
        Some(format!("{:#?}", root.as_map()?))
    }

    #[test]
    fn what_is_written_plainly_is_read_as_the_parser_reads_it() {
        let limits = Limits::default();
        for text in [
            "a: 1\n",
            "a: 1",
            "a:\n",
            "a:",
            "a: \n\n# c\n",
            "a:\nb:   # c\n  c:\nd: x # y\ne: x#y\n",
            "a:\n- b\n-   c: 1\n    d:\n- - x\n  - - y\n    - z\ne:\n- f\n",
            "a:\n    - b: [1, 'two', \"3\", { c: d, e: [] }, {}]\n    -  # c\n      x: y\n\n\n      z:\n      - 1\nb: {}\n",
            "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: 127.0.0.1:4317\n      http:\n# end",
            "a: ${env:X}\nb: ${env:Y:-http://x.example/p}/v1\nc: -1.5\nd: true\ne: 2024-01-01\nf: some, words < \"more\"\n",
            "# é\n\na: 'it is \"this\" \\'\nb: \"it's\" # é\n",
            "a: [ 1 , 2 ]\nb: { c: 1 , d: 'x' }\n",
            "a:\n  - b\n  - c:\n  -\n    d:\n",
        ] {
            assert_eq!(
                obvious(text, &limits),
                Some(parsed(text, &limits).unwrap()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_takes_a_parser_is_left_to_one() {
        for text in [
            "",
            "# c\n",
            "- a\n",
            " a: 1\n",
            "a: 1\n b: 2\n",
            "a:\n  b: 1\n c: 2\n",
            "a: b\n  c\n",
            "a: 1\na: 2\n",
            "a: |\n  b\n",
            "a: >-\n  b\n",
            "a: \"b\\n\"\n",
            "a: 'it''s'\n",
            "a: !!str 1\n",
            "a: &b c\n",
            "a: *b\n",
            "a:\tb\n",
            "a: b\r\n",
            "? a\n: b\n",
            "\"a\": b\n",
            "1: b\n",
            "true: b\n",
            "<<: {a: b}\n",
            "a::b: 1\n",
            "a: - b\n",
            "a: é\n",
            "a: b: c\n",
            "a: b:\n",
            "a: {b}\n",
            "a: {b:1}\n",
            "a:b\n",
            "a: [1,]\n",
            "a: [1,\n  2]\n",
            "a: [b: 1]\n",
            "a: 'b'c\n",
            "a: 'b'#c\n",
            "---\na: 1\n",
            "a: 1\n---\nb: 2\n",
            "a: 1\n...\n",
            "a:\n  b\n",
            "a:\n- b\n  - c\n",
            "a: @b\n",
            "a:\n  -\n",
            "a: `b`\n",
            "a: %b\n",
            "\u{feff}a: 1\n",
            "a: [${env:X}]\n",
            "a: [x y]\n",
        ] {
            assert!(read(text, &Limits::default()).is_none(), "{text}");
        }
    }

    #[test]
    fn limits_are_those_of_the_parser() {
        let text = "a:\n  b:\n    - [1, {c: d}]\n    - - 2\ne: 1\n";
        for number in 0..30 {
            let depth = Limits {
                depth: number,
                ..Limits::default()
            };
            assert_eq!(
                obvious(text, &depth),
                parsed(text, &depth).ok(),
                "{number} levels"
            );
            let nodes = Limits {
                nodes: number,
                ..Limits::default()
            };
            assert_eq!(
                obvious(text, &nodes),
                parsed(text, &nodes).ok(),
                "{number} values"
            );
        }
    }

    /// Lines as people write them, and some that are none.
    fn lines() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            4 => "[a-c0-2 :.,#&*!?|>%@'\"$/_=~+{}()<;\\[\\]\\\\-]{0,9}",
            2 => "[a-c]{1,2}",
            1 => "\\[ ?[a-c]{0,2}(, [a-c]){0,2} ?\\]",
            1 => "\\{ ?[a-c]: [a-c]{0,2}(, [d-f]: '[a-c]')? ?\\}",
        ];
        let key = prop_oneof![4 => "[a-z]", 1 => "", 1 => "[a-c:'\"?-]{0,3}"];
        let line = (
            0_usize..5,
            0_usize..12,
            key,
            word,
            prop_oneof![4 => "", 1 => " #[é -~]{0,3}", 1 => " "],
        );
        let line = line.prop_map(|(indent, form, key, word, end)| {
            let indent = " ".repeat(indent);
            match form {
                0..4 => format!("{indent}{key}: {word}{end}\n"),
                4 | 5 => format!("{indent}- {key}: {word}{end}\n"),
                6 => format!("{indent}- {word}{end}\n"),
                7 | 8 => format!("{indent}{key}:{end}\n"),
                9 => format!("{indent}- - {word}{end}\n"),
                10 => format!("{indent}{word}{end}\n"),
                _ => format!("{indent}#{word}\n"),
            }
        });
        prop::collection::vec(line, 0..9).prop_map(|lines| format!("k:\n{}", lines.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn whatever_is_read_is_what_the_parser_reads(text in lines(), chopped in any::<bool>()) {
            let text = if chopped { text.trim_end_matches('\n') } else { &text };
            let limits = Limits::default();
            if let Some(root) = obvious(text, &limits) {
                let parsed = parsed(text, &limits).unwrap_or_else(|error| error);
                let differ = root.lines().zip(parsed.lines()).find(|(a, b)| a != b);
                prop_assert!(root == parsed, "{text}\n{differ:?}");
            }
        }
    }
}
