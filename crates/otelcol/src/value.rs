//! Typed values without text, style or place: for comparing what configurations mean, and for
//! building a configuration from data.

use std::collections::BTreeMap;

use crate::emit;
use crate::resolve::Typed;
use crate::tree::{Content, Map, Node, Scalar};

/// A value as the Collector has it once the YAML is read. Maps are sorted; `1` and `1.0` differ.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number; NaN equals NaN here.
    Float(f64),
    /// A text.
    Str(String),
    /// A date, as written.
    Timestamp(String),
    /// Bytes that are no text, in base64 as written; other ones are a text to the Collector.
    Binary(String),
    /// A list.
    List(Vec<Value>),
    /// A map by name.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// A map from names and values.
    pub fn map<K: Into<String>, V: Into<Self>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(
            entries
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// A text in which the Collector must not replace anything: each `$` is doubled.
    ///
    /// ```
    /// assert_eq!(otelcol::Value::literal("pa$${x}"), otelcol::Value::from("pa$$$${x}"));
    /// ```
    pub fn literal(text: &str) -> Self {
        Self::Str(text.replace('$', "$$"))
    }

    /// The value as a YAML document; texts are quoted wherever they could be taken for anything else.
    ///
    /// ```
    /// use otelcol::Value;
    /// let overlay = Value::map([("extensions", Value::map([("opamp", Value::map([("id", "0x1\n")]))]))]);
    /// assert_eq!(overlay.to_yaml(), "extensions:\n  opamp:\n    id: \"0x1\\n\"\n");
    /// ```
    pub fn to_yaml(&self) -> String {
        emit::value(self)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            // Not by bits: -0.0 equals 0.0.
            (Self::Float(a), Self::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Self::Str(a), Self::Str(b))
            | (Self::Timestamp(a), Self::Timestamp(b))
            | (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl From<&Map> for Value {
    fn from(map: &Map) -> Self {
        Self::Map(
            map.iter()
                .map(|e| (e.key.name().to_owned(), Self::from(&e.value)))
                .collect(),
        )
    }
}

impl From<&Node> for Value {
    fn from(node: &Node) -> Self {
        match &node.content {
            Content::Scalar(scalar) => Self::from(scalar),
            Content::List(items) => Self::List(items.iter().map(Self::from).collect()),
            Content::Map(map) => Self::from(map),
        }
    }
}

impl From<&Scalar> for Value {
    fn from(scalar: &Scalar) -> Self {
        let text = || scalar.text().to_owned();
        match scalar.typed() {
            Typed::Null => Self::Null,
            Typed::Bool(flag) => Self::Bool(flag),
            Typed::Int(number) => Self::Int(number),
            Typed::Float(float) => Self::Float(float),
            Typed::Timestamp => Self::Timestamp(text()),
            Typed::Binary => binary(scalar.text()),
            Typed::Str => Self::Str(text()),
        }
    }
}

/// Whether two scalars are the same value, without copies of their texts.
pub(crate) fn same_scalar(a: &Scalar, b: &Scalar) -> bool {
    match (a.typed(), b.typed()) {
        (Typed::Str, Typed::Str) | (Typed::Timestamp, Typed::Timestamp) => a.text() == b.text(),
        // Some bytes are a text.
        (Typed::Str | Typed::Binary, Typed::Str | Typed::Binary)
        | (Typed::Null, Typed::Null)
        | (Typed::Bool(_), Typed::Bool(_))
        | (Typed::Int(_), Typed::Int(_))
        | (Typed::Float(_), Typed::Float(_)) => Value::from(a) == Value::from(b),
        _ => false,
    }
}

fn binary(base64: &str) -> Value {
    let text = crate::base64::decode(base64).and_then(|bytes| String::from_utf8(bytes).ok());
    text.map_or_else(|| Value::Binary(base64.to_owned()), Value::Str)
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number.into())
    }
}

impl<V: Into<Self>> From<Vec<V>> for Value {
    fn from(items: Vec<V>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}
