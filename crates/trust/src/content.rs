//! The hash of a configuration, as an offer carries it and an agent checks it.

use sha2::{Digest, Sha256};

use crate::sha256;

/// The name of the entry that alone makes a configuration with the plain hash of its body.
const SOLE_FILE: &str = "config.yaml";

/// The hash of the entries of a configuration: (name, content type, body), in any order.
///
/// With the one entry `config.yaml` it is the SHA-256 of its body. With anything else it is the
/// SHA-256 over the entries sorted by name, each as `length ‖ name ‖ length ‖ content type ‖
/// length of body ‖ SHA-256 of body`, lengths as 8 bytes in big-endian order.
///
/// ```
/// let body = b"receivers: {}\n".as_slice();
/// assert_eq!(trust::content_hash([("config.yaml", "text/yaml", body)]), trust::sha256(body));
/// ```
pub fn content_hash<'a>(
    entries: impl IntoIterator<Item = (&'a str, &'a str, &'a [u8])>,
) -> [u8; 32] {
    let mut entries: Vec<_> = entries.into_iter().collect();
    if let [(SOLE_FILE, _, body)] = entries.as_slice() {
        return sha256(body);
    }
    entries.sort_unstable();
    let mut hasher = Sha256::new();
    for (name, content_type, body) in entries {
        for text in [name, content_type] {
            hasher.update(length(text.len()));
            hasher.update(text);
        }
        hasher.update(length(body.len()));
        hasher.update(sha256(body));
    }
    hasher.finalize().into()
}

fn length(count: usize) -> [u8; 8] {
    // usize has at most 64 bits on every platform there is.
    (count as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    #[test]
    fn golden_vectors() {
        let hash = |entries: &[(&str, &str, &[u8])]| hex(&content_hash(entries.iter().copied()));
        assert_eq!(
            hash(&[]),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hash(&[("config.yaml", "text/yaml", b"a: 1\n")]),
            "37b128c59f1f5097f73f82691cb519f1f568667faab5ced1b4ab979d36837eae"
        );
        assert_eq!(
            hash(&[("other.yaml", "text/yaml", b"a: 1\n")]),
            "fe539f9d428bc77ae22e9bab1c8f6ffd8707070de705efb01d8ee110b611cf4d"
        );
        let two: [(&str, &str, &[u8]); 2] = [
            ("b.json", "application/json", b"{}"),
            ("a.yaml", "", b"x: y\n"),
        ];
        assert_eq!(
            hash(&two),
            "d5d170d8b251d68ab871a454b8f73d7fa740727358924d801d805af3062ce792"
        );
        assert_eq!(
            hash(&[two[1], two[0]]),
            "d5d170d8b251d68ab871a454b8f73d7fa740727358924d801d805af3062ce792"
        );
    }
}
