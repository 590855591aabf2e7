//! Durations of many agents and what is read from them: first, percentiles, last, median and worst.

use std::time::Duration;

use serde::Serialize;

/// What a set of durations looked like, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub count: usize,
    /// The shortest.
    pub first_ms: f64,
    /// Half were at most this.
    pub p50_ms: f64,
    /// 99 of 100 were at most this.
    pub p99_ms: f64,
    /// The longest.
    pub last_ms: f64,
}

/// Sums up durations; nothing to sum up is `None`.
#[must_use]
pub fn summarize(mut durations: Vec<Duration>) -> Option<Summary> {
    durations.sort_unstable();
    Some(Summary {
        count: durations.len(),
        first_ms: millis(*durations.first()?),
        p50_ms: millis(percentile(&durations, 50.0)?),
        p99_ms: millis(percentile(&durations, 99.0)?),
        last_ms: millis(*durations.last()?),
    })
}

/// The smallest of the sorted values that `percent` of them do not exceed (nearest rank).
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], percent: f64) -> Option<T> {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// The middle of the values, or the mean of the middle two; `None` of none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The largest of the values: every figure here is better when smaller.
#[must_use]
pub fn worst(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

/// A duration in milliseconds, with what a microsecond adds.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred: Vec<u32> = (1..=100).collect();
        let cases = [
            (0.0, 1),
            (1.0, 1),
            (50.0, 50),
            (99.0, 99),
            (99.5, 100),
            (100.0, 100),
        ];
        for (percent, expected) in cases {
            assert_eq!(percentile(&hundred, percent), Some(expected), "p{percent}");
        }
        assert_eq!(percentile(&[7], 99.0), Some(7));
        assert_eq!(percentile::<u32>(&[], 50.0), None);
    }

    #[test]
    fn a_summary_has_first_and_last_whatever_the_order() {
        let durations = [30, 10, 20].map(Duration::from_millis).to_vec();
        let summary = summarize(durations).unwrap();
        assert_eq!(
            (
                summary.count,
                summary.first_ms,
                summary.p50_ms,
                summary.last_ms
            ),
            (3, 10.0, 20.0, 30.0)
        );
        assert_eq!(summarize(Vec::new()), None);
    }

    #[test]
    fn median_and_worst_of_runs() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(worst(&[1.0, 3.0, 2.0]), Some(3.0));
    }
}
