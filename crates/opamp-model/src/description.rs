//! How an agent describes itself: attributes with typed values.

use std::fmt;

/// What an agent says of itself. Spec: "AgentDescription Message".
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AgentDescription {
    /// Attributes that together are unique to the agent, such as `service.instance.id`.
    pub identifying: Vec<Attribute>,
    /// Where it runs and what else is worth knowing, such as `os.type`.
    pub non_identifying: Vec<Attribute>,
}

/// One named value.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Attribute {
    /// The attribute's name, by semantic convention where there is one.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// A value of an attribute: OpenTelemetry's `AnyValue`.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Value {
    /// No value at all.
    #[default]
    Null,
    /// Text.
    String(String),
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A list.
    Array(Vec<Value>),
    /// Named values; keys are expected to be unique, but peers decide.
    Map(Vec<Attribute>),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

impl Attribute {
    /// An attribute of a key and anything that is a value.
    ///
    /// ```
    /// use opamp_model::Attribute;
    ///
    /// let attribute = Attribute::new("os.type", "linux");
    /// assert_eq!(attribute.value.as_str(), Some("linux"));
    /// ```
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

impl Value {
    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Text of a scalar (string, bool, integer, double); nothing for null, bytes and containers.
    ///
    /// ```
    /// use opamp_model::Value;
    ///
    /// assert_eq!(Value::Int(7).scalar_text().as_deref(), Some("7"));
    /// assert_eq!(Value::Array(vec![]).scalar_text(), None);
    /// ```
    pub fn scalar_text(&self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Double(value) => Some(value.to_string()),
            Self::Null | Self::Array(_) | Self::Map(_) | Self::Bytes(_) => None,
        }
    }
}

impl AgentDescription {
    /// The first attribute with this key, identifying ones first.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.identifying
            .iter()
            .chain(&self.non_identifying)
            .find(|attribute| attribute.key == key)
            .map(|attribute| &attribute.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::String(text) => f.write_str(text),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::Array(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, entry) in entries.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", entry.key, entry.value)?;
                }
                f.write_str("}")
            }
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

value_from!(&str => String, String => String, bool => Bool, i64 => Int, f64 => Double, Vec<u8> => Bytes);
