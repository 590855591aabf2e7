//! Values as YAML: what an expression writes, and the filters that quote.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, State, Value};

/// Levels of lists and maps that are written.
const MOST_LEVELS: usize = 200;
/// The longest text that is made of one value, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// What an expression writes: a text as it is, everything else as YAML on one line.
pub(super) fn write(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    let written = match value.as_str() {
        Some(text) => out.write_str(text),
        None => out.write_str(&on_one_line(value)?),
    };
    written.map_err(|_| Error::new(ErrorKind::WriteFailure, "no room for the text"))
}

/// The filter `yaml`: the value on one line, of the type that it has.
pub(super) fn yaml(value: &Value) -> Result<String, Error> {
    on_one_line(value)
}

/// The filter `quote`: the text of a value in double quotes, so that YAML reads a text.
pub(super) fn quote(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    match value.as_str() {
        Some(plain) => quoted(plain, &mut text)?,
        None => quoted(&on_one_line(value)?, &mut text)?,
    }
    Ok(text)
}

fn on_one_line(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    flow(value, &mut text, MOST_LEVELS)?;
    Ok(text)
}

fn flow(value: &Value, text: &mut String, levels: usize) -> Result<(), Error> {
    let Some(below) = levels.checked_sub(1) else {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a list or map is too deep to be written",
        ));
    };
    match value.kind() {
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => text.push_str("null"),
        ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => number(value, text),
        ValueKind::String => quoted(value.as_str().unwrap_or_default(), text)?,
        ValueKind::Seq | ValueKind::Iterable => {
            text.push('[');
            for (place, item) in value.try_iter()?.enumerate() {
                next(text, place)?;
                flow(&item, text, below)?;
            }
            text.push(']');
        }
        ValueKind::Map => {
            text.push('{');
            for (place, key) in value.try_iter()?.enumerate() {
                next(text, place)?;
                flow(&key, text, below)?;
                text.push_str(": ");
                flow(&value.get_item(&key)?, text, below)?;
            }
            text.push('}');
        }
        kind => {
            let what = format!("{kind} is nothing that a configuration could hold");
            return Err(Error::new(ErrorKind::InvalidOperation, what));
        }
    }
    Ok(())
}

/// What stands between the parts of a list or map; refuses to go on with a text that is too long.
fn next(text: &mut String, place: usize) -> Result<(), Error> {
    text.push_str(if place == 0 { "" } else { ", " });
    fits(text.len())
}

fn fits(bytes: usize) -> Result<(), Error> {
    if MOST_BYTES < bytes {
        let what = format!("a value makes a text of more than {MOST_BYTES} bytes");
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    Ok(())
}

fn number(value: &Value, text: &mut String) {
    match f64::try_from(value.clone()) {
        Ok(number) if number.is_nan() => text.push_str(".nan"),
        Ok(number) if number.is_infinite() => {
            text.push_str(if number < 0.0 { "-.inf" } else { ".inf" });
        }
        _ => text.push_str(&value.to_string()),
    }
}

/// A text in double quotes, as JSON and YAML both read it.
fn quoted(plain: &str, text: &mut String) -> Result<(), Error> {
    fits(text.len() + plain.len())?;
    text.push('"');
    for character in plain.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // Controls, and what YAML takes for a line's end or does not allow.
            '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        crate::values::seen(json)
    }

    #[test]
    fn values_are_written_as_yaml_and_not_as_python() {
        for (json, written) in [
            ("null", "null"),
            ("true", "true"),
            ("12", "12"),
            ("-0.5", "-0.5"),
            ("\"yes\"", "\"yes\""),
            ("[]", "[]"),
            ("{}", "{}"),
            (
                r#"{"b": [1, null, "a: b"], "a": {"x": false}}"#,
                r#"{"a": {"x": false}, "b": [1, null, "a: b"]}"#,
            ),
        ] {
            assert_eq!(yaml(&value(json)).unwrap(), written, "{json}");
        }
        assert_eq!(yaml(&Value::from(f64::INFINITY)).unwrap(), ".inf");
        assert_eq!(yaml(&Value::from(f64::NEG_INFINITY)).unwrap(), "-.inf");
        assert_eq!(yaml(&Value::from(f64::NAN)).unwrap(), ".nan");
    }

    #[test]
    fn what_is_quoted_is_read_back_as_the_same_text() {
        for text in [
            "",
            "yes",
            "007",
            "a: b # c",
            "x\n- y",
            "\"\\'",
            "\u{85}\u{2028}\u{7f}\0",
            "${env:X}",
            "\u{feff}é\u{1f600}\t",
            "- - -",
        ] {
            let written = quote(&Value::from(text)).unwrap();
            let document = format!("key: {written}\n");
            let read = otelcol::Document::parse(document.as_bytes()).unwrap();
            assert_eq!(read.get("key").unwrap().as_str(), Some(text), "{written}");
        }
        assert_eq!(quote(&value("true")).unwrap(), "\"true\"");
        assert_eq!(quote(&value("12")).unwrap(), "\"12\"");
    }
}
