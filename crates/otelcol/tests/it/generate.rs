//! Documents as people write them, with the values they must read as.

use std::collections::BTreeMap;

use otelcol::Value;
use proptest::prelude::*;

/// A scalar as text that can stand after `key: ` in a block, and what it means.
#[derive(Debug, Clone)]
pub struct Written {
    /// The first line, and further lines that are to be indented.
    lines: Vec<String>,
    value: Value,
    fits_flow: bool,
}

/// A value with the way to write it.
#[derive(Debug, Clone)]
pub enum Tree {
    Scalar(Written),
    List(Vec<Tree>, Layout),
    Map(Vec<(String, Tree)>, Layout),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Block,
    Flow,
}

/// A document whose root is a map.
pub fn document() -> impl Strategy<Value = Tree> {
    map_of(tree()).prop_map(|entries| Tree::Map(entries, Layout::Block))
}

fn tree() -> impl Strategy<Value = Tree> {
    scalar().prop_map(Tree::Scalar).prop_recursive(5, 40, 6, |inner| {
        let layout = prop_oneof![3 => Just(Layout::Block), 1 => Just(Layout::Flow)];
        prop_oneof![
            1 => (prop::collection::vec(inner.clone(), 0..5), layout.clone()).prop_map(|(items, layout)| Tree::List(items, layout)),
            2 => (map_of(inner), layout).prop_map(|(entries, layout)| Tree::Map(entries, layout)),
        ]
    })
}

/// Few names, so that documents meet when they are merged.
fn map_of(value: impl Strategy<Value = Tree>) -> impl Strategy<Value = Vec<(String, Tree)>> {
    let name = prop::sample::select(vec![
        "a",
        "b",
        "c/x",
        "d.e",
        "receivers",
        "yes",
        "otlp/2",
        "k-8",
        "Ä ö",
    ]);
    prop::collection::btree_map(name, value, 0..5).prop_map(|map| {
        map.into_iter()
            .map(|(name, tree)| (name.to_owned(), tree))
            .collect()
    })
}

fn scalar() -> impl Strategy<Value = Written> {
    prop_oneof![
        prop::sample::select(plain_scalars()),
        any::<i64>().prop_map(|number| one_line(number.to_string(), Value::Int(number.into()))),
        text().prop_map(|text| one_line(double_quoted(&text), Value::Str(text))),
        "[ -~]{0,12}"
            .prop_map(|text| one_line(format!("'{}'", text.replace('\'', "''")), Value::Str(text))),
        block_text().prop_map(literal),
        folded(),
        multi_line_plain(),
    ]
}

fn plain_scalars() -> Vec<Written> {
    let text = |text: &str| one_line(text.to_owned(), Value::from(text));
    let int = |text: &str, number| one_line(text.to_owned(), Value::Int(number));
    vec![
        text("yes"),
        text("10s"),
        text("0.0.0.0:4317"),
        Written {
            fits_flow: false,
            ..text("${env:TOKEN}")
        },
        Written {
            fits_flow: false,
            ..text("http://host/p?q#f")
        },
        text("a b: c").quoted("\"a b: c\""),
        text("12").quoted("!!str 12"),
        text("%d").quoted("'%d'"),
        int("0777", 511),
        int("0o17", 15),
        int("0x1F", 31),
        int("1_000", 1000),
        one_line("null".into(), Value::Null),
        one_line("~".into(), Value::Null),
        Written {
            fits_flow: false,
            ..one_line(String::new(), Value::Null)
        },
        one_line("true".into(), Value::Bool(true)),
        one_line("1.50".into(), Value::Float(1.5)),
        one_line("!!float 3".into(), Value::Float(3.0)),
        one_line(".inf".into(), Value::Float(f64::INFINITY)),
        one_line(".nan".into(), Value::Float(f64::NAN)),
        one_line("2001-01-02".into(), Value::Timestamp("2001-01-02".into())),
    ]
}

impl Written {
    fn quoted(self, written: &str) -> Self {
        Self {
            lines: vec![written.to_owned()],
            ..self
        }
    }
}

fn one_line(line: String, value: Value) -> Written {
    Written {
        lines: vec![line],
        value,
        fits_flow: true,
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,10}",
        "[\u{0}-\u{ff}]{0,6}",
        "[ \t\n:#'\"\\\\-]{0,6}",
        "[\u{2020}-\u{2030}\u{fefe}-\u{ff01}\u{fffd}-\u{10010}]{0,3}"
    ]
}

/// Enough of JSON's escapes for any text, independent of what the crate writes.
fn double_quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        ' '..='~' => c.to_string(),
        c => format!("\\U{:08x}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

/// Lines for a block scalar, the last of which is not blank.
fn block_text() -> impl Strategy<Value = (Vec<String>, &'static str, usize)> {
    let line = prop_oneof![4 => "[!-~]([ -~]{0,10}[!-~])?", 1 => Just(String::new()), 1 => " {1,3}[!-~]{1,4}"];
    let chomping = prop::sample::select(vec!["", "-", "+"]);
    (
        prop::collection::vec(line, 0..5),
        "[!-~]{1,5}",
        chomping,
        0..3_usize,
    )
        .prop_map(|(mut lines, last, chomping, blanks)| {
            lines.push(last);
            (lines, chomping, blanks)
        })
}

fn literal((lines, chomping, blanks): (Vec<String>, &'static str, usize)) -> Written {
    let mut text = lines.join("\n");
    text.push_str(match chomping {
        "-" => "",
        _ => "\n",
    });
    if chomping == "+" {
        text.push_str(&"\n".repeat(blanks));
    }
    // Two is the step of the renderer below.
    let mut written = vec![format!("|2{chomping}")];
    written.extend(lines);
    written.extend(std::iter::repeat_n(String::new(), blanks));
    Written {
        lines: written,
        value: Value::Str(text),
        fits_flow: false,
    }
}

fn folded() -> impl Strategy<Value = Written> {
    (
        prop::collection::vec("[a-z]{1,4}( [a-z]{1,4})?", 1..4),
        prop::sample::select(vec!["", "-"]),
    )
        .prop_map(|(lines, chomping)| {
            let text = lines.join(" ") + if chomping == "-" { "" } else { "\n" };
            let mut written = vec![format!(">{chomping}")];
            written.extend(lines);
            Written {
                lines: written,
                value: Value::Str(text),
                fits_flow: false,
            }
        })
}

fn multi_line_plain() -> impl Strategy<Value = Written> {
    (
        prop::collection::vec("[a-z]{1,4}", 2..4),
        prop::sample::select(vec!["", "'", "\""]),
    )
        .prop_map(|(words, quote)| {
            let value = Value::Str(words.join(" "));
            let mut lines = words;
            lines[0].insert_str(0, quote);
            lines.last_mut().unwrap().push_str(quote);
            Written {
                lines,
                value,
                fits_flow: false,
            }
        })
}

impl Tree {
    /// What the tree means.
    pub fn value(&self) -> Value {
        match self {
            Self::Scalar(written) => written.value.clone(),
            Self::List(items, _) => Value::List(items.iter().map(Self::value).collect()),
            Self::Map(entries, _) => {
                let entries = entries
                    .iter()
                    .map(|(name, tree)| (name.clone(), tree.value()));
                Value::Map(entries.collect::<BTreeMap<_, _>>())
            }
        }
    }

    /// The document's text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Map(entries, _) if entries.is_empty() => text.push_str("{}\n"),
            Self::Map(entries, _) => block_map(entries, 0, &mut text),
            _ => unreachable!("documents are maps"),
        }
        text
    }

    fn fits_flow(&self) -> bool {
        match self {
            Self::Scalar(written) => written.fits_flow,
            Self::List(items, _) => items.iter().all(Self::fits_flow),
            Self::Map(entries, _) => entries.iter().all(|(_, tree)| tree.fits_flow()),
        }
    }

    fn flow(&self) -> String {
        match self {
            Self::Scalar(written) => written.lines[0].clone(),
            Self::List(items, _) => format!(
                "[{}]",
                items.iter().map(Self::flow).collect::<Vec<_>>().join(", ")
            ),
            Self::Map(entries, _) => {
                let entry = |(name, tree): &(String, Self)| format!("{name}: {}", tree.flow());
                format!(
                    "{{{}}}",
                    entries.iter().map(entry).collect::<Vec<_>>().join(" ,")
                )
            }
        }
    }

    /// Writes the value after `key:` or `-`.
    fn after(&self, indent: usize, text: &mut String) {
        match self {
            Self::Scalar(written) => scalar_lines(written, indent, text),
            Self::List(items, layout)
                if items.is_empty() || (*layout == Layout::Flow && self.fits_flow()) =>
            {
                text.push_str(&format!(" {}\n", self.flow()));
            }
            Self::Map(entries, layout)
                if entries.is_empty() || (*layout == Layout::Flow && self.fits_flow()) =>
            {
                text.push_str(&format!(" {}\n", self.flow()));
            }
            Self::List(items, _) => {
                text.push('\n');
                for item in items {
                    text.push_str(&format!("{}-", " ".repeat(indent + 2)));
                    item.after(indent + 2, text);
                }
            }
            Self::Map(entries, _) => {
                text.push_str(" # comment\n");
                block_map(entries, indent + 2, text);
            }
        }
    }
}

fn block_map(entries: &[(String, Tree)], indent: usize, text: &mut String) {
    for (name, tree) in entries {
        text.push_str(&format!("{}{name}:", " ".repeat(indent)));
        tree.after(indent, text);
    }
}

fn scalar_lines(written: &Written, indent: usize, text: &mut String) {
    text.push_str(&format!(" {}\n", written.lines[0]));
    for line in &written.lines[1..] {
        let indent = if line.is_empty() { 0 } else { indent + 2 };
        text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
    }
}
