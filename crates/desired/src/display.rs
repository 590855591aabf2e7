//! Configurations as they may be shown: without the secrets in them.

use domain::model::{ConfigFile, ConfigMap};

/// The files with every secret in them replaced, structure and formatting as they were.
///
/// Bytes that are not UTF-8 are shown with replacement characters.
pub fn redacted(files: &ConfigMap) -> ConfigMap {
    let one = |(name, file): (&String, &ConfigFile)| {
        let body = otelcol::redact(&text(Some(file)));
        (name.clone(), ConfigFile::new(body, &*file.content_type))
    };
    files.iter().map(one).collect()
}

/// Two texts to be compared: secrets are replaced in both, and those that differ stay different.
pub fn redacted_pair(before: &ConfigFile, after: &ConfigFile) -> (String, String) {
    otelcol::redact_pair(&text(Some(before)), &text(Some(after)))
}

/// The body of a set of variables with every secret in it replaced, structure and formatting as they were.
pub fn redacted_variables(body: &[u8]) -> String {
    otelcol::redact_variables(&String::from_utf8_lossy(body))
}

/// [`redacted_pair`] for bodies of sets of variables.
pub fn redacted_variables_pair(before: &ConfigFile, after: &ConfigFile) -> (String, String) {
    otelcol::redact_variables_pair(&text(Some(before)), &text(Some(after)))
}

fn text(file: Option<&ConfigFile>) -> String {
    file.map(|file| String::from_utf8_lossy(&file.body).into_owned())
        .unwrap_or_default()
}
