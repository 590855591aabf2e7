//! From tree to text: every scalar as it was written, in the place where it now stands.

use std::fmt::Write as _;

use crate::resolve::{self, Typed};
use crate::tree::{Content, Key, Map, Node, Scalar, Style};
use crate::value::Value;

/// A list or map written in brackets stays so up to this many characters.
const FLOW_WIDTH: usize = 100;
/// YAML ends a key that is not introduced by `?` after 1024 characters; this leaves room.
pub(crate) const KEY_BYTES: usize = 1000;
pub(crate) const STEP: usize = 2;

/// A document from its map.
pub(crate) fn document(root: &Map) -> String {
    let mut writer = Writer::default();
    if root.is_empty() {
        writer.text.push_str("{}\n");
    } else {
        writer.map(root, 0, Lead::Indented);
    }
    writer.text
}

/// A document from a value.
pub(crate) fn value(value: &Value) -> String {
    let mut writer = Writer::default();
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                writer.named_value(name, value, 0, Lead::Indented);
            }
        }
        Value::List(items) if !items.is_empty() => writer.value_items(items, 0, Lead::Indented),
        other => writer.line(&plain_value(other)),
    }
    writer.text
}

/// Whether the first line of a block still needs its indentation, or follows a `- `.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Indented,
    Inline,
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn map(&mut self, map: &Map, indent: usize, mut lead: Lead) {
        for entry in map.iter() {
            self.lead(indent, lead);
            lead = Lead::Indented;
            let start = self.text.len();
            push_key(&entry.key, &mut self.text);
            self.end_key(start, indent);
            self.after_key(&entry.value, indent);
        }
    }

    /// Ends a key that begins at this place of the text.
    fn end_key(&mut self, start: usize, indent: usize) {
        if KEY_BYTES < self.text.len() - start {
            self.text.insert_str(start, "? ");
            self.text.push('\n');
            self.indent(indent);
        }
        self.text.push(':');
    }

    fn after_key(&mut self, node: &Node, indent: usize) {
        if self.flow(node) {
            return;
        }
        match &node.content {
            Content::Scalar(scalar) => self.scalar(scalar, indent),
            Content::Map(map) => {
                self.text.push('\n');
                self.map(map, indent + STEP, Lead::Indented);
            }
            Content::List(items) => {
                self.text.push('\n');
                self.list(items, indent + STEP, Lead::Indented);
            }
        }
    }

    fn list(&mut self, items: &[Node], indent: usize, mut lead: Lead) {
        for item in items {
            self.lead(indent, lead);
            lead = Lead::Indented;
            self.text.push('-');
            self.item(item, indent);
        }
    }

    fn item(&mut self, item: &Node, indent: usize) {
        if self.flow(item) {
            return;
        }
        match &item.content {
            Content::Scalar(scalar) => self.scalar(scalar, indent),
            Content::Map(map) => {
                self.text.push(' ');
                self.map(map, indent + STEP, Lead::Inline);
            }
            Content::List(items) => {
                self.text.push(' ');
                self.list(items, indent + STEP, Lead::Inline);
            }
        }
    }

    /// A list or map in brackets, where all of it stood in brackets and it is short, with the line's end. Says whether it
    /// is written.
    fn flow(&mut self, node: &Node) -> bool {
        let start = self.text.len();
        self.text.push(' ');
        let is_written = match &node.content {
            Content::Scalar(_) => false,
            Content::Map(map) if map.is_empty() => {
                self.text.push_str("{}");
                true
            }
            Content::List(items) if items.is_empty() => {
                self.text.push_str("[]");
                true
            }
            _ => push_flow(node, start + 1 + FLOW_WIDTH, &mut self.text).is_some(),
        };
        if is_written {
            self.text.push('\n');
        } else {
            self.text.truncate(start);
        }
        is_written
    }

    /// A scalar after `key:` or `-`, with the line's end.
    fn scalar(&mut self, scalar: &Scalar, indent: usize) {
        let start = self.text.len();
        self.text.push(' ');
        let text = &mut self.text;
        push_tag(scalar, text);
        match (scalar.style, &scalar.raw) {
            (Style::Literal | Style::Folded, _) => text.push_str(&block(scalar, indent + STEP)),
            // Behind a tab the parser takes this for text; behind blanks it is a comment.
            (Style::Plain, Some(raw)) if raw.contains("\n#") => {
                push_double_quoted(&scalar.text, text);
            }
            (_, Some(raw)) => push_indented(raw, indent + STEP, text),
            (_, None) => push_one_line(scalar, text),
        }
        if text.len() == start + 1 {
            text.pop();
        }
        text.push('\n');
    }

    fn named_value(&mut self, name: &str, value: &Value, indent: usize, lead: Lead) {
        self.lead(indent, lead);
        let start = self.text.len();
        self.text.push_str(&plain_text(name));
        self.end_key(start, indent);
        match value {
            Value::Map(entries) if !entries.is_empty() => {
                self.text.push('\n');
                for (name, value) in entries {
                    self.named_value(name, value, indent + STEP, Lead::Indented);
                }
            }
            Value::List(items) if !items.is_empty() => {
                self.text.push('\n');
                self.value_items(items, indent + STEP, Lead::Indented);
            }
            other => self.line_after_blank(&plain_value(other)),
        }
    }

    fn value_items(&mut self, items: &[Value], indent: usize, mut lead: Lead) {
        for item in items {
            self.lead(indent, lead);
            lead = Lead::Indented;
            self.text.push('-');
            match item {
                Value::Map(entries) if !entries.is_empty() => {
                    self.text.push(' ');
                    let mut lead = Lead::Inline;
                    for (name, value) in entries {
                        self.named_value(name, value, indent + STEP, lead);
                        lead = Lead::Indented;
                    }
                }
                Value::List(items) if !items.is_empty() => {
                    self.text.push(' ');
                    self.value_items(items, indent + STEP, Lead::Inline);
                }
                other => self.line_after_blank(&plain_value(other)),
            }
        }
    }

    fn lead(&mut self, indent: usize, lead: Lead) {
        if lead == Lead::Indented {
            self.indent(indent);
        }
    }

    fn indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn line_after_blank(&mut self, text: &str) {
        if !text.is_empty() {
            self.text.push(' ');
        }
        self.line(text);
    }
}

/// Writes a value in brackets as far as this place of the text; none where it does not fit or cannot stand there.
fn push_flow(node: &Node, most: usize, text: &mut String) -> Option<()> {
    if !node.in_flow || most < text.len() {
        return None;
    }
    match &node.content {
        Content::Scalar(scalar) => push_inline(scalar, text)?,
        Content::List(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                push_flow(item, most, text)?;
            }
            text.push(']');
        }
        Content::Map(map) => {
            text.push('{');
            for (index, entry) in map.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                push_inline(&entry.key.scalar, text)?;
                text.push_str(": ");
                push_flow(&entry.value, most, text)?;
            }
            text.push('}');
        }
    }
    (text.len() <= most).then_some(())
}

/// Writes a scalar in one line, or nothing where it has several or no text to see.
fn push_inline(scalar: &Scalar, text: &mut String) -> Option<()> {
    match (scalar.style, &scalar.raw) {
        (Style::Literal | Style::Folded, _) => return None,
        (_, Some(raw)) if raw.contains('\n') => return None,
        (Style::Plain, None) if scalar.text.is_empty() => return None,
        _ => {}
    }
    push_tag(scalar, text);
    match &scalar.raw {
        Some(raw) => text.push_str(raw),
        None => push_one_line(scalar, text),
    }
    Some(())
}

/// Writes a scalar whose text and style say how.
fn push_one_line(scalar: &Scalar, text: &mut String) {
    match scalar.style {
        Style::Plain => text.push_str(&scalar.text),
        Style::SingleQuoted => {
            text.push('\'');
            text.push_str(&scalar.text);
            text.push('\'');
        }
        _ => push_double_quoted(&scalar.text, text),
    }
}

/// Writes a key in one line, which is all that YAML allows.
fn push_key(key: &Key, text: &mut String) {
    let scalar = &key.scalar;
    // At the margin these would end the document.
    let is_marker = scalar.style == Style::Plain
        && ["---", "..."]
            .iter()
            .any(|marker| scalar.text.starts_with(marker));
    if !is_marker && push_inline(scalar, text).is_some() {
        return;
    }
    push_tag(scalar, text);
    match scalar.typed {
        Typed::Null => text.push_str("null"),
        // A number or date never needs quotes, and must not get them.
        typed if !matches!(typed, Typed::Str) && scalar.tag.is_none() => {
            text.push_str(&scalar.text);
        }
        _ => push_double_quoted(&scalar.text, text),
    }
}

fn push_tag(scalar: &Scalar, text: &mut String) {
    if let Some(tag) = &scalar.tag {
        text.extend(["!!", tag, " "]);
    }
}

/// Writes the lines of a flow scalar at a new indentation.
fn push_indented(raw: &str, indent: usize, text: &mut String) {
    let mut lines = raw.split('\n');
    text.push_str(lines.next().unwrap_or_default());
    for line in lines {
        push_line(text, line, indent);
    }
}

fn push_line(text: &mut String, line: &str, indent: usize) {
    text.push('\n');
    if !line.is_empty() {
        text.extend(std::iter::repeat_n(' ', indent));
        text.push_str(line);
    }
}

/// A block scalar with its header, without the last line's end.
fn block(scalar: &Scalar, indent: usize) -> String {
    let body = scalar.text.trim_end_matches('\n');
    let breaks = scalar.text.len() - body.len();
    if body.is_empty() || !is_printable(body) {
        return double_quoted(&scalar.text);
    }
    let (sign, lines) = match (&scalar.raw, scalar.style) {
        (Some(raw), Style::Folded) => ('>', folded_lines(raw, body)),
        _ => ('|', body.to_owned()),
    };
    let mut text = String::from(sign);
    if lines.starts_with([' ', '\n', '\t']) {
        text.push_str(&STEP.to_string());
    }
    text.push_str(match breaks {
        0 => "-",
        1 => "",
        _ => "+",
    });
    for line in lines.split('\n') {
        push_line(&mut text, line, indent);
    }
    text.extend(std::iter::repeat_n('\n', breaks.saturating_sub(1)));
    text
}

/// The source of a folded scalar lacks the empty lines before its first, which the text has.
fn folded_lines(raw: &str, text: &str) -> String {
    let blank = text.len() - text.trim_start_matches('\n').len();
    "\n".repeat(blank) + raw
}

/// What a block scalar can carry as it is.
fn is_printable(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\n' | '\t') || !needs_escape(c))
}

const fn needs_escape(c: char) -> bool {
    !matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

pub(crate) fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    push_double_quoted(text, &mut quoted);
    quoted
}

fn push_double_quoted(text: &str, quoted: &mut String) {
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if needs_escape(c) => push_escape(quoted, c),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
}

fn push_escape(text: &mut String, c: char) {
    let code = u32::from(c);
    let written = match code {
        0..=0xff => write!(text, "\\x{code:02x}"),
        _ => write!(text, "\\u{code:04x}"),
    };
    written.expect("writing to a String cannot fail");
}

/// A value that fits on the line it begins on.
fn plain_value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(float) => float_text(*float),
        Value::Str(text) => plain_text(text),
        Value::Timestamp(text) => text.clone(),
        Value::Binary(text) => format!("!!binary {}", double_quoted(text)),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

fn float_text(float: f64) -> String {
    if float.is_nan() {
        return ".nan".to_owned();
    }
    if float.is_infinite() {
        return if float < 0.0 { "-.inf" } else { ".inf" }.to_owned();
    }
    // Unlike Display, Debug writes `1.0` for a whole number, which keeps it a float.
    format!("{float:?}")
}

fn plain_text(text: &str) -> String {
    if is_safe_plain(text) {
        text.to_owned()
    } else {
        double_quoted(text)
    }
}

/// Whether a text can stand without quotes for every reader of YAML, those of version 1.1 included.
pub(crate) fn is_safe_plain(text: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'))
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && matches!(resolve::plain(text), Typed::Str)
}
