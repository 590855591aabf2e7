//! Quantities as people write them: `1h30m`, `10%`, `25`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::rollout::plan::{Share, Weight};

/// A text that is no such quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {expected}")]
pub struct Unreadable {
    /// What was written.
    pub text: String,
    /// What is expected, and how it is written.
    pub expected: &'static str,
}

/// The longest duration of anything in a rollout.
pub const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Reads a duration: `30s`, `10m`, `1h30m`, `2d`, `PT1H30M`. A day has 24 hours.
///
/// # Errors
/// [`Unreadable`]: it is none, is negative, has no unit, or is longer than 90 days.
pub fn duration(text: &str) -> Result<Duration, Unreadable> {
    let unreadable = || Unreadable {
        text: text.to_owned(),
        expected: "duration: write it like 30s, 10m, 1h30m or 2d, at most 90d",
    };
    let span: Span = text.trim().parse().map_err(|_| unreadable())?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let duration = signed
        .ok()
        .and_then(|signed| Duration::try_from(signed).ok());
    duration
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(unreadable)
}

/// Reads a share of a whole: `5%`, `0.25%`.
///
/// # Errors
/// [`Unreadable`]: it is none, is more than `100%`, or finer than a hundredth of a percent.
pub fn share(text: &str) -> Result<Share, Unreadable> {
    let unreadable = || Unreadable {
        text: text.to_owned(),
        expected: "share: write it like 5% or 0.25%, at most 100%",
    };
    let number = text
        .trim()
        .strip_suffix('%')
        .ok_or_else(unreadable)?
        .trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || 2 < part.len() {
        return Err(unreadable());
    }
    let hundredths = |whole: u16, part: u16| whole.checked_mul(100)?.checked_add(part);
    // `.5` is fifty hundredths.
    let part = format!("{part:0<2}");
    let read = |digits: &str| digits.parse::<u16>().ok();
    let hundredths = read(whole)
        .zip(read(&part))
        .and_then(|(whole, part)| hundredths(whole, part));
    hundredths.and_then(Share::new).ok_or_else(unreadable)
}

/// Reads how many agents: a [`share`], or a number of them.
///
/// # Errors
/// [`Unreadable`]: it is neither, or nobody.
pub fn weight(text: &str) -> Result<Weight, Unreadable> {
    let unreadable = || Unreadable {
        text: text.to_owned(),
        expected: "weight: write a share of the agents like 10%, or a number of them like 25, and more than none",
    };
    let weight = if text.trim().ends_with('%') {
        share(text).ok().map(Weight::Share)
    } else {
        text.trim().parse().ok().map(Weight::Count)
    };
    let is_some =
        |weight: &Weight| !matches!(weight, Weight::Count(0) | Weight::Share(Share::NONE));
    weight.filter(is_some).ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let minute = 60;
        for (text, seconds) in [
            ("30s", 30),
            ("10m", 10 * minute),
            ("1h", 60 * minute),
            ("1h30m", 90 * minute),
            ("1h 30m", 90 * minute),
            (" 2d ", 2 * 24 * 60 * minute),
            ("1w", 7 * 24 * 60 * minute),
            ("90d", 90 * 24 * 60 * minute),
            ("PT1H30M", 90 * minute),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        for text in [
            "",
            "30",
            "-30s",
            "1x",
            "h",
            "91d",
            "1y",
            "2mo",
            "1h30",
            "1h,30m",
            "99999999999999999999s",
        ] {
            let error = duration(text).expect_err(text);
            assert!(error.to_string().contains("write it like 30s"), "{error}");
        }
    }

    #[test]
    fn shares_are_read_to_a_hundredth_of_a_percent() {
        for (text, hundredths) in [
            ("5%", 500),
            ("0.25%", 25),
            ("0.5%", 50),
            ("100%", 10_000),
            ("0%", 0),
            (" 7 % ", 700),
            ("100.00%", 10_000),
        ] {
            assert_eq!(share(text), Ok(Share::new(hundredths).unwrap()), "{text}");
        }
        for text in [
            "", "%", "5", "-5%", "101%", "100.01%", "0.001%", ".5%", "5.%", "5,5%", "+5%", "99999%",
        ] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_weight_is_a_share_or_a_number() {
        assert_eq!(weight("100%"), Ok(Weight::ALL));
        assert_eq!(weight("25"), Ok(Weight::Count(25)));
        for text in ["0", "0%", "-1", "1.5", "all", "", "110%"] {
            let error = weight(text).expect_err(text);
            assert!(error.to_string().contains("like 10%"), "{error}");
        }
    }
}
