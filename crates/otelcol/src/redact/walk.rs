//! Finds secrets by walking over the events of a YAML text.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::lines::{Pieces, indentation};
use super::{Edit, Form, Naming, Place};
use crate::resolve::{self, Typed};
use crate::secrets::{self, Extent};
use crate::syntax;

/// Deeper nesting than this is read line by line.
const DEPTH: usize = 200;

/// The secrets of a text, in no order.
pub(super) fn edits(text: &str, naming: Naming) -> Vec<Edit> {
    let mut redactor = Redactor::new(text, naming);
    redactor.run();
    redactor.edits
}

/// What is known about the values below a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing yet.
    Open,
    /// All of it is secret.
    Secret,
    /// Headers by name, or a list of them.
    Headers,
    /// One header of a list, `{name, value}`.
    Header,
}

/// A list or map that is being read.
struct Frame {
    is_map: bool,
    mode: Mode,
    /// In a map: the key whose value comes next.
    key: Option<String>,
    /// In a list: how many items were read.
    items: usize,
    /// Where in the text it begins.
    start: usize,
    place: Place,
    anchor: usize,
    from: Mark,
    /// The map says `name: password` or the like, and these are its `value`s.
    names_secret: bool,
    values: Part,
}

/// How much was read up to some place of the text.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    scalars: usize,
    aliases: usize,
}

/// What was read between two places of the text.
#[derive(Debug, Clone, Default)]
struct Part {
    scalars: Range<usize>,
    aliases: Range<usize>,
}

/// A scalar that was read, in case an alias or a later key makes it a secret.
struct Seen {
    range: Range<usize>,
    form: Form,
    place: Place,
    is_key: bool,
    is_hidden: bool,
}

struct Redactor<'t> {
    text: &'t str,
    naming: Naming,
    frames: Vec<Frame>,
    scalars: Vec<Seen>,
    /// The anchors that aliases of values name, in the order of the text.
    aliases: Vec<usize>,
    /// What an anchor stands for.
    anchors: HashMap<usize, Part>,
    /// Anchors that are hidden already: every one of many aliases would hide all of it again.
    hidden: HashSet<usize>,
    edits: Vec<Edit>,
    /// Up to where the text was understood.
    done: usize,
}

impl<'t> Redactor<'t> {
    fn new(text: &'t str, naming: Naming) -> Self {
        Self {
            text,
            naming,
            frames: Vec::new(),
            scalars: Vec::new(),
            aliases: Vec::new(),
            anchors: HashMap::new(),
            hidden: HashSet::new(),
            edits: Vec::new(),
            done: 0,
        }
    }

    fn run(&mut self) {
        let mut options = syntax::options(DEPTH);
        options.set_emit_comments(true);
        options.max_buffered_comment_events = usize::MAX;
        // Tabs at the margin are no reason to look away.
        let blanks = syntax::without_margin_tabs(self.text);
        let text = blanks.as_deref().unwrap_or(self.text);
        let mut events: Parser<'_, StrInput<'_>> = Parser::new_from_str_with_options(text, options);
        loop {
            let done = self.done;
            match events.next_event() {
                Some(Ok((event, span))) => self.event(&event, &span),
                Some(Err(_)) => {
                    let below = self.hidden_below();
                    return self.pieces().lines_from(done, below);
                }
                None => return,
            }
        }
    }

    fn event(&mut self, event: &Event<'_>, span: &Span) {
        let range = span.byte_range().unwrap_or(self.done..self.done);
        self.done = self.done.max(range.end);
        match event {
            Event::Scalar(text, style, anchor, _) => self.scalar(text, *style, *anchor, range),
            Event::Alias(id) => self.alias(*id),
            Event::SequenceStart(_, anchor, _) => self.open(false, *anchor, range.start),
            Event::MappingStart(_, anchor, _) => self.open(true, *anchor, range.start),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Comment(..) => self.pieces().parts(range, Extent::Line, None),
            _ => {}
        }
    }

    fn open(&mut self, is_map: bool, anchor: usize, start: usize) {
        let mode = match self.value_mode() {
            // A map in a list of headers is one header; as a key, it is nothing.
            Mode::Headers if is_map && self.frames.last().is_some_and(|frame| !frame.is_map) => {
                Mode::Header
            }
            mode => mode,
        };
        let place = self.place();
        let from = self.mark();
        self.frames.push(Frame {
            is_map,
            mode,
            key: None,
            items: 0,
            start,
            place,
            anchor,
            from,
            names_secret: false,
            values: Part::default(),
        });
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if frame.names_secret {
            self.hide(frame.values);
        }
        let part = self.part(frame.from);
        self.note_value(&part);
        if frame.anchor != 0 {
            self.anchors.insert(frame.anchor, part);
        }
        self.value_read();
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, range: Range<usize>) {
        let from = self.mark();
        let is_key = self
            .frames
            .last()
            .is_some_and(|frame| frame.is_map && frame.key.is_none());
        let form = form_of(style, &self.text[range.clone()]);
        self.scalars.push(Seen {
            range: range.clone(),
            form,
            place: self.place(),
            is_key,
            is_hidden: false,
        });
        let part = self.part(from);
        if anchor != 0 {
            self.anchors.insert(anchor, part.clone());
        }
        if is_key {
            self.set_key(text);
            self.inside(style, range);
        } else {
            self.value(text, style, range, part);
            self.value_read();
        }
    }

    fn value(&mut self, text: &str, style: ScalarStyle, range: Range<usize>, part: Part) {
        self.note_name(text);
        self.note_value(&part);
        let in_header_list = self
            .frames
            .last()
            .is_some_and(|frame| !frame.is_map && frame.mode == Mode::Headers);
        let secret = match self.value_mode() {
            Mode::Secret => true,
            // In a list of headers, a text without a value is the name of one.
            Mode::Headers => !in_header_list || text.contains([':', '=']),
            Mode::Open | Mode::Header => false,
        };
        let is_value = style != ScalarStyle::Plain
            || !matches!(resolve::plain(text), Typed::Null | Typed::Bool(_));
        if (secret && is_value && !secrets::is_reference(text)) || secrets::holds_private_key(text)
        {
            self.hide(part);
        } else {
            self.inside(style, range);
        }
    }

    /// Looks for secrets inside of a scalar that is none as a whole.
    fn inside(&mut self, style: ScalarStyle, range: Range<usize>) {
        let place = self.place();
        let has_lines = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
            || self.text[range.clone()].contains('\n');
        // A root that is one text is most likely no YAML at all.
        if has_lines || self.frames.is_empty() {
            self.pieces().lines(range, place, None);
        } else {
            self.pieces().parts(range, Extent::Word, Some(place));
        }
    }

    /// Remembers that a map is about a secret, as `{key: authorization, value: …}` is, in either order.
    fn note_name(&mut self, text: &str) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        if matches!(frame.key.as_deref(), Some("key" | "name" | "header")) {
            frame.names_secret |= secrets::is_secret_name(text);
        }
    }

    /// Remembers what such a map holds.
    fn note_value(&mut self, part: &Part) {
        if let Some(frame) = self.frames.last_mut()
            && matches!(frame.key.as_deref(), Some("value"))
        {
            frame.values = part.clone();
        }
    }

    fn alias(&mut self, id: usize) {
        let is_key = self
            .frames
            .last()
            .is_some_and(|frame| frame.is_map && frame.key.is_none());
        if is_key {
            let name = self
                .anchors
                .get(&id)
                .and_then(|part| self.scalars.get(part.scalars.start))
                .map(|seen| self.text[seen.range.clone()].to_owned());
            return self.set_key(&name.unwrap_or_default());
        }
        let from = self.mark();
        self.aliases.push(id);
        let part = self.part(from);
        self.note_value(&part);
        if matches!(self.value_mode(), Mode::Secret | Mode::Headers) {
            self.hide(part);
        }
        self.value_read();
    }

    fn set_key(&mut self, name: &str) {
        if let Some(frame) = self.frames.last_mut() {
            frame.key = Some(name.to_owned());
        }
    }

    fn value_read(&mut self) {
        match self.frames.last_mut() {
            // A collection as a key has no name.
            Some(frame) if frame.is_map => {
                frame.key = if frame.key.is_some() {
                    None
                } else {
                    Some(String::new())
                }
            }
            Some(frame) => frame.items += 1,
            None => {}
        }
    }

    /// What is known about the value that comes now.
    fn value_mode(&self) -> Mode {
        let Some(frame) = self.frames.last() else {
            return Mode::Open;
        };
        let name = frame.key.as_deref().unwrap_or_default();
        match frame.mode {
            Mode::Secret => Mode::Secret,
            Mode::Headers if frame.is_map => Mode::Secret,
            Mode::Headers => Mode::Headers,
            Mode::Header if matches!(name, "value" | "values" | "default_value") => Mode::Secret,
            Mode::Open | Mode::Header if !frame.is_map || self.names_a_component() => Mode::Open,
            Mode::Open | Mode::Header if secrets::is_secret_name(name) => Mode::Secret,
            Mode::Open if self.names_a_variable() && secrets::is_suspect(name) => Mode::Secret,
            Mode::Open if secrets::is_secret_below(self.outer_key(), name) => Mode::Secret,
            Mode::Open | Mode::Header if secrets::is_headers_name(name) => Mode::Headers,
            Mode::Open | Mode::Header => Mode::Open,
        }
    }

    /// The key that the map being read is the value of.
    fn outer_key(&self) -> &str {
        let [.., outer, _] = self.frames.as_slice() else {
            return "";
        };
        outer.key.as_deref().unwrap_or_default()
    }

    /// Where the text is understood no further: the least indentation of lines that belong to a secret.
    fn hidden_below(&self) -> Option<usize> {
        let is_secret = |mode| matches!(mode, Mode::Secret | Mode::Headers);
        let Some(frame) = self.frames.iter().find(|frame| is_secret(frame.mode)) else {
            return is_secret(self.value_mode()).then(|| indentation(self.text, self.done) + 1);
        };
        // What is in brackets may be indented as it likes.
        if self.text[frame.start..].starts_with(['[', '{']) {
            return Some(0);
        }
        Some(indentation(self.text, frame.start))
    }

    fn names_a_variable(&self) -> bool {
        self.naming == Naming::Variables && self.frames.len() == 1
    }

    /// Whether the next value is a component, whose id says nothing: `bearertokenauth/x` is no token.
    fn names_a_component(&self) -> bool {
        const SECTIONS: [&str; 5] = [
            "receivers",
            "processors",
            "exporters",
            "connectors",
            "extensions",
        ];
        let [root, _] = self.frames.as_slice() else {
            return false;
        };
        if self.naming == Naming::Variables {
            return false;
        }
        root.key
            .as_deref()
            .is_some_and(|key| SECTIONS.contains(&key))
    }

    fn mark(&self) -> Mark {
        Mark {
            scalars: self.scalars.len(),
            aliases: self.aliases.len(),
        }
    }

    fn part(&self, from: Mark) -> Part {
        Part {
            scalars: from.scalars..self.scalars.len(),
            aliases: from.aliases..self.aliases.len(),
        }
    }

    /// Hides what was read, and what aliases in it stand for.
    fn hide(&mut self, part: Part) {
        let mut parts = vec![part];
        while let Some(part) = parts.pop() {
            self.hide_scalars(part.scalars);
            for id in self.aliases.get(part.aliases).unwrap_or_default() {
                // Text above its anchor's end has no part yet, and is hidden by the key above it.
                if let Some(target) = self.anchors.get(id)
                    && self.hidden.insert(*id)
                {
                    parts.push(target.clone());
                }
            }
        }
    }

    fn hide_scalars(&mut self, scalars: Range<usize>) {
        let seen = self.scalars.get_mut(scalars).unwrap_or_default();
        for seen in seen
            .iter_mut()
            .filter(|seen| !seen.is_key && !seen.is_hidden)
        {
            seen.is_hidden = true;
            self.edits.push(Edit {
                range: seen.range.clone(),
                form: seen.form,
                place: Some(seen.place),
            });
        }
    }

    fn place(&self) -> Place {
        let Some(frame) = self.frames.last() else {
            return Place::ROOT;
        };
        match &frame.key {
            Some(key) => frame.place.step(key),
            None => frame.place.step(frame.items),
        }
    }

    fn pieces(&mut self) -> Pieces<'t, '_> {
        Pieces {
            text: self.text,
            edits: &mut self.edits,
        }
    }
}

fn form_of(style: ScalarStyle, slice: &str) -> Form {
    let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
    if is_block && slice.ends_with('\n') {
        Form::Block
    } else {
        Form::Value
    }
}
