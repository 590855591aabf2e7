//! The secrets that configs refer to, opened: values by name and version, and hiding them in what agents say.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use domain::model::{ConfigFile, ConfigMap, Health};
use domain::{ConfigName, Namespace, ReleasedSet, Revision, SecretName, SecretVersion, Secrets};
use store::secrets::SecretRecord;
use trust::SealingKey;

/// Lines of values that are shorter than this are not looked for in what agents say: they stand in too many places.
pub(crate) const SHORTEST_HIDDEN: usize = 6;

/// The secrets of all namespaces. Cloned by a change, and so are the few that it makes.
#[derive(Clone, Default)]
pub(crate) struct Vault {
    spaces: HashMap<Namespace, Arc<Space>>,
}

/// The secrets of one namespace.
#[derive(Default)]
struct Space {
    current: Secrets,
    /// All versions whose values are there, those that are current too.
    all: BTreeMap<(SecretName, u32), Arc<SecretVersion>>,
    /// Finds their values; nothing: there are none.
    hide: Option<Hide>,
}

struct Hide {
    search: AhoCorasick,
    /// What stands in place of each pattern.
    instead: Vec<String>,
}

impl Vault {
    /// Opens what is stored; what this key does not open is not there, and is logged.
    pub fn open(records: &[SecretRecord], key: Option<&SealingKey>) -> Self {
        let mut spaces: HashMap<Namespace, Space> = HashMap::new();
        let mut closed = 0_usize;
        for record in records {
            // The value of a version that nothing needs any more is gone.
            if record.sealed.is_empty() {
                continue;
            }
            let place = place(&record.namespace, &record.name, record.version);
            let opened = key.map(|key| key.open(&place, &record.sealed));
            let Some(Ok(value)) = opened else {
                closed += 1;
                continue;
            };
            let version = SecretVersion::new(record.name.clone(), record.version, value.expose());
            let space = spaces.entry(record.namespace.clone()).or_default();
            space.add(Arc::new(version), record.is_current);
        }
        if 0 < closed {
            tracing::error!(
                event = "secrets_closed",
                secrets = closed,
                "these secrets are sealed with another key: give this server the key that they were made with"
            );
        }
        let ready = |(namespace, space): (Namespace, Space)| (namespace, Arc::new(space.ready()));
        Self {
            spaces: spaces.into_iter().map(ready).collect(),
        }
    }

    /// The newest version of each secret of a namespace.
    pub fn current(&self, namespace: &Namespace) -> &Secrets {
        static NONE: Secrets = Secrets::new();
        self.spaces
            .get(namespace)
            .map_or(&NONE, |space| &space.current)
    }

    /// A version, if its value is there.
    pub fn version(
        &self,
        namespace: &Namespace,
        name: &SecretName,
        version: u32,
    ) -> Option<Arc<SecretVersion>> {
        let space = self.spaces.get(namespace)?;
        space.all.get(&(name.clone(), version)).cloned()
    }

    /// The same with a new current version of a secret, or without one.
    pub fn with(
        &self,
        namespace: &Namespace,
        name: &SecretName,
        version: Option<Arc<SecretVersion>>,
    ) -> Self {
        let mut next = self.clone();
        let before = self.spaces.get(namespace);
        let mut space = Space {
            current: before
                .map(|space| space.current.clone())
                .unwrap_or_default(),
            all: before.map(|space| space.all.clone()).unwrap_or_default(),
            hide: None,
        };
        space.current.remove(name);
        if let Some(version) = version {
            space.add(version, true);
        }
        next.spaces
            .insert(namespace.clone(), Arc::new(space.ready()));
        next
    }

    /// A text of an agent with the references in place of the values that they stand for, if it has any.
    pub fn hide(&self, namespace: &Namespace, text: &[u8]) -> Option<Vec<u8>> {
        let hide = self.spaces.get(namespace)?.hide.as_ref()?;
        hide.search.find(text)?;
        let mut hidden = Vec::with_capacity(text.len());
        hide.search
            .replace_all_with_bytes(text, &mut hidden, |found, _, hidden| {
                hidden.extend_from_slice(hide.instead[found.pattern().as_usize()].as_bytes());
                true
            });
        Some(hidden)
    }

    /// [`Vault::hide`] for a text.
    pub fn hide_text(&self, namespace: &Namespace, text: &mut String) {
        if let Some(hidden) = self.hide(namespace, text.as_bytes()) {
            *text = String::from_utf8_lossy(&hidden).into_owned();
        }
    }

    /// [`Vault::hide`] for what components say of their health.
    pub fn hide_in_health(&self, namespace: &Namespace, tree: &mut Health) {
        if !self.spaces.contains_key(namespace) {
            return;
        }
        self.hide_text(namespace, &mut tree.last_error);
        self.hide_text(namespace, &mut tree.status);
        for component in tree.components.values_mut() {
            self.hide_in_health(namespace, component);
        }
    }

    /// [`Vault::hide`] for files.
    pub fn hide_in_files(&self, namespace: &Namespace, files: &mut ConfigMap) {
        for ConfigFile { body, .. } in files.values_mut() {
            if let Some(hidden) = self.hide(namespace, body) {
                *body = hidden;
            }
        }
    }
}

impl Space {
    fn add(&mut self, version: Arc<SecretVersion>, is_current: bool) {
        let key = (version.name.clone(), version.version);
        if is_current {
            self.current
                .insert(version.name.clone(), Arc::clone(&version));
        }
        self.all.insert(key, version);
    }

    fn ready(mut self) -> Self {
        let mut patterns: BTreeMap<String, String> = BTreeMap::new();
        for version in self.all.values() {
            let reference = format!("${{secret:{}}}", version.name);
            for line in version.expose().lines().map(str::trim) {
                if SHORTEST_HIDDEN <= line.len() {
                    for form in forms(line) {
                        patterns.insert(form, reference.clone());
                    }
                }
            }
        }
        let (patterns, instead): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        if patterns.is_empty() {
            return self;
        }
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns);
        self.hide = match search {
            Ok(search) => Some(Hide { search, instead }),
            Err(error) => {
                tracing::error!(event = "secrets_not_hidden", %error);
                None
            }
        };
        self
    }
}

/// The ways in which a text can stand in YAML, JSON and what the Collector logs.
fn forms(line: &str) -> [String; 6] {
    let escaped = serde_json::Value::from(line).to_string();
    let escaped = escaped[1..escaped.len() - 1].to_owned();
    [
        line.to_owned(),
        line.replace('\'', "''"),
        line.replace('$', "$$"),
        line.replace('\'', "''").replace('$', "$$"),
        escaped.replace('$', "$$"),
        escaped,
    ]
}

/// What a sealed value is bound to.
pub(crate) fn place(namespace: &Namespace, name: &SecretName, version: u32) -> Vec<u8> {
    format!("secret\n{namespace}\n{name}\n{version}").into_bytes()
}

/// Whether a revision refers to a secret: in its body, or in the values that it gives.
pub(crate) fn refers_to(revision: &Revision, name: &SecretName) -> bool {
    let names = |text: &str| desired::references(text).any(|found| found == *name);
    if names(&String::from_utf8_lossy(&revision.body)) {
        return true;
    }
    let Some(template) = &revision.template else {
        return false;
    };
    let overrides = template.overrides.iter().map(|own| &own.variables);
    let mut sets = std::iter::once(&template.variables).chain(overrides);
    sets.any(|set| set.values().any(|value| names(&value.to_string())))
}

/// The configs of which a revision that is in force for some agent refers to a secret.
pub(crate) fn configs_that_refer(set: &ReleasedSet, name: &SecretName) -> Vec<ConfigName> {
    let of_baseline = set.configs.iter().filter(|(_, released)| {
        let open = released.open.as_ref().and_then(|open| open.target.as_ref());
        let mut revisions = released.baseline.iter().chain(open);
        revisions.any(|revision| refers_to(revision, name))
    });
    let own = set.exceptions.values().flatten();
    let of_exceptions = own.filter(|(_, revision)| {
        revision
            .as_ref()
            .is_some_and(|revision| refers_to(revision, name))
    });
    let names = of_baseline
        .map(|(name, _)| name)
        .chain(of_exceptions.map(|(name, _)| name));
    let mut names: Vec<ConfigName> = names.cloned().collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(value: &str) -> (Vault, Namespace) {
        let namespace = Namespace::default();
        let name = SecretName::new("db").unwrap();
        let version = Arc::new(SecretVersion::new(name.clone(), 1, value));
        let vault = Vault::default().with(&namespace, &name, Some(version));
        (vault, namespace)
    }

    #[test]
    fn values_are_hidden_however_they_are_written() {
        let (vault, namespace) = vault("p'a$s\"s-word");
        for text in [
            "a: p'a$s\"s-word\n",
            "a: 'p''a$s\"s-word'\n",
            "a: \"p'a$$s\\\"s-word\"\n",
            "failed: {\"password\":\"p'a$s\\\"s-word\"}",
        ] {
            let hidden = vault.hide(&namespace, text.as_bytes()).unwrap();
            let hidden = String::from_utf8(hidden).unwrap();
            assert!(hidden.contains("${secret:db}"), "{hidden}");
            assert!(!hidden.contains("s-word"), "{hidden}");
        }
        assert_eq!(vault.hide(&namespace, b"a: other\n"), None);
        let other = Namespace::new("other").unwrap();
        assert_eq!(vault.hide(&other, b"a: p'a$s\"s-word\n"), None);
    }

    #[test]
    fn each_line_is_hidden_and_so_are_earlier_versions() {
        let (vault, namespace) = vault("-----BEGIN KEY-----\n  c2VjcmV0MQ==\nxy\n");
        let name = SecretName::new("db").unwrap();
        let next = Arc::new(SecretVersion::new(name.clone(), 2, "next-value"));
        let vault = vault.with(&namespace, &name, Some(next));
        let text = b"k: |\n    c2VjcmV0MQ==\n    xy\nl: next-value\n";
        let hidden = String::from_utf8(vault.hide(&namespace, text).unwrap()).unwrap();
        assert_eq!(hidden, "k: |\n    ${secret:db}\n    xy\nl: ${secret:db}\n");
        // Until nobody runs it any more, what is deleted is hidden as well.
        let vault = vault.with(&namespace, &name, None);
        assert!(vault.hide(&namespace, text).is_some());
        assert!(vault.current(&namespace).is_empty());
    }

    #[test]
    fn what_another_key_sealed_is_not_there() {
        let (namespace, name) = (Namespace::default(), SecretName::new("db").unwrap());
        let key = SealingKey::from_bytes(&[1; 32]);
        let record = |version| SecretRecord {
            namespace: namespace.clone(),
            name: name.clone(),
            version,
            is_current: version == 2,
            sealed: key.seal([9; 12], &place(&namespace, &name, version), "value"),
            key_id: key.id().to_owned(),
            created_by: domain::Actor::admin(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let records = [record(1), record(2)];
        let opened = Vault::open(&records, Some(&key));
        assert_eq!(opened.current(&namespace)[&name].version, 2);
        let version = |vault: &Vault, number| vault.version(&namespace, &name, number);
        assert_eq!(version(&opened, 1).unwrap().expose(), "value");
        assert_eq!(version(&opened, 3), None);
        let other = SealingKey::from_bytes(&[2; 32]);
        for key in [None, Some(&other)] {
            let closed = Vault::open(&records, key);
            assert!(closed.current(&namespace).is_empty());
            assert_eq!(version(&closed, 1), None);
        }
    }
}
