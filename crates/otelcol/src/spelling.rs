//! What a misspelled name may have been meant to be.

/// The most names among which one is looked for; the contrib distribution has about a hundred receivers.
pub(crate) const MOST_KNOWN: usize = 256;
/// The most bytes of a name that may be another one misspelled.
const MOST_BYTES: usize = 64;
/// The most names that are looked up for one document: whoever writes a configuration can misspell every name in it.
const MOST_LOOKUPS: usize = 100;
/// The most characters in which two names differ of which one is the other one misspelled.
const MOST_DIFFERENT: usize = 2;

/// Looks up what names may have been meant to be, so often and no more.
pub(crate) struct Spelling {
    lookups_left: usize,
}

impl Default for Spelling {
    fn default() -> Self {
        Self {
            lookups_left: MOST_LOOKUPS,
        }
    }
}

impl Spelling {
    /// The known name that differs in the fewest places, if in two at most.
    pub(crate) fn similar<'k>(&mut self, name: &str, known: &[&'k str]) -> Option<&'k str> {
        if MOST_BYTES < name.len() || MOST_KNOWN < known.len() || known.is_empty() {
            return None;
        }
        self.lookups_left = self.lookups_left.checked_sub(1)?;
        known
            .iter()
            .filter(|known| known.len() <= MOST_BYTES)
            .map(|known| (distance(name, known), *known))
            .min()
            .filter(|(distance, _)| *distance <= MOST_DIFFERENT)
            .map(|(_, known)| known)
    }
}

/// How many characters must be put in, taken out or replaced.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_if_it_is_near() {
        let known = ["batch", "filter", "memory_limiter"];
        for (name, meant) in [
            ("bach", Some("batch")),
            ("fliter", Some("filter")),
            ("memorylimiter", Some("memory_limiter")),
            ("otlp", None),
        ] {
            assert_eq!(Spelling::default().similar(name, &known), meant, "{name}");
        }
    }

    #[test]
    fn looking_up_has_limits() {
        let mut spelling = Spelling::default();
        assert_eq!(spelling.similar(&"a".repeat(65), &["b"]), None);
        assert_eq!(spelling.similar("a", &["b"; 257]), None);
        for _ in 0..100 {
            assert_eq!(spelling.similar("a", &["b"; 256]), Some("b"));
        }
        assert_eq!(spelling.similar("a", &["b"]), None);
    }
}
