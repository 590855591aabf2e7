//! Semantic versions of revisions: counted by this server, or given by people.
//!
//! Counted, a revision that changes whom the config reaches or where it merges raises the minor number, one that changes
//! the body alone the patch number. The first is `v1.0.0`. The major number is for people, who may name a part to raise
//! or give the version itself.

use std::fmt;

use store::configs::RevisionHead;

use super::Aim;

const FIRST: Numbers = Numbers([1, 0, 0]);

/// A version: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbers([u64; 3]);

/// Which version a revision is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// The one that follows by what it changes.
    #[default]
    Counted,
    /// The next major one.
    Major,
    /// The next minor one.
    Minor,
    /// The next patch.
    Patch,
    /// This one.
    Given(Numbers),
}

/// A version that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersion {
    /// It is none.
    #[error("{text:?} is no version: write major, minor or patch, or three numbers such as v1.2.3")]
    Text {
        /// What was given.
        text: String,
    },
    /// Versions grow.
    #[error("{given} does not follow {newest}, the version of the newest revision: versions grow")]
    NotNewer {
        /// What was given.
        given: Numbers,
        /// The version of the newest revision.
        newest: Numbers,
    },
}

impl Version {
    /// Reads what a caller wrote.
    ///
    /// # Errors
    /// [`InvalidVersion::Text`].
    pub fn read(text: &str) -> Result<Self, InvalidVersion> {
        match text {
            "major" => Ok(Self::Major),
            "minor" => Ok(Self::Minor),
            "patch" => Ok(Self::Patch),
            _ => Numbers::read(text)
                .filter(Numbers::is_sensible)
                .map(Self::Given)
                .ok_or_else(|| {
                    let text = text.chars().take(64).collect();
                    InvalidVersion::Text { text }
                }),
        }
    }

    /// The version of a revision that follows another.
    pub(super) fn after(
        self,
        before: Option<&RevisionHead>,
        aim: &Aim,
    ) -> Result<Numbers, InvalidVersion> {
        let newest = before.and_then(|before| Numbers::read(&before.version));
        let (Some(newest), Some(before)) = (newest, before) else {
            return Ok(match self {
                Self::Given(given) => given,
                _ => FIRST,
            });
        };
        let Numbers([major, minor, patch]) = newest;
        let same_aim = before.selector == aim.selector && before.priority == aim.priority;
        match self {
            Self::Given(given) if given <= newest => {
                Err(InvalidVersion::NotNewer { given, newest })
            }
            Self::Given(given) => Ok(given),
            Self::Major => Ok(Numbers([major.saturating_add(1), 0, 0])),
            Self::Counted if !same_aim => Ok(Numbers([major, minor.saturating_add(1), 0])),
            Self::Minor => Ok(Numbers([major, minor.saturating_add(1), 0])),
            Self::Counted | Self::Patch => Ok(Numbers([major, minor, patch.saturating_add(1)])),
        }
    }
}

impl Numbers {
    /// Whether each is at most 2^53: room for as many more, and for programs that count in doubles.
    fn is_sensible(&self) -> bool {
        self.0.iter().all(|number| *number <= 1 << 53)
    }

    /// Three numbers with dots between them, a `v` before them or not, each without leading zeros.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || {
            let part = parts.next()?;
            let is_plain = part.bytes().all(|byte| byte.is_ascii_digit());
            let is_short = part == "0" || !part.starts_with('0');
            part.parse().ok().filter(|_| is_plain && is_short)
        };
        let numbers = [number()?, number()?, number()?];
        parts.next().is_none().then_some(Self(numbers))
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "v{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use domain::{Actor, ContentHash, Kind, RevisionNumber};
    use jiff::Timestamp;

    use super::*;

    fn head(version: &str) -> RevisionHead {
        RevisionHead {
            number: RevisionNumber(3),
            version: version.to_owned(),
            kind: Kind::Collector,
            selector: "env=prod".parse().unwrap(),
            priority: 10,
            template: None,
            variables: None,
            sha256: ContentHash::from_bytes([0; 32]),
            body_bytes: 1,
            author: Actor::admin(),
            message: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            origin: "api".into(),
        }
    }

    fn aim(selector: &str, priority: i64) -> Aim {
        Aim {
            selector: selector.parse().unwrap(),
            priority,
        }
    }

    fn next(version: Version, before: &str, aim: &Aim) -> String {
        version.after(Some(&head(before)), aim).unwrap().to_string()
    }

    #[test]
    fn a_new_body_raises_the_patch_number_and_a_new_aim_the_minor_one() {
        let first = Version::Counted.after(None, &aim("", 0)).unwrap();
        assert_eq!(first.to_string(), "v1.0.0");
        for (before, selector, priority, after) in [
            ("v1.0.0", "env=prod", 10, "v1.0.1"),
            ("v2.7.9", "env=prod", 10, "v2.7.10"),
            ("v1.0.4", "env=dev", 10, "v1.1.0"),
            ("v1.2.3", "env=prod", 11, "v1.3.0"),
        ] {
            assert_eq!(
                next(Version::Counted, before, &aim(selector, priority)),
                after
            );
        }
    }

    #[test]
    fn people_raise_a_part_or_give_a_version_that_follows() {
        let same = aim("env=prod", 10);
        for (wanted, after) in [
            ("major", "v2.0.0"),
            ("minor", "v1.3.0"),
            ("patch", "v1.2.4"),
            ("v1.2.4", "v1.2.4"),
            ("10.0.0", "v10.0.0"),
        ] {
            let wanted = Version::read(wanted).unwrap();
            assert_eq!(next(wanted, "v1.2.3", &same), after);
        }
        let given = Version::read("v3.1.4").unwrap();
        assert_eq!(given.after(None, &same).unwrap().to_string(), "v3.1.4");
        for older in ["v1.2.3", "0.9.9"] {
            let refused = Version::read(older)
                .unwrap()
                .after(Some(&head("v1.2.3")), &same);
            assert!(
                matches!(refused, Err(InvalidVersion::NotNewer { .. })),
                "{older}"
            );
        }
        for text in [
            "",
            "1.2",
            "1.2.3.4",
            "v1.02.3",
            "1.2.x",
            "1.2.+3",
            "v9007199254740993.0.0",
        ] {
            assert!(Version::read(text).is_err(), "{text}");
        }
    }
}
