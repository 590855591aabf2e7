//! From text to tree: events of the YAML parser, read with the Collector's answers.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag};

use crate::document::{Document, Limits};
use crate::error::{Fault, ParseError, Position};
use crate::map_builder::MapBuilder;
use crate::obvious;
use crate::resolve;
use crate::scalar;
use crate::sections;
use crate::strict::{self, Layout, Token};
use crate::syntax;
use crate::tree::{Content, Key, Node, Origin, Scalar};

pub(crate) fn document(bytes: &[u8], limits: &Limits) -> Result<Document, ParseError> {
    let source = syntax::text(bytes, limits.bytes)?;
    if let Some(root) = obvious::read(source, limits) {
        let root = sections::sections(root, limits.depth)?;
        let ignored_from = None;
        return Ok(Document { root, ignored_from });
    }
    by_parser(source, limits)
}

/// Reads a document in any forms.
pub(crate) fn by_parser(source: &str, limits: &Limits) -> Result<Document, ParseError> {
    match read(source, source, limits) {
        // Inside of brackets the Collector takes tabs, ours does not: then they are blanks.
        Err(error) if syntax::is_about_tabs(&error) => match syntax::without_margin_tabs(source) {
            Some(blanks) => read(source, &blanks, limits),
            None => Err(error),
        },
        result => result,
    }
}

/// Reads a document whose text for the parser may differ from the source in blanks at the margin.
fn read(source: &str, text: &str, limits: &Limits) -> Result<Document, ParseError> {
    let mut builder = Builder::new(source, text, limits);
    let root = builder.first_document()?;
    let ignored_from = builder.next_document();
    let root = sections::sections(root, limits.depth)?;
    Ok(Document { root, ignored_from })
}

pub(crate) mod read_back;

struct Builder<'s> {
    source: &'s str,
    /// What the parser reads, of the same length.
    text: &'s str,
    events: Parser<'s, StrInput<'s>>,
    limits: Limits,
    size: Size,
    in_flow: usize,
    anchors: HashMap<usize, Anchor>,
    layout: Layout<'s>,
}

/// A node that is there to be repeated, and what repeating it costs.
struct Anchor {
    node: Node,
    size: Size,
    height: usize,
}

/// How much a tree holds, aliases followed.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    /// Bytes of text.
    bytes: usize,
}

/// A node and how many levels of lists and maps it has.
struct Built {
    node: Node,
    height: usize,
}

impl<'s> Builder<'s> {
    fn new(source: &'s str, text: &'s str, limits: &Limits) -> Self {
        let events = Parser::new_from_str_with_options(text, syntax::options(limits.depth));
        Self {
            source,
            text,
            events,
            limits: *limits,
            size: Size::default(),
            in_flow: 0,
            anchors: HashMap::new(),
            layout: Layout::new(source),
        }
    }

    /// The root of the first document; a text without one is as good as null.
    fn first_document(&mut self) -> Result<Node, ParseError> {
        loop {
            let Some((event, span)) = self.next()? else {
                return Ok(scalar::null());
            };
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd => return Ok(scalar::null()),
                event => return self.node(event, span, 1).map(|built| built.node),
            }
        }
    }

    /// Where a second document begins. The Collector never looks at it, so neither do its faults count.
    fn next_document(&mut self) -> Option<Position> {
        while let Ok(Some((event, span))) = self.next() {
            if let Event::DocumentStart(..) = event {
                return Some(syntax::position(&span.start));
            }
        }
        None
    }

    fn next(&mut self) -> Result<Option<(Event<'s>, Span)>, ParseError> {
        let next = self.events.next_event().transpose();
        let next = next.map_err(|error: ScanError| syntax::error(&error, self.limits.depth))?;
        if let Some((event, span)) = &next {
            self.check_layout(event, span)?;
        }
        Ok(next)
    }

    /// Checks what the Collector's parser is stricter about.
    fn check_layout(&mut self, event: &Event<'s>, span: &Span) -> Result<(), ParseError> {
        let token = match event {
            Event::Scalar(_, ScalarStyle::Plain, ..) => Token::Plain,
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => Token::Block,
            _ => Token::Other,
        };
        let (start, end) = (syntax::position(&span.start), syntax::position(&span.end));
        self.layout.token(token, start, end, 0 < self.in_flow)
    }

    /// The next event inside of a collection, which the parser promises to close.
    fn within(&mut self) -> Result<(Event<'s>, Span), ParseError> {
        Ok(self.next()?.unwrap_or((Event::StreamEnd, Span::default())))
    }

    fn node(&mut self, event: Event<'s>, span: Span, depth: usize) -> Result<Built, ParseError> {
        let position = syntax::position(&span.start);
        self.count(Size { nodes: 1, bytes: 0 }, position)?;
        match event {
            Event::Alias(id) => self.alias(id, depth, position),
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = self.scalar(&text, style, tag.as_deref(), &span)?;
                let size = Size {
                    nodes: 1,
                    bytes: scalar.text.len(),
                };
                let node = self.at(position, Content::Scalar(scalar));
                self.anchored(anchor, Built { node, height: 0 }, size)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.collection(style, anchor, position, depth, |this| this.list(depth))
            }
            Event::MappingStart(style, anchor, _) => {
                self.collection(style, anchor, position, depth, |this| this.map(depth))
            }
            // Unreachable by the parser's contract; nothing to read is null.
            _ => Ok(Built {
                node: scalar::null(),
                height: 0,
            }),
        }
    }

    fn collection(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        position: Position,
        depth: usize,
        content: impl FnOnce(&mut Self) -> Result<(Content, usize), ParseError>,
    ) -> Result<Built, ParseError> {
        self.check_depth(depth, position)?;
        let flow = usize::from(style == StructureStyle::Flow);
        let before = self.size;
        self.in_flow += flow;
        let (content, height) = content(self)?;
        let node = self.at(position, content);
        self.in_flow -= flow;
        let size = Size {
            nodes: 1 + self.size.nodes - before.nodes,
            bytes: self.size.bytes - before.bytes,
        };
        self.anchored(anchor, Built { node, height }, size)
    }

    fn list(&mut self, depth: usize) -> Result<(Content, usize), ParseError> {
        let mut items = Vec::new();
        let mut height = 1;
        loop {
            let (event, span) = self.within()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Ok((Content::List(items), height));
            }
            let item = self.node(event, span, depth + 1)?;
            height = height.max(item.height + 1);
            items.push(item.node);
        }
    }

    fn map(&mut self, depth: usize) -> Result<(Content, usize), ParseError> {
        let mut map = MapBuilder::default();
        let mut height = 1;
        loop {
            let (event, span) = self.within()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok((Content::Map(map.finish()?), height));
            }
            let key = self.key(event, &span)?;
            map.claim(&key)?;
            let (event, span) = self.within()?;
            let value = self.node(event, span, depth + 1)?;
            height = height.max(value.height + 1);
            map.push(key, value.node);
        }
    }

    fn key(&mut self, event: Event<'s>, span: &Span) -> Result<Key, ParseError> {
        let position = syntax::position(&span.start);
        self.count(Size { nodes: 1, bytes: 0 }, position)?;
        let scalar = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = self.scalar(&text, style, tag.as_deref(), span)?;
                strict::key(&scalar, 0 < self.in_flow, position)?;
                if anchor != 0 {
                    let size = Size {
                        nodes: 1,
                        bytes: scalar.text.len(),
                    };
                    let node = self.at(position, Content::Scalar(scalar.clone()));
                    self.anchored(anchor, Built { node, height: 0 }, size)?;
                }
                Some(scalar)
            }
            Event::Alias(id) => match self.alias(id, 0, position)?.node.content {
                Content::Scalar(scalar) => Some(scalar),
                Content::List(_) => {
                    return Err(fault(position, Fault::CollectionKey { found: "a list" }));
                }
                Content::Map(_) => None,
            },
            Event::SequenceStart(..) => {
                return Err(fault(position, Fault::CollectionKey { found: "a list" }));
            }
            _ => None,
        };
        let scalar =
            scalar.ok_or_else(|| fault(position, Fault::CollectionKey { found: "a map" }))?;
        let printed = resolve::printed_key(scalar.typed, &scalar.text).map(Into::into);
        Ok(Key {
            scalar,
            printed,
            position,
        })
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<Scalar, ParseError> {
        let slice = span.slice(self.source).unwrap_or_default();
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) && !self.is_as_written(span)
        {
            return Err(strict::tab(syntax::position(&span.start)));
        }
        let indentation = span.start.col();
        let mut scalar = scalar::read(text, style, slice, indentation);
        self.count(
            Size {
                nodes: 0,
                bytes: scalar.text.len(),
            },
            syntax::position(&span.start),
        )?;
        if 0 < self.in_flow {
            strict::in_flow(&scalar, syntax::position(&span.start))?;
        }
        // `!` alone says nothing to the Collector.
        let Some(tag) = tag.filter(|tag| tag.parts() != ("", "!")) else {
            return Ok(scalar);
        };
        let suffix = tag.suffix_in_namespace("tag:yaml.org,2002:");
        let suffix = suffix
            .as_deref()
            .filter(|suffix| resolve::is_own_tag(suffix, &scalar.text))
            .unwrap_or("str");
        let Some(typed) = resolve::tagged(suffix, &scalar.text) else {
            let start = span.tag_start().unwrap_or(span.start);
            return Err(fault(
                syntax::position(&start),
                Fault::Tag {
                    tag: tag.original(),
                },
            ));
        };
        scalar.typed = typed;
        scalar.tag = Some(suffix.into());
        Ok(scalar)
    }

    /// Whether no tab of these lines was taken for a blank, their indentation included.
    fn is_as_written(&self, span: &Span) -> bool {
        let range = span.byte_range().unwrap_or_default();
        let start = self.source[..range.start].rfind('\n').unwrap_or(0);
        self.source[start..range.end] == self.text[start..range.end]
    }

    fn alias(&mut self, id: usize, depth: usize, position: Position) -> Result<Built, ParseError> {
        // The parser knows every anchor; one without a node is still being read.
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(fault(position, Fault::AliasCycle));
        };
        let (height, size) = (anchor.height, anchor.size);
        // Both limits are checked before the copy is made: the copy is what a bomb is after.
        self.check_depth((depth + height).saturating_sub(1), position)?;
        self.count(size, position)?;
        let node = self
            .anchors
            .get(&id)
            .map_or_else(scalar::null, |anchor| anchor.node.clone());
        Ok(Built { node, height })
    }

    /// Keeps a copy of an anchored node, which counts like any other.
    fn anchored(&mut self, anchor: usize, built: Built, size: Size) -> Result<Built, ParseError> {
        if anchor != 0 {
            self.count(size, built.node.origin.position)?;
            let (node, height) = (built.node.clone(), built.height);
            self.anchors.insert(anchor, Anchor { node, size, height });
        }
        Ok(built)
    }

    fn at(&self, position: Position, content: Content) -> Node {
        Node {
            content,
            origin: Origin { layer: 0, position },
            in_flow: 0 < self.in_flow,
        }
    }

    fn count(&mut self, size: Size, position: Position) -> Result<(), ParseError> {
        let nodes = self.size.nodes.saturating_add(size.nodes);
        let bytes = self.size.bytes.saturating_add(size.bytes);
        self.size = Size { nodes, bytes };
        // Without aliases a tree has no more text than its source.
        let most = self.limits.bytes.saturating_mul(2);
        if self.limits.nodes < nodes {
            return Err(fault(
                position,
                Fault::TooManyNodes {
                    limit: self.limits.nodes,
                },
            ));
        }
        if most < bytes {
            return Err(fault(position, Fault::TooMuchText { limit: most }));
        }
        Ok(())
    }

    fn check_depth(&self, depth: usize, position: Position) -> Result<(), ParseError> {
        let limit = self.limits.depth;
        if limit < depth {
            Err(fault(position, Fault::TooDeep { limit }))
        } else {
            Ok(())
        }
    }
}

pub(crate) const fn fault(position: Position, fault: Fault) -> ParseError {
    ParseError { position, fault }
}
