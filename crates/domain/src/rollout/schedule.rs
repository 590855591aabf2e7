//! When a rollout may let agents in: windows of the week, and freezes.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Windows and freezes. Without windows every hour is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// Hours at which agents may be let in.
    pub windows: Vec<Window>,
    /// Times at which none are, whatever the windows say.
    pub freezes: Vec<Freeze>,
}

/// The same hours on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// When it begins, by the clock of its zone.
    pub from: Time,
    /// When it ends; at or before its beginning: on the day after.
    pub to: Time,
    /// Whose clock that is.
    pub zone: TimeZone,
}

/// A time at which nobody is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Its first moment.
    pub from: Timestamp,
    /// The moment at which it is over.
    pub to: Timestamp,
    /// Why, for people.
    pub reason: String,
}

impl Schedule {
    /// Whether agents may be let in.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        let is_window =
            self.windows.is_empty() || self.windows.iter().any(|window| window.has(now));
        is_window && self.freeze(now).is_none()
    }

    /// The freeze that forbids it.
    #[must_use]
    pub fn freeze(&self, now: Timestamp) -> Option<&Freeze> {
        let mut freezes = self.freezes.iter();
        freezes.find(|freeze| freeze.from <= now && now < freeze.to)
    }

    /// The next moment at which agents may be let in, which is now where they may; `None`: not within the days that a year has,
    /// or never.
    #[must_use]
    pub fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.freezes.iter().map(|freeze| freeze.to);
        let begins = self.windows.iter().flat_map(|window| window.begins(now));
        let mut moments: Vec<Timestamp> = ends
            .chain(begins)
            .chain([now])
            .filter(|at| now <= *at)
            .collect();
        moments.sort_unstable();
        moments.into_iter().find(|at| self.is_open(*at))
    }
}

impl Window {
    fn has(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let (day, time) = (local.weekday(), local.time());
        let is_overnight = self.to <= self.from;
        let of_today = self.is_on(day) && self.from <= time && (is_overnight || time < self.to);
        let of_yesterday = is_overnight && self.is_on(day.previous()) && time < self.to;
        of_today || of_yesterday
    }

    fn is_on(&self, day: Weekday) -> bool {
        self.days.contains(&day)
    }

    /// When it begins in the year to come.
    fn begins(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        (0..=366).filter_map(move |after| {
            let date = today.checked_add(after.days()).ok()?;
            let at = date
                .to_datetime(self.from)
                .to_zoned(self.zone.clone())
                .ok()?;
            self.is_on(date.weekday()).then(|| at.timestamp())
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;
    use jiff::tz::offset;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(days: &[Weekday], from: i8, to: i8, hours_east: i8) -> Window {
        Window {
            days: days.to_vec(),
            from: time(from, 0, 0, 0),
            to: time(to, 0, 0, 0),
            zone: TimeZone::fixed(offset(hours_east)),
        }
    }

    const WEEK: [Weekday; 5] = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
    ];

    #[test]
    fn without_windows_every_hour_is_one() {
        let schedule = Schedule::default();
        assert!(schedule.is_open(at("2026-11-29T03:00:00Z")));
        assert_eq!(
            schedule.opens_at(at("2026-11-29T03:00:00Z")),
            Some(at("2026-11-29T03:00:00Z"))
        );
    }

    #[test]
    fn hours_are_those_of_the_windows_zone() {
        let schedule = Schedule {
            windows: vec![window(&WEEK, 9, 17, 1)],
            freezes: Vec::new(),
        };
        // 2026-11-27 is a Friday.
        for (text, is_open) in [
            ("2026-11-27T07:59:59Z", false),
            ("2026-11-27T08:00:00Z", true),
            ("2026-11-27T15:59:59Z", true),
            ("2026-11-27T16:00:00Z", false),
            ("2026-11-28T10:00:00Z", false),
        ] {
            assert_eq!(schedule.is_open(at(text)), is_open, "{text}");
        }
        assert_eq!(
            schedule.opens_at(at("2026-11-27T16:00:00Z")),
            Some(at("2026-11-30T08:00:00Z"))
        );
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let schedule = Schedule {
            windows: vec![window(&[Weekday::Friday], 22, 4, 0)],
            freezes: Vec::new(),
        };
        for (text, is_open) in [
            ("2026-11-27T03:00:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T03:59:59Z", true),
            ("2026-11-28T04:00:00Z", false),
            ("2026-11-28T22:30:00Z", false),
        ] {
            assert_eq!(schedule.is_open(at(text)), is_open, "{text}");
        }
        let whole_day = Schedule {
            windows: vec![window(&[Weekday::Friday], 0, 0, 0)],
            freezes: Vec::new(),
        };
        assert!(whole_day.is_open(at("2026-11-27T23:59:59Z")));
        assert!(!whole_day.is_open(at("2026-11-28T00:00:00Z")));
    }

    #[test]
    fn a_freeze_closes_what_is_open() {
        let freeze = |from, to| Freeze {
            from: at(from),
            to: at(to),
            reason: "year's end".to_owned(),
        };
        let schedule = Schedule {
            windows: vec![window(&WEEK, 9, 17, 0)],
            freezes: vec![
                freeze("2026-12-18T00:00:00Z", "2027-01-04T12:00:00Z"),
                freeze("2027-01-04T12:00:00Z", "2027-01-04T18:00:00Z"),
            ],
        };
        assert!(schedule.is_open(at("2026-12-17T16:59:59Z")));
        assert_eq!(
            schedule.freeze(at("2026-12-21T10:00:00Z")).unwrap().reason,
            "year's end"
        );
        assert_eq!(
            schedule.opens_at(at("2026-12-18T10:00:00Z")),
            Some(at("2027-01-05T09:00:00Z"))
        );
        let for_ever = Schedule {
            freezes: vec![freeze("2026-01-01T00:00:00Z", "9999-01-01T00:00:00Z")],
            ..schedule
        };
        assert_eq!(for_ever.opens_at(at("2026-12-18T10:00:00Z")), None);
    }

    /// On the days on which clocks are changed a window is as long as the clock says.
    #[test]
    fn clocks_that_are_changed_change_the_window() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let schedule = Schedule {
            windows: vec![Window {
                zone,
                ..window(&[Weekday::Sunday], 1, 4, 0)
            }],
            freezes: Vec::new(),
        };
        // On 2026-03-29 the clock goes from 2 to 3.
        assert!(schedule.is_open(at("2026-03-29T00:00:00Z")));
        assert!(schedule.is_open(at("2026-03-29T01:59:59Z")));
        assert!(!schedule.is_open(at("2026-03-29T02:00:00Z")));
        // On 2026-10-25 it goes from 3 back to 2.
        assert!(schedule.is_open(at("2026-10-24T23:00:00Z")));
        assert!(schedule.is_open(at("2026-10-25T02:59:59Z")));
        assert!(!schedule.is_open(at("2026-10-25T03:00:00Z")));
    }
}
