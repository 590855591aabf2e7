//! The root of a document: a map of sections, in which `a::b: 1` is short for `a: {b: 1}`.

use crate::error::{Fault, ParseError};
use crate::flat_keys;
use crate::parse::fault;
use crate::tree::{Content, Map, Node, Typed};

/// The sections of a document whose root this is.
pub(crate) fn sections(root: Node, depth_limit: usize) -> Result<Map, ParseError> {
    let kind = root.kind();
    let position = root.origin.position;
    let is_null = root.is_null();
    let map = match root.content {
        Content::Map(map) => map,
        Content::Scalar(_) if is_null => return Ok(Map::default()),
        Content::Scalar(_) | Content::List(_) => {
            return Err(fault(position, Fault::NotAMap { found: kind }));
        }
    };
    let no_text = map
        .iter()
        .map(|entry| &entry.key)
        .find(|key| !matches!(key.scalar.typed, Typed::Str));
    if let Some(key) = no_text {
        let (name, found) = (key.scalar.text.to_string(), key.scalar.typed.name());
        return Err(fault(key.position, Fault::TopLevelKey { key: name, found }));
    }
    flat_keys::nested(map, depth_limit)
}
