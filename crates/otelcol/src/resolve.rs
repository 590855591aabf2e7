//! Which type a scalar has: the answers of Go's yaml.v3, which are the Collector's.
//!
//! They are neither YAML 1.1's nor 1.2's: `yes` and `on` are texts, `0777` is 511, `0o17` is 15,
//! `1_000` is 1000, `08` is the float 8, and a date is a timestamp.

use crate::base64;

/// What a scalar is to the Collector. The text itself stays beside it.
#[derive(Debug, Clone, Copy)]
pub enum Typed {
    /// Nothing: `null`, `~`, or no text at all.
    Null,
    /// `true` or `false`; never `yes` or `on`.
    Bool(bool),
    /// A whole number; wide enough for Go's int64 and uint64.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A date, with or without a time.
    Timestamp,
    /// Bytes in base64 behind an explicit `!!binary`.
    Binary,
    /// A text.
    Str,
}

impl Typed {
    /// The kind in a word, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Timestamp => "a date",
            Self::Binary => "binary data",
            Self::Str => "a text",
        }
    }
}

/// The type of a plain scalar without a tag.
pub(crate) fn plain(text: &str) -> Typed {
    untagged(text, true)
}

/// The type of a scalar behind a tag of YAML's own schema, or nothing where the two do not fit.
///
/// Any other tag makes a text of whatever stands behind it.
pub(crate) fn tagged(tag: &str, text: &str) -> Option<Typed> {
    let found = || untagged(text, tag == "timestamp");
    match tag {
        "binary" => base64::decode(text).map(|_| Typed::Binary),
        "float" => match found() {
            // Go's float64 of an int: rounding is what it does, too.
            #[allow(clippy::cast_precision_loss)]
            Typed::Int(number) => Some(Typed::Float(number as f64)),
            typed @ Typed::Float(_) => Some(typed),
            _ => None,
        },
        "null" | "bool" | "int" | "timestamp" => {
            let typed = found();
            (tag == tag_name(typed)).then_some(typed)
        }
        _ => Some(Typed::Str),
    }
}

/// Whether a tag of YAML's schema means anything to the Collector; any other only makes a text.
pub(crate) fn is_own_tag(tag: &str, text: &str) -> bool {
    matches!(
        tag,
        "null" | "bool" | "int" | "float" | "timestamp" | "binary" | "str"
    ) || (tag == "merge" && text == "<<")
}

const fn tag_name(typed: Typed) -> &'static str {
    match typed {
        Typed::Null => "null",
        Typed::Bool(_) => "bool",
        Typed::Int(_) => "int",
        Typed::Float(_) => "float",
        Typed::Timestamp => "timestamp",
        Typed::Binary => "binary",
        Typed::Str => "str",
    }
}

fn untagged(text: &str, timestamps: bool) -> Typed {
    if let Some(word) = word(text) {
        return word;
    }
    match text.as_bytes().first() {
        Some(b'.') => finite(text).map_or(Typed::Str, Typed::Float),
        Some(b'+' | b'-' | b'0'..=b'9') => number(text, timestamps),
        _ => Typed::Str,
    }
}

fn word(text: &str) -> Option<Typed> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Typed::Null,
        "true" | "True" | "TRUE" => Typed::Bool(true),
        "false" | "False" | "FALSE" => Typed::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Typed::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Typed::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Typed::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str, timestamps: bool) -> Typed {
    if timestamps && is_timestamp(text) {
        return Typed::Timestamp;
    }
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(int) = go_int(&digits) {
        return Typed::Int(int);
    }
    if is_decimal_float(&digits)
        && let Some(float) = finite(&digits)
    {
        return Typed::Float(float);
    }
    odd_prefix(&digits).map_or(Typed::Str, Typed::Int)
}

/// Go refuses a decimal number that no float64 can hold; then it is a text.
fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|float: &f64| float.is_finite())
}

/// `strconv.ParseInt(text, 0, 64)`, and `ParseUint` after it.
fn go_int(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = radix_of(unsigned);
    let magnitude = parse_digits(digits, radix)?;
    let value = if negative { -magnitude } else { magnitude };
    let most = if text.starts_with('+') {
        i128::from(i64::MAX)
    } else {
        i128::from(u64::MAX)
    };
    (i128::from(i64::MIN) <= value && value <= most).then_some(value)
}

fn radix_of(unsigned: &str) -> (u32, &str) {
    let bytes = unsigned.as_bytes();
    match (bytes.first(), bytes.get(1).map(u8::to_ascii_lowercase)) {
        (Some(b'0'), Some(b'b')) if 2 < bytes.len() => (2, &unsigned[2..]),
        (Some(b'0'), Some(b'o')) if 2 < bytes.len() => (8, &unsigned[2..]),
        (Some(b'0'), Some(b'x')) if 2 < bytes.len() => (16, &unsigned[2..]),
        (Some(b'0'), Some(_)) => (8, &unsigned[1..]),
        _ => (10, unsigned),
    }
}

/// Digits only: no sign, no separator, no blank.
fn parse_digits(digits: &str, radix: u32) -> Option<i128> {
    let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    all_digits
        .then(|| i128::from_str_radix(digits, radix).ok())
        .flatten()
}

/// What remains of `0b` and `0o` in Go's resolver: a sign may also stand behind the prefix.
fn odd_prefix(text: &str) -> Option<i128> {
    let (minus, rest) = text
        .strip_prefix('-')
        .map_or((false, text), |rest| (true, rest));
    let (radix, digits) = match rest.get(..2)? {
        "0b" => (2, &rest[2..]),
        "0o" => (8, &rest[2..]),
        _ => return None,
    };
    let (negative, digits) = match digits.as_bytes().first()? {
        b'-' if !minus => (true, &digits[1..]),
        b'+' if !minus => (false, &digits[1..]),
        _ => (minus, digits),
    };
    let magnitude = parse_digits(digits, radix)?;
    i64::try_from(if negative { -magnitude } else { magnitude })
        .ok()
        .map(i128::from)
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_decimal_float(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits = exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_fits && exponent_fits
}

/// The four layouts that Go's yaml.v3 tries, with the laxness of `time.Parse`.
fn is_timestamp(text: &str) -> bool {
    date_and_time(text).is_some()
}

fn date_and_time(text: &str) -> Option<()> {
    if !text.is_ascii() || text.len() < 8 || text.as_bytes()[4] != b'-' {
        return None;
    }
    let year: u32 = parse_digits(&text[..4], 10)?.try_into().ok()?;
    let (month, rest) = one_or_two(&text[5..])?;
    let (day, rest) = one_or_two(rest.strip_prefix('-')?)?;
    if !(1..=12).contains(&month) || day < 1 || days_in(year, month) < day {
        return None;
    }
    match rest.as_bytes().first() {
        None => Some(()),
        Some(b'T' | b't') => zone(time_of_day(&rest[1..])?),
        Some(b' ') => time_of_day(&rest[1..])?.is_empty().then_some(()),
        Some(_) => None,
    }
}

fn time_of_day(text: &str) -> Option<&str> {
    let (hour, rest) = one_or_two(text)?;
    let (minute, rest) = one_or_two(rest.strip_prefix(':')?)?;
    let (second, rest) = one_or_two(rest.strip_prefix(':')?)?;
    if 23 < hour || 59 < minute || 59 < second {
        return None;
    }
    let Some(fraction) = rest.strip_prefix(['.', ',']) else {
        return Some(rest);
    };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    // More than nanoseconds does not fit Go's layout.
    (1..=9).contains(&digits).then(|| &fraction[digits..])
}

fn zone(text: &str) -> Option<()> {
    if text == "Z" {
        return Some(());
    }
    let offset = text.strip_prefix(['+', '-'])?;
    let (hours, minutes) = offset.split_once(':')?;
    let two = |s: &str| (s.len() == 2).then(|| parse_digits(s, 10)).flatten();
    (two(hours)? <= 24 && two(minutes)? < 60).then_some(())
}

fn one_or_two(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let number = text.get(..digits)?.parse().ok()?;
    Some((number, &text[digits..]))
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// How Go prints a value that is used as a key, `fmt.Sprintf("%v", key)`, where that is not its text.
pub(crate) fn printed_key(typed: Typed, text: &str) -> Option<String> {
    let printed = match typed {
        Typed::Null => "<nil>".to_owned(),
        Typed::Bool(flag) => flag.to_string(),
        Typed::Int(number) => number.to_string(),
        Typed::Float(float) => go_float(float),
        Typed::Timestamp | Typed::Binary | Typed::Str => return None,
    };
    (printed != text).then_some(printed)
}

/// `strconv.FormatFloat(float, 'g', -1, 64)`: with an exponent below 1e-4 and from 1e6 up.
fn go_float(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float < 0.0 { "-Inf" } else { "+Inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(typed: Typed) -> String {
        match typed {
            Typed::Float(float) => format!("float {}", go_float(float)),
            Typed::Int(int) => format!("int {int}"),
            other => format!("{other:?}"),
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(shown(plain(text)), expected, "{text}");
    }

    #[test]
    fn words_of_yaml_1_1_are_texts() {
        for text in [
            "yes", "no", "on", "off", "y", "n", "Yes", "ON", "nULL", "tRUE", "<<", "=",
        ] {
            check(text, "Str");
        }
        check("true", "Bool(true)");
        check("FALSE", "Bool(false)");
        for text in ["", "~", "null", "Null", "NULL"] {
            check(text, "Null");
        }
    }

    #[test]
    fn whole_numbers() {
        for (text, expected) in [
            ("0", 0),
            ("0777", 511),
            ("-0777", -511),
            ("0o17", 15),
            ("0O17", 15),
            ("0x1F", 31),
            ("0X1f", 31),
            ("0b101", 5),
            ("-0b11", -3),
            ("0b-11", -3),
            ("0o-7", -7),
            ("1_000", 1000),
            ("1__0", 10),
            ("+12", 12),
            ("-9223372036854775808", i128::from(i64::MIN)),
            ("18446744073709551615", i128::from(u64::MAX)),
        ] {
            check(text, &format!("int {expected}"));
        }
    }

    #[test]
    fn other_numbers() {
        for (text, expected) in [
            ("08", "float 8"),
            ("1.", "float 1"),
            (".5", "float 0.5"),
            ("+.5", "float 0.5"),
            ("1e3", "float 1000"),
            ("18446744073709551616", "float 1.8446744073709552e+19"),
            (".inf", "float +Inf"),
            ("-.Inf", "float -Inf"),
            (".NaN", "float NaN"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn what_looks_like_a_number_and_is_none() {
        for text in [
            "1e999",
            "0x",
            "-",
            "+",
            ".",
            "._5",
            "_1",
            "1.2.3",
            "1e",
            "0x1p4",
            "--1",
            "-0b-1",
            "1:30",
            "10s",
            "0b12",
            "+18446744073709551615x",
            "127.0.0.1",
            "1 2",
            "inf",
            "nan",
            "Infinity",
            "٣",
        ] {
            check(text, "Str");
        }
    }

    #[test]
    fn dates() {
        for text in [
            "2001-1-2",
            "2024-02-29",
            "2001-12-14T21:59:43.10Z",
            "2001-12-14t21:59:43+05:30",
            "2001-12-14 21:59:43,5",
        ] {
            check(text, "Timestamp");
        }
        for text in [
            "2001-13-01",
            "2023-02-29",
            "2001-12-14 21:59:43Z",
            "2001-12-14T21:59:43",
            "2001-12-14T1:2:3z",
            "20011-1-1",
        ] {
            check(text, "Str");
        }
    }

    #[test]
    fn tags_force_or_refuse() {
        let check = |tag: &str, text: &str, expected: Option<&str>| {
            assert_eq!(
                tagged(tag, text).map(shown).as_deref(),
                expected,
                "!!{tag} {text}"
            );
        };
        check("str", "12", Some("Str"));
        check("int", "12", Some("int 12"));
        check("float", "12", Some("float 12"));
        check("int", "1.5", None);
        check("bool", "yes", None);
        check("timestamp", "2001-01-01", Some("Timestamp"));
        check("null", "", Some("Null"));
        check("set", "1", Some("Str"));
        check("binary", "aGVsbG8=", Some("Binary"));
        check("binary", "aGVsbG8", None);
    }

    #[test]
    fn keys_are_named_as_go_prints_them() {
        for (text, expected) in [
            ("1", "1"),
            ("0x10", "16"),
            ("true", "true"),
            ("~", "<nil>"),
            ("1.50", "1.5"),
            ("1e21", "1e+21"),
            ("1234567.0", "1.234567e+06"),
            ("1e-7", "1e-07"),
        ] {
            let printed = printed_key(plain(text), text);
            assert_eq!(printed.as_deref().unwrap_or(text), expected);
        }
    }
}
