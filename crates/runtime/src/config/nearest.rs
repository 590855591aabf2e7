//! Finds the word that was probably meant.

/// The one of `candidates` that `word` was probably meant to be, or none where nothing is near.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The number of insertions, deletions, replacements and swaps of neighbors between two words, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (row[j - 1] + 1)
                .min(rows[i - 1][j] + 1)
                .min(rows[i - 1][j - 1] + changed);
            if 1 < i && 1 < j && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Option<&str>) {
        assert_eq!(
            nearest(
                word,
                &["listen", "tls", "public_url", "cert_file", "key_file"]
            ),
            expected,
            "{word}"
        );
    }

    #[test]
    fn a_slip_of_the_fingers_is_understood() {
        check("lisen", Some("listen"));
        check("lsiten", Some("listen"));
        check("Listen", Some("listen"));
        check("public-url", Some("public_url"));
        check("cert_fiel", Some("cert_file"));
        check("tsl", Some("tls"));
    }

    #[test]
    fn a_word_of_its_own_suggests_nothing() {
        check("database", None);
        check("x", None);
    }
}
