//! Semantic versions of revisions, counted by this server.
//!
//! A revision that changes whom the config reaches or where it merges raises the minor number, one that changes the
//! body alone the patch number. The first is `v1.0.0`; the major number is kept for people.

use store::configs::RevisionHead;

use super::Aim;

const FIRST: &str = "v1.0.0";

/// The version of a revision that follows another.
pub(super) fn next(before: Option<&RevisionHead>, aim: &Aim) -> String {
    let Some(before) = before else {
        return FIRST.to_owned();
    };
    let Some([major, minor, patch]) = parse(&before.version) else {
        return FIRST.to_owned();
    };
    if before.selector == aim.selector && before.priority == aim.priority {
        format!("v{major}.{minor}.{}", patch.saturating_add(1))
    } else {
        format!("v{major}.{}.0", minor.saturating_add(1))
    }
}

fn parse(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.strip_prefix('v')?.split('.').map(str::parse);
    let numbers = [
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    ];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
            variables: BTreeMap::new(),
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

    #[test]
    fn the_first_is_1_0_0() {
        assert_eq!(next(None, &aim("", 0)), "v1.0.0");
    }

    #[test]
    fn a_new_body_raises_the_patch_number() {
        assert_eq!(next(Some(&head("v1.0.0")), &aim("env=prod", 10)), "v1.0.1");
        assert_eq!(next(Some(&head("v2.7.9")), &aim("env=prod", 10)), "v2.7.10");
    }

    #[test]
    fn a_new_aim_raises_the_minor_number() {
        assert_eq!(next(Some(&head("v1.0.4")), &aim("env=dev", 10)), "v1.1.0");
        assert_eq!(next(Some(&head("v1.2.3")), &aim("env=prod", 11)), "v1.3.0");
    }
}
