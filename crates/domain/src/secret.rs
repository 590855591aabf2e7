//! Secrets that configs refer to by name and that this server puts in when it sends them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::ids::SecretName;

/// One version of a secret, with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretVersion {
    /// Its name.
    pub name: SecretName,
    /// Its number: 1 is the first, and every value that it is given has the next.
    pub version: u32,
    value: Arc<str>,
}

/// The newest version of each secret of a namespace.
pub type Secrets = BTreeMap<SecretName, Arc<SecretVersion>>;

impl SecretVersion {
    /// Takes a value.
    pub fn new(name: SecretName, version: u32, value: impl Into<Arc<str>>) -> Self {
        Self {
            name,
            version,
            value: value.into(),
        }
    }

    /// The value itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretVersion({} v{}, ***)", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let name = SecretName::new("db").unwrap();
        let shown = format!("{:?}", Some(SecretVersion::new(name, 2, "hunter2")));
        assert_eq!(shown, "Some(SecretVersion(db v2, ***))");
    }
}
