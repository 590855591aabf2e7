//! A text that must not be printed or compared in a way that tells anything about it.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::sha256;

/// A secret text: no `Display`, a `Debug` that hides it, comparison in constant time.
///
/// ```
/// let secret = trust::Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(***)");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into_boxed_str())
    }

    /// The text itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        // Digests are compared, so that not even the length is told.
        sha256(self.0.as_bytes())
            .ct_eq(&sha256(other.0.as_bytes()))
            .into()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_of_the_text() {
        assert_eq!(Secret::new("a"), Secret::new("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_ne!(Secret::new("a"), Secret::new("aa"));
        assert_ne!(Secret::new(""), Secret::new("a"));
        assert!(Secret::new("").is_empty());
    }

    #[test]
    fn debug_never_shows_the_text() {
        let shown = format!(
            "{:?} {:#?}",
            Secret::new("hunter2"),
            Some(Secret::new("hunter2"))
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
