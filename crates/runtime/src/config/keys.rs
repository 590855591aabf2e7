//! Where each key of a file stands, so that an error can name the whole key and not just a position.

use serde_saphyr::granit_parser::{Event, Parser, Span};

/// The keys of a file and where they and their values stand, in the file's order.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Node>);

#[derive(Debug)]
struct Node {
    path: String,
    /// The line, counted from 1.
    line: u64,
    /// The column, counted from 1.
    column: u64,
    is_key: bool,
}

impl Keys {
    /// The keys of `text`; those before the first syntax error where there is one.
    pub(super) fn of(text: &str) -> Self {
        let mut nodes = Vec::new();
        walk(text, |path, kind, span, _| {
            nodes.push(Node {
                path: path.to_owned(),
                line: span.start.line() as u64,
                column: span.start.col() as u64 + 1,
                is_key: matches!(kind, Kind::Key),
            });
        });
        Self(nodes)
    }

    /// The line of the key with this path.
    pub(super) fn line_of(&self, path: &str) -> Option<u64> {
        self.0
            .iter()
            .find(|node| node.path == path)
            .map(|node| node.line)
    }

    /// The path of the value, else key, that stands at, or last before, a position.
    pub(super) fn at(&self, line: u64, column: u64) -> Option<String> {
        let exact = self
            .0
            .iter()
            .find(|node| (node.line, node.column) == (line, column));
        let before = || {
            self.0
                .iter()
                .rev()
                .find(|node| (node.line, node.column) <= (line, column))
        };
        exact
            .or_else(before)
            .map(|node| node.path.clone())
            .filter(|path| !path.is_empty())
    }

    /// The path of the key that stands at a position; a block map stands where its first key does.
    pub(super) fn key_at(&self, line: u64, column: u64) -> Option<&str> {
        let here = |node: &&Node| node.is_key && (node.line, node.column) == (line, column);
        self.0.iter().find(here).map(|node| node.path.as_str())
    }

    /// The path of `field` missing from the map at a position: a map that is reported by its first key has that key's parent.
    pub(super) fn child(&self, path: &str, field: &str, line: u64, column: u64) -> String {
        let parent = match self.key_at(line, column) {
            Some(key) => key.rsplit_once('.').map_or("", |(parent, _)| parent),
            None => path,
        };
        join(parent, field)
    }
}

/// What a scalar or collection is in its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key of a map.
    Key,
    /// A value: of a key, in a list, or the whole document.
    Value,
}

enum Frame {
    Map { path: String, key: Option<String> },
    List { path: String, index: usize },
}

/// Calls `visit` with (path, kind, span, event) for each node; stops at the first syntax error.
pub(super) fn walk(text: &str, mut visit: impl FnMut(&str, Kind, &Span, &Event<'_>)) {
    let mut frames: Vec<Frame> = Vec::new();
    for next in Parser::new_from_str(text) {
        let Ok((event, span)) = next else { return };
        match &event {
            Event::MappingEnd | Event::SequenceEnd => {
                frames.pop();
                continue;
            }
            event if !event.is_node() => continue,
            _ => {}
        }
        let (path, kind) = enter(&mut frames, &event);
        visit(&path, kind, &span, &event);
        match event {
            Event::MappingStart(..) => frames.push(Frame::Map { path, key: None }),
            Event::SequenceStart(..) => frames.push(Frame::List { path, index: 0 }),
            _ => {}
        }
    }
}

/// The path and kind of the next node, after which its parent expects what follows it.
fn enter(frames: &mut [Frame], event: &Event<'_>) -> (String, Kind) {
    match frames.last_mut() {
        None => (String::new(), Kind::Value),
        Some(Frame::List { path, index }) => {
            let here = format!("{path}[{index}]");
            *index += 1;
            (here, Kind::Value)
        }
        Some(Frame::Map { path, key }) => match key.take() {
            Some(name) => (join(path, &name), Kind::Value),
            None => {
                let name = event
                    .scalar()
                    .map_or_else(|| "?".to_owned(), |(text, _)| text.to_owned());
                let here = join(path, &name);
                *key = Some(name);
                (here, Kind::Key)
            }
        },
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}
