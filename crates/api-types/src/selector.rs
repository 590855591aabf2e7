//! A selector as it comes in: text, or a plain map.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::StringMap;

/// Which agents are meant: `"env=prod,region in (us-west,us-east)"`, or `{"env": "prod"}`.
///
/// Neither form is checked here; the server answers where a text does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectorInput {
    /// Kubernetes label-selector syntax. The empty text matches every agent.
    Text(String),
    /// Each label must have this very value. The empty map matches every agent.
    Map(StringMap),
}

impl From<&str> for SelectorInput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Serialize for SelectorInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SelectorInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrMap)
    }
}

struct TextOrMap;

impl<'de> Visitor<'de> for TextOrMap {
    type Value = SelectorInput;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a selector: text like \"env=prod\" or a map like {\"env\": \"prod\"}")
    }

    fn visit_str<E>(self, text: &str) -> Result<SelectorInput, E> {
        Ok(SelectorInput::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<SelectorInput, A::Error> {
        let mut map = StringMap::new();
        while let Some((key, value)) = entries.next_entry::<String, String>()? {
            if map.contains_key(&key) {
                return Err(serde::de::Error::custom(format!(
                    "the label \"{key}\" stands twice"
                )));
            }
            map.insert(key, value);
        }
        Ok(SelectorInput::Map(map))
    }
}

impl ToSchema for SelectorInput {}

impl PartialSchema for SelectorInput {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Kubernetes label-selector syntax, e.g. `env=prod,!legacy`",
            ));
        let map = ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::<Schema>::from(
                ObjectBuilder::new().schema_type(Type::String),
            )))
            .description(Some("Labels that must have these very values"));
        OneOfBuilder::new().item(text).item(map).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<SelectorInput, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn text_and_map_are_both_selectors() {
        assert_eq!(parse(r#""env=prod""#), Ok("env=prod".into()));
        let map = StringMap::from([("env".to_owned(), "prod".to_owned())]);
        assert_eq!(parse(r#"{"env": "prod"}"#), Ok(SelectorInput::Map(map)));
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        assert!(
            parse("7")
                .expect_err("a number")
                .contains("a selector: text like")
        );
        assert!(parse(r#"{"env": 7}"#).is_err());
        assert!(
            parse(r#"{"env": "a", "env": "b"}"#)
                .expect_err("twice")
                .contains("stands twice")
        );
    }
}
