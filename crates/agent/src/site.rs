//! The files of one collector on this machine: what it is given, what stood there before, what is tried beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use opamp::model::{ConfigFile, ConfigMap};
use otelcol::Document;
use serde_json::json;
use thiserror::Error;
use tokio::sync::watch;

use crate::collector::{ArgumentDocuments, ConfigFacts};
use crate::ledger::Content;
use crate::process::Launch;
use crate::settings::CollectorSettings;
use crate::storage::atomic;
use crate::storage::contents::{ContentError, ContentId, Contents};

/// New configurations hold secrets: they are readable by the agent's and the collector's user alone.
const CONFIG_MODE: u32 = 0o600;
const CONTENT_TYPE: &str = "text/yaml";
/// So many files of one offer are kept beside what they come to.
const MOST_PARTS: usize = 64;

/// Where a collector's files lie.
#[derive(Debug, Clone)]
pub struct Site {
    settings: CollectorSettings,
    directory: PathBuf,
    contents: Contents,
    /// The newest; the server may assign another while the agent runs.
    instance_id: watch::Receiver<String>,
}

/// Where a configuration is tried beside what runs. Those of different stages do not disturb each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// One that is to be applied.
    Offer,
    /// One that is not.
    DryRun,
}

/// What an offer comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// Nothing: what stood on the machine before is to run.
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Why files could not be put in place.
#[derive(Debug, Error)]
pub enum SiteError {
    /// A file could not be written.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A kept configuration could not be used.
    #[error("the kept configuration cannot be used")]
    Content(#[from] ContentError),
}

impl SiteError {
    /// Whether the content is lost, so that another attempt cannot succeed.
    pub fn is_loss(&self) -> bool {
        match self {
            Self::Content(ContentError::Damaged { .. }) => true,
            Self::Content(ContentError::Read { source, .. }) => {
                source.kind() == io::ErrorKind::NotFound
            }
            Self::Content(ContentError::Write { .. }) | Self::Write { .. } | Self::Read { .. } => {
                false
            }
        }
    }
}

impl Site {
    /// The files of the collector in `settings`, with the agent's own under `directory`.
    pub fn new(
        settings: CollectorSettings,
        directory: &Path,
        instance_id: watch::Receiver<String>,
    ) -> Self {
        let contents = Contents::new(contents_directory(directory));
        Self {
            settings,
            directory: directory.to_owned(),
            contents,
            instance_id,
        }
    }

    /// How the collector is run.
    pub fn settings(&self) -> &CollectorSettings {
        &self.settings
    }

    /// The kept configurations.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The file that the collector's output goes to.
    pub fn log_path(&self) -> PathBuf {
        self.directory.join("collector.log")
    }

    /// Keeps what stands at `config_path` now.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    pub fn capture(&self) -> Result<Content, SiteError> {
        match fs::read(&self.settings.config_path) {
            Ok(bytes) => Ok(Content::Kept(self.contents.keep(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::Nothing),
            Err(source) => Err(SiteError::Read {
                path: self.settings.config_path.clone(),
                source,
            }),
        }
    }

    /// Keeps offered bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self, bytes: &[u8]) -> Result<ContentId, SiteError> {
        Ok(self.contents.keep(bytes)?)
    }

    /// Keeps the files of an offer one by one, where what is put in force is made of several: what changed in one of them
    /// is told against it as it was sent.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_parts(&self, map: &ConfigMap) -> Result<Vec<ContentId>, SiteError> {
        let files = map.values().filter(|file| !file.body.is_empty());
        if files.clone().count() < 2 {
            return Ok(Vec::new());
        }
        files
            .take(MOST_PARTS)
            .map(|file| self.keep(&file.body))
            .collect()
    }

    /// The call that runs the collector once `content` is in force; none where there is nothing to run.
    pub fn launch(&self, content: &Content) -> Option<Launch> {
        let has_own = match content {
            Content::Local => self.settings.config_path.exists(),
            Content::Kept(_) => true,
            Content::Nothing => false,
        };
        if !has_own && self.settings.config_files.is_empty() {
            return None;
        }
        let own = has_own.then(|| self.settings.config_path.clone());
        let configs = self
            .settings
            .config_files
            .iter()
            .cloned()
            .chain(own)
            .chain([self.additions_path()]);
        Some(Launch::new(&self.settings, configs.collect()))
    }

    /// The call that runs just the program, for what it says of itself.
    pub fn bare_launch(&self) -> Launch {
        Launch::new(&self.settings, Vec::new())
    }

    /// The call with the local configurations alone: all that is the same for every offer.
    pub fn local_launch(&self) -> Launch {
        Launch::new(&self.settings, self.settings.config_files.clone())
    }

    /// Writes `bytes` beside what runs and gives the call that would run them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn stage(&self, stage: Stage, bytes: &[u8]) -> Result<Launch, SiteError> {
        let directory = self.stage_path(stage);
        let (config, additions) = (
            directory.join("config.yaml"),
            directory.join("additions.yaml"),
        );
        write(&config, bytes)?;
        write(&additions, self.additions_to(Some(bytes)).as_bytes())?;
        let configs = self
            .settings
            .config_files
            .iter()
            .cloned()
            .chain([config, additions]);
        Ok(Launch::new(&self.settings, configs.collect()))
    }

    /// Removes what is on a stage.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn clear(&self, stage: Stage) -> Result<(), SiteError> {
        let path = self.stage_path(stage);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SiteError::Write { path, source })
            }
            _ => Ok(()),
        }
    }

    fn stage_path(&self, stage: Stage) -> PathBuf {
        self.directory.join(match stage {
            Stage::Offer => "staging",
            Stage::DryRun => "dry-run",
        })
    }

    /// Makes the files say `content`. What says so already is not written again.
    ///
    /// # Errors
    /// When the content is lost or a file cannot be written.
    pub fn put_in_force(&self, content: &Content) -> Result<(), SiteError> {
        let path = &self.settings.config_path;
        let bytes = match content {
            Content::Local => fs::read(path).ok(),
            Content::Kept(id) => Some(self.present(id).map_or_else(|| self.contents.get(id), Ok)?),
            Content::Nothing => None,
        };
        // The additions come first: with the old configuration they are as harmless as with the new one.
        write(
            &self.additions_path(),
            self.additions_to(bytes.as_deref()).as_bytes(),
        )?;
        match (content, bytes) {
            (Content::Kept(_), Some(bytes)) => write(path, &bytes),
            (Content::Nothing, _) => remove(path),
            _ => Ok(()),
        }
    }

    /// What stands at `config_path`, if it is just this content: then it needs no kept copy.
    fn present(&self, id: &ContentId) -> Option<Vec<u8>> {
        let bytes = fs::read(&self.settings.config_path).ok()?;
        (ContentId::of(&bytes) == *id).then_some(bytes)
    }

    /// What the collector is given, file by file: `config.yaml` is the one at `config_path`, byte for byte. Secrets of
    /// files that the server did not send stay on the machine.
    pub fn effective(&self, content: &Content) -> ConfigMap {
        self.effective_with(content, |bytes| bytes)
    }

    /// The same where not even `config.yaml` is from the server.
    pub fn effective_local(&self, content: &Content) -> ConfigMap {
        self.effective_with(content, redact)
    }

    fn effective_with(&self, content: &Content, own: impl Fn(Vec<u8>) -> Vec<u8>) -> ConfigMap {
        let Some(launch) = self.launch(content) else {
            return ConfigMap::new();
        };
        let file_of = |(index, path): (usize, &PathBuf)| {
            let bytes = fs::read(path).ok()?;
            let (name, bytes) = if *path == self.settings.config_path {
                ("config.yaml".to_owned(), own(bytes))
            } else if *path == self.additions_path() {
                ("opamp-agent.yaml".to_owned(), bytes)
            } else {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                (format!("local/{index}-{name}"), redact(bytes))
            };
            Some((name, ConfigFile::new(bytes, CONTENT_TYPE)))
        };
        launch
            .configs()
            .iter()
            .enumerate()
            .filter_map(file_of)
            .collect()
    }

    /// What the agent needs to know of what the collector is given.
    pub fn facts(&self, content: &Content) -> ConfigFacts {
        let Some(launch) = self.launch(content) else {
            return ConfigFacts::default();
        };
        let documents: Vec<Vec<u8>> = launch
            .configs()
            .iter()
            .filter_map(|path| fs::read(path).ok())
            .collect();
        self.facts_of(documents)
    }

    /// Facts of the files' documents, among what the collector's own arguments say.
    fn facts_of(&self, files: Vec<Vec<u8>>) -> ConfigFacts {
        let variable = |name: &str| {
            self.settings
                .env
                .get(name)
                .cloned()
                .or_else(|| std::env::var(name).ok())
        };
        let ArgumentDocuments { before, after } =
            ArgumentDocuments::of(&self.settings.args, variable);
        let documents: Vec<Vec<u8>> = before.into_iter().chain(files).chain(after).collect();
        ConfigFacts::of(&documents, variable)
    }

    fn additions_path(&self) -> PathBuf {
        self.directory.join("additions.yaml")
    }

    /// What the agent adds to the configuration: its own telemetry names the same instance as the agent, unless the
    /// configuration names one itself.
    fn additions_to(&self, bytes: Option<&[u8]>) -> String {
        let locals = self
            .settings
            .config_files
            .iter()
            .filter_map(|path| fs::read(path).ok());
        let documents: Vec<Vec<u8>> = locals.chain(bytes.map(<[u8]>::to_vec)).collect();
        let additions = if self.facts_of(documents).names_instance {
            json!({})
        } else {
            json!({ "service": { "telemetry": { "resource": { "service.instance.id": *self.instance_id.borrow() } } } })
        };
        // JSON is YAML; built as data, no value can change the structure.
        format!(
            "# Written by opamp-agent and given to the collector after all other configurations.\n{additions:#}\n"
        )
    }
}

/// Where an agent with its own files under `directory` keeps configurations.
pub fn contents_directory(directory: &Path) -> PathBuf {
    directory.join("contents")
}

impl Offered {
    /// What `map` comes to: one entry is taken byte for byte, several are merged in the order of their names.
    ///
    /// # Errors
    /// What is wrong with an entry, and where.
    pub fn of(map: &ConfigMap) -> Result<Self, String> {
        let entries: Vec<(&String, &ConfigFile)> = map
            .iter()
            .filter(|(_, file)| !file.body.is_empty())
            .collect();
        match entries.as_slice() {
            [] => Ok(Self::Empty),
            [(name, file)] => {
                parse(name, file)?;
                Ok(Self::Bytes(file.body.clone()))
            }
            several => {
                let documents: Vec<Document> = several
                    .iter()
                    .map(|(name, file)| parse(name, file))
                    .collect::<Result<_, _>>()?;
                Ok(Self::Bytes(
                    otelcol::merge(documents).document.to_yaml().into_bytes(),
                ))
            }
        }
    }
}

/// A configuration without its secrets. What is no text is not shown at all.
fn redact(bytes: Vec<u8>) -> Vec<u8> {
    String::from_utf8(bytes).map_or_else(
        |_| b"# no UTF-8 text\n".to_vec(),
        |text| otelcol::redact(&text).into_bytes(),
    )
}

fn parse(name: &str, file: &ConfigFile) -> Result<Document, String> {
    let name = if name.is_empty() { "config.yaml" } else { name };
    Document::parse(&file.body).map_err(|error| format!("{name}: {error}"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SiteError> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    atomic::replace(path, bytes, CONFIG_MODE).map_err(|source| SiteError::Write {
        path: path.to_owned(),
        source,
    })
}

fn remove(path: &Path) -> Result<(), SiteError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SiteError::Write {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(directory: &Path, config_files: &[PathBuf]) -> Site {
        let files = serde_json::to_string(config_files).unwrap();
        let text = format!(
            "opamp: {{ server: {{ endpoint: 'ws://h/v1/opamp' }} }}\n\
             collector: {{ executable: /bin/true, config_path: '{}', config_files: {files} }}\n",
            directory.join("etc/config.yaml").display(),
        );
        let settings =
            crate::settings::Settings::parse("t.yaml", &text, &runtime::Environment::default())
                .unwrap();
        Site::new(
            settings.collector,
            &directory.join("state"),
            watch::channel("edge-1".to_owned()).1,
        )
    }

    fn map(entries: &[(&str, &str)]) -> ConfigMap {
        entries
            .iter()
            .map(|(name, body)| ((*name).to_owned(), ConfigFile::new(*body, "text/yaml")))
            .collect()
    }

    #[test]
    fn content_is_put_in_force_byte_for_byte_and_taken_away_again() {
        let directory = tempfile::tempdir().unwrap();
        let site = site(directory.path(), &[]);
        assert_eq!(site.capture().unwrap(), Content::Nothing);
        assert!(site.launch(&Content::Nothing).is_none());
        let body = "receivers: {}   # as is\r\n";
        let content = Content::Kept(site.keep(body.as_bytes()).unwrap());
        site.put_in_force(&content).unwrap();
        assert_eq!(
            fs::read_to_string(&site.settings.config_path).unwrap(),
            body
        );
        let effective = site.effective(&content);
        assert_eq!(effective["config.yaml"].body, body.as_bytes());
        assert!(String::from_utf8_lossy(&effective["opamp-agent.yaml"].body).contains("edge-1"));
        assert_eq!(site.capture().unwrap(), content);
        site.put_in_force(&Content::Nothing).unwrap();
        assert!(!site.settings.config_path.exists());
        assert_eq!(site.effective(&Content::Nothing), ConfigMap::new());
    }

    #[test]
    fn local_configurations_come_first_and_suffice_alone() {
        let directory = tempfile::tempdir().unwrap();
        let local = directory.path().join("base.yaml");
        fs::write(&local, "receivers: {}\n").unwrap();
        let site = site(directory.path(), std::slice::from_ref(&local));
        site.put_in_force(&Content::Local).unwrap();
        let launch = site.launch(&Content::Local).unwrap();
        assert_eq!(
            launch.configs(),
            [local, directory.path().join("state/additions.yaml")]
        );
        let names: Vec<String> = site.effective(&Content::Local).into_keys().collect();
        assert_eq!(names, ["local/0-base.yaml", "opamp-agent.yaml"]);
    }

    #[test]
    fn an_instance_that_the_configuration_names_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let site = site(directory.path(), &[]);
        let adds = |text: &str| site.additions_to(Some(text.as_bytes())).contains("edge-1");
        assert!(adds("receivers: {}\n"));
        assert!(adds("service: {telemetry: {resource: {team: a}}}\n"));
        assert!(!adds(
            "service: {telemetry: {resource: {service.instance.id: mine}}}\n"
        ));
        assert!(
            !adds("service: {telemetry: {resource: {attributes: [{name: a, value: b}]}}}\n"),
            "the declarative form"
        );
    }

    #[test]
    fn secrets_of_local_files_are_not_reported() {
        let directory = tempfile::tempdir().unwrap();
        let local = directory.path().join("base.yaml");
        fs::write(
            &local,
            "exporters: {otlp: {headers: {api-key: local-secret}}}\n",
        )
        .unwrap();
        let site = site(directory.path(), std::slice::from_ref(&local));
        let body = "exporters: {otlp: {headers: {api-key: sent-secret}}} # as is\n";
        let content = Content::Kept(site.keep(body.as_bytes()).unwrap());
        site.put_in_force(&content).unwrap();
        let text = |map: &ConfigMap, name: &str| String::from_utf8(map[name].body.clone()).unwrap();
        let sent = site.effective(&content);
        assert_eq!(text(&sent, "config.yaml"), body);
        assert_eq!(
            text(&sent, "local/0-base.yaml"),
            "exporters: {otlp: {headers: {api-key: \"[REDACTED]\"}}}\n"
        );
        let own = site.effective_local(&content);
        assert!(!text(&own, "config.yaml").contains("sent-secret"));
    }

    #[test]
    fn one_entry_is_taken_as_it_is_and_several_are_merged() {
        assert_eq!(Offered::of(&map(&[])), Ok(Offered::Empty));
        assert_eq!(Offered::of(&map(&[("", "")])), Ok(Offered::Empty));
        assert_eq!(
            Offered::of(&map(&[("", "a: {b: 1} #x\n")])),
            Ok(Offered::Bytes(b"a: {b: 1} #x\n".to_vec()))
        );
        let Ok(Offered::Bytes(merged)) =
            Offered::of(&map(&[("2", "a: {b: 2}\n"), ("1", "a: {b: 1, c: 3}\n")]))
        else {
            panic!()
        };
        let document = Document::parse(&merged).unwrap();
        assert_eq!(document.get("a.b").and_then(|node| node.as_i64()), Some(2));
        assert_eq!(document.get("a.c").and_then(|node| node.as_i64()), Some(3));
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_place() {
        let reason = Offered::of(&map(&[("config.yaml", "receivers:\n  otlp: [\n")])).unwrap_err();
        assert!(
            reason.starts_with("config.yaml: ") && reason.contains("line"),
            "{reason}"
        );
        assert!(Offered::of(&map(&[("", "just text\n")])).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_offered_is_refused_or_can_be_read(
            bodies in proptest::collection::vec("[ab:{}\\[\\],'\"|>&*!#?.~<0-9\n -]{0,30}", 0..4),
        ) {
            let names = ["", "b", "a", "c"];
            let entries: Vec<_> = names.into_iter().zip(bodies.iter().map(String::as_str)).collect();
            match Offered::of(&map(&entries)) {
                Ok(Offered::Empty) => assert!(bodies.iter().all(String::is_empty)),
                Ok(Offered::Bytes(bytes)) => assert!(Document::parse(&bytes).is_ok()),
                Err(reason) => assert!(!reason.is_empty()),
            }
        }
    }
}
