//! Where messages nest in messages, so that bounds hold before anything is decoded.
//!
//! A small message can decode into a large or deep tree: an attribute of two bytes becomes sixty.
//! [`Shape::check`] walks the encoded form and stops at the first bound that is exceeded.
//! `canonical` uses the same tables to know what is a map.

use crate::fields::{Fields, Scalar};
use crate::{Limits, Malformed};

/// A message type as far as it nests others.
pub(crate) struct Shape {
    pub(crate) nested: &'static [Nested],
    /// Whether fields 2 and 5 are the start and status time of health.
    pub(crate) timed: bool,
}

/// A field that nests messages.
pub(crate) struct Nested {
    pub(crate) number: u8,
    pub(crate) kind: Kind,
    pub(crate) shape: &'static Shape,
}

/// How a field nests messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A map from strings to messages (or strings): repeated entries of key 1 and value 2.
    Map,
    /// A message with maps in it.
    Maps,
    /// Messages without any map in them.
    Plain,
}

const fn map(number: u8, shape: &'static Shape) -> Nested {
    Nested {
        number,
        kind: Kind::Map,
        shape,
    }
}

const fn maps(number: u8, shape: &'static Shape) -> Nested {
    Nested {
        number,
        kind: Kind::Maps,
        shape,
    }
}

const fn plain(number: u8, shape: &'static Shape) -> Nested {
    Nested {
        number,
        kind: Kind::Plain,
        shape,
    }
}

const fn shape(nested: &'static [Nested]) -> Shape {
    Shape {
        nested,
        timed: false,
    }
}

static LEAF: Shape = shape(&[]);
static ANY_VALUE: Shape = shape(&[plain(5, &ARRAY), plain(6, &KEY_VALUE_LIST)]);
static ARRAY: Shape = shape(&[plain(1, &ANY_VALUE)]);
static KEY_VALUE_LIST: Shape = shape(&[plain(1, &KEY_VALUE)]);
static KEY_VALUE: Shape = shape(&[plain(2, &ANY_VALUE)]);
static DETAILS: Shape = shape(&[plain(1, &KEY_VALUE), map(2, &DETAILS)]);
static CONFIG_MAP: Shape = shape(&[map(1, &LEAF)]);
static HEADERS: Shape = shape(&[plain(1, &LEAF)]);
static PROXY: Shape = shape(&[plain(2, &HEADERS)]);
/// Cipher suites are strings, but each costs as much as a small message.
static TLS: Shape = shape(&[plain(6, &LEAF)]);
static OPAMP_SETTINGS: Shape = shape(&[plain(2, &HEADERS), plain(5, &TLS), plain(6, &PROXY)]);
static TELEMETRY: Shape = shape(&[plain(2, &HEADERS), plain(4, &TLS), plain(5, &PROXY)]);
static OTHER_SETTINGS: Shape = shape(&[
    plain(2, &HEADERS),
    map(4, &LEAF),
    plain(5, &TLS),
    plain(6, &PROXY),
]);
static OFFERS: Shape = shape(&[
    plain(2, &OPAMP_SETTINGS),
    plain(3, &TELEMETRY),
    plain(4, &TELEMETRY),
    plain(5, &TELEMETRY),
    map(6, &OTHER_SETTINGS),
]);
static FILE: Shape = shape(&[plain(4, &HEADERS)]);
static PACKAGE: Shape = shape(&[plain(3, &FILE)]);
static PACKAGES: Shape = shape(&[map(1, &PACKAGE)]);
static REMOTE_CONFIG: Shape = shape(&[maps(1, &CONFIG_MAP)]);

pub(crate) static DESCRIPTION: Shape = shape(&[plain(1, &KEY_VALUE), plain(2, &KEY_VALUE)]);
pub(crate) static HEALTH: Shape = Shape {
    nested: &[map(6, &HEALTH), plain(7, &KEY_VALUE)],
    timed: true,
};
pub(crate) static EFFECTIVE_CONFIG: Shape = shape(&[maps(1, &CONFIG_MAP)]);
pub(crate) static PACKAGE_STATUSES: Shape = shape(&[map(1, &LEAF)]);
pub(crate) static COMPONENTS: Shape = shape(&[map(1, &DETAILS)]);
/// Names of capabilities are strings, but each costs as much as a small message.
pub(crate) static CUSTOM_CAPABILITIES: Shape = shape(&[plain(1, &LEAF)]);
pub(crate) static DRY_RUN_QUESTION: Shape = shape(&[maps(2, &REMOTE_CONFIG)]);
pub(crate) static FLAT: Shape = shape(&[]);
pub(crate) static SERVER_TO_AGENT: Shape = shape(&[
    maps(3, &REMOTE_CONFIG),
    maps(4, &OFFERS),
    maps(5, &PACKAGES),
    plain(10, &CUSTOM_CAPABILITIES),
]);

impl Shape {
    /// Refuses a message that nests deeper or more than the limits allow.
    pub(crate) fn check(&self, message: &[u8], limits: &Limits) -> Result<(), Malformed> {
        Bounds::new(limits).walk(self, message, limits.depth)
    }

    /// What nests in the field of this number.
    #[inline]
    pub(crate) fn nested(&self, number: u32) -> Option<&'static Nested> {
        self.nested
            .iter()
            .find(|nested| u32::from(nested.number) == number)
    }
}

/// What is left of the limits on the way through a message.
pub(crate) struct Bounds<'l> {
    limits: &'l Limits,
    nodes: u32,
}

impl<'l> Bounds<'l> {
    pub(crate) fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            nodes: limits.nodes,
        }
    }

    /// Counts one nested message.
    #[inline]
    pub(crate) fn count(&mut self) -> Result<(), Malformed> {
        self.nodes = self.nodes.checked_sub(1).ok_or(Malformed::TooMany {
            limit: self.limits.nodes,
        })?;
        Ok(())
    }

    /// The depth that is left below a message at this one.
    #[inline]
    pub(crate) fn descend(&self, depth: u32) -> Result<u32, Malformed> {
        depth.checked_sub(1).ok_or(Malformed::TooDeep {
            limit: self.limits.depth,
        })
    }

    fn walk(&mut self, shape: &Shape, message: &[u8], depth: u32) -> Result<(), Malformed> {
        let depth = self.descend(depth)?;
        for field in Fields::new(message) {
            let field = field?;
            let (Some(nested), Scalar::Bytes(inner)) = (shape.nested(field.number), field.value)
            else {
                continue;
            };
            self.count()?;
            if nested.shape.nested.is_empty() {
                continue;
            }
            match nested.kind {
                Kind::Map => self.walk_entry(nested.shape, inner, depth)?,
                Kind::Maps | Kind::Plain => self.walk(nested.shape, inner, depth)?,
            }
        }
        Ok(())
    }

    fn walk_entry(&mut self, shape: &Shape, entry: &[u8], depth: u32) -> Result<(), Malformed> {
        for field in Fields::new(entry) {
            let field = field?;
            if let (2, Scalar::Bytes(value)) = (field.number, field.value) {
                self.walk(shape, value, depth)?;
            }
        }
        Ok(())
    }
}
