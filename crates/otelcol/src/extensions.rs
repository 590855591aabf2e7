//! What a supervisor needs to know of a collector's extensions.

use crate::document::Document;
use crate::tree::{Map, Node};

/// An extension that the service starts.
#[derive(Debug, Clone, Copy)]
pub struct Extension<'a> {
    /// Its whole id, such as `health_check/local`.
    pub id: &'a str,
    /// Its settings; none where it has only defaults.
    pub settings: Option<&'a Map>,
}

/// Where the health of a collector can be asked for.
///
/// Texts are as written: they may still have `${env:…}` in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The extension's whole id.
    pub id: String,
    /// Host and port.
    pub endpoint: String,
    /// The path of the plain answer.
    pub path: String,
    /// Whether it gives the status of every component (`/status?verbose`).
    pub per_component: bool,
}

impl Document {
    /// The first extension of a type that `service::extensions` starts.
    pub fn extension<'a>(&'a self, kind: &str) -> Option<Extension<'a>> {
        let started = self
            .root()
            .get("service")?
            .as_map()?
            .get("extensions")?
            .as_list()?;
        let id = started
            .iter()
            .filter_map(Node::as_str)
            .find(|id| type_of(id) == kind)?;
        let defined = self.root().get("extensions").and_then(Node::as_map);
        let settings = defined.and_then(|all| all.get(id)).and_then(Node::as_map);
        Some(Extension { id, settings })
    }

    /// The health check extension that the service starts, with its defaults filled in.
    pub fn health_check(&self) -> Option<HealthCheck> {
        let extension = self
            .extension("health_check")
            .or_else(|| self.extension("healthcheckv2"))?;
        let per_component = extension.flag("use_v2");
        let http = extension
            .settings
            .and_then(|all| all.get("http"))
            .and_then(Node::as_map);
        let settings = if per_component {
            http.or(extension.settings)
        } else {
            extension.settings
        };
        let text = |key: &str| settings.and_then(|all| all.get(key)).and_then(Node::as_str);
        let path = match (per_component, http) {
            (true, Some(http)) => {
                let status = http.get("status").and_then(Node::as_map);
                status
                    .and_then(|status| status.get("path"))
                    .and_then(Node::as_str)
                    .unwrap_or("/status")
            }
            _ => text("path").unwrap_or(if per_component { "/status" } else { "/" }),
        };
        Some(HealthCheck {
            id: extension.id.to_owned(),
            endpoint: text("endpoint").unwrap_or("localhost:13133").to_owned(),
            path: path.to_owned(),
            per_component,
        })
    }
}

impl Extension<'_> {
    fn flag(&self, key: &str) -> bool {
        self.settings
            .and_then(|all| all.get(key))
            .and_then(Node::as_bool)
            .unwrap_or(false)
    }
}

/// `health_check` of `health_check/local`.
fn type_of(id: &str) -> &str {
    id.split_once('/').map_or(id, |(kind, _)| kind).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health_check(text: &str) -> Option<HealthCheck> {
        Document::parse(text.as_bytes()).unwrap().health_check()
    }

    #[test]
    fn only_what_the_service_starts_counts() {
        assert_eq!(
            health_check("extensions: {health_check: {}}\nservice: {extensions: [opamp]}"),
            None
        );
        assert_eq!(health_check("receivers: {}"), None);
    }

    #[test]
    fn defaults_are_filled_in() {
        let found = health_check(
            "extensions:\n  health_check/x:\nservice: {extensions: [opamp, health_check/x]}",
        )
        .unwrap();
        assert_eq!(found.id, "health_check/x");
        assert_eq!(
            (&*found.endpoint, &*found.path, found.per_component),
            ("localhost:13133", "/", false)
        );
    }

    #[test]
    fn settings_are_read() {
        let found = health_check(
            "extensions: {health_check: {endpoint: '${env:HOST}:1', path: /h}}\nservice: {extensions: [health_check]}",
        )
        .unwrap();
        assert_eq!((&*found.endpoint, &*found.path), ("${env:HOST}:1", "/h"));

        let found = health_check(
            "extensions:\n  health_check:\n    use_v2: true\n    http: {endpoint: a:1, status: {path: /s}}\n\
             service: {extensions: [health_check]}",
        )
        .unwrap();
        assert_eq!(
            (&*found.endpoint, &*found.path, found.per_component),
            ("a:1", "/s", true)
        );
    }
}
