//! Quantities with units: `30s`, `1h30m`, `4MiB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

/// A number of bytes, written `512`, `64KiB`, `4MiB`, `1GiB`, or with decimal units `kB`, `MB`, `GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

impl ByteSize {
    /// So many bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// So many bytes, or the largest `usize`.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// So many times 1,024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// So many times 1,048,576 bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no size; write it as 512, 64KiB, 4MiB or 1GiB");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let factor = match SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1,
            None => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SIZE_UNITS[..4].iter().rev();
        match binary
            .into_iter()
            .find(|(_, factor)| *factor <= self.0 && self.0.is_multiple_of(*factor))
        {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_str(Text)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Durations for `#[serde(with = "runtime::config::duration")]`.
pub mod duration {
    use super::*;

    /// Reads `500ms`, `30s`, `1m`, `1h30m` or `2d`.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&deserializer.deserialize_str(Text)?).map_err(D::Error::custom)
    }

    /// Reads `500ms`, `30s`, `1m`, `1h30m` or `2d`; a number alone has no unit and is refused, except `0`.
    ///
    /// # Errors
    /// A sentence that says how to write it.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let wrong = || format!("{text:?} is no duration; write it as 500ms, 30s, 5m, 1h30m or 2d");
        let mut rest = text;
        let mut total = Duration::ZERO;
        if rest == "0" {
            return Ok(total);
        }
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.len()
                - tail
                    .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                    .len();
            let (unit, tail) = tail.split_at(letters);
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let part = match unit {
                "ms" => Some(Duration::from_millis(number)),
                "s" => Some(Duration::from_secs(number)),
                "m" => number.checked_mul(60).map(Duration::from_secs),
                "h" => number.checked_mul(3_600).map(Duration::from_secs),
                "d" => number.checked_mul(86_400).map(Duration::from_secs),
                _ => None,
            };
            total = part
                .and_then(|part| total.checked_add(part))
                .ok_or_else(wrong)?;
            rest = tail;
        }
        Ok(total)
    }
}

/// Optional durations for `#[serde(default, with = "runtime::config::optional_duration")]`.
pub mod optional_duration {
    use super::*;

    /// Reads a duration, or none where the key has no value.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::duration::parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}

/// Takes a scalar as the text it was written as.
struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity with its unit")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, expected_ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("0", 0),
        ] {
            assert_eq!(
                duration::parse(text),
                Ok(Duration::from_millis(expected_ms)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_without_a_unit_is_no_duration() {
        for text in [
            "30",
            "",
            "s",
            "-1s",
            "1.5s",
            "30 s",
            "1y",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            let error = duration::parse(text).unwrap_err();
            assert!(error.contains("write it as 500ms"), "{error}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("512", 512),
            ("64KiB", 65_536),
            ("4MiB", 4_194_304),
            ("1 GiB", 1 << 30),
            ("2MB", 2_000_000),
            ("7B", 7),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_size() {
        for text in [
            "",
            "MiB",
            "4 mib",
            "-1",
            "1.5MiB",
            "99999999999999999999",
            "99999999999TiB",
        ] {
            assert!(
                text.parse::<ByteSize>().unwrap_err().contains("is no size"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_size_is_shown_in_its_largest_whole_unit() {
        for (bytes, text) in [
            (0, "0"),
            (1, "1"),
            (65_536, "64KiB"),
            (4_194_304, "4MiB"),
            (1_000, "1000"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }
}
