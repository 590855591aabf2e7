//! A text that a template made, and where in the template each part of it comes from.

use std::sync::Arc;

use minijinja::{OutputSpan, OutputSpanKind};
use otelcol::Position;

use super::{Lines, clamped};

/// A text that a template made.
#[derive(Debug)]
pub(crate) struct Rendered {
    text: String,
    parts: Vec<Part>,
    source: Arc<str>,
}

/// A part of the text, up to the next one.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Where it begins in the text.
    begins: u32,
    /// Where it comes from in the template.
    from: u32,
    /// Whether it stands there byte for byte.
    is_copied: bool,
}

impl Rendered {
    pub(super) fn new(text: String, spans: &[OutputSpan], source: Arc<str>) -> Self {
        let part = |span: &OutputSpan| Part {
            begins: clamped(span.output_range().start),
            from: clamped(span.source_range().start),
            is_copied: span.kind() == OutputSpanKind::Raw,
        };
        Self {
            text,
            parts: spans.iter().map(part).collect(),
            source,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How much memory it takes, about, in bytes.
    pub(crate) const fn weight(&self) -> usize {
        self.text.len() + self.parts.len() * size_of::<Part>()
    }

    /// The places in the template that places in the text come from.
    pub(crate) fn places(&self) -> Places<'_> {
        Places {
            parts: &self.parts,
            lines: Lines::of(&self.source),
        }
    }
}

/// From places in a text to those in its template.
#[derive(Debug)]
pub(crate) struct Places<'r> {
    parts: &'r [Part],
    lines: Lines<'r>,
}

impl Places<'_> {
    /// Where in the template this place of the text comes from; of a text without parts: its beginning.
    pub(crate) fn of(&self, place: Position) -> Position {
        let after = self
            .parts
            .partition_point(|part| part.begins <= place.offset);
        let from = match after.checked_sub(1).map(|at| self.parts[at]) {
            Some(part) if part.is_copied => part.from + (place.offset - part.begins),
            Some(part) => part.from,
            None => 0,
        };
        self.lines.position(from as usize)
    }
}
