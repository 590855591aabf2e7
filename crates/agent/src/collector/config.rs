//! The few things that the agent itself needs to know of a configuration; all else is the collector's affair.

use otelcol::{Document, Node};

/// What the agent reads out of the configurations that a collector runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigFacts {
    /// Where the collector answers for its health, if it does.
    pub health: Option<HealthEndpoint>,
    /// Whether the collector says on standard error that it is ready.
    pub says_ready: bool,
    /// Whether the configuration itself says which instance its own telemetry comes from: by name, or in the
    /// declarative form that does not merge with a name.
    pub names_instance: bool,
}

/// An endpoint of a health extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEndpoint {
    /// The URL to ask.
    pub url: String,
    /// Whether the answer is a tree of components' states.
    pub is_detailed: bool,
}

impl ConfigFacts {
    /// The facts of a collector that gets `documents`, the later winning, where variables have the values of `variable`.
    /// What cannot be read is taken as absent.
    pub fn of(documents: &[Vec<u8>], variable: impl Fn(&str) -> Option<String>) -> Self {
        let readable = documents
            .iter()
            .filter_map(|bytes| Document::parse(bytes).ok());
        let merged = otelcol::merge(readable).document;
        Self {
            health: health_endpoint(&merged, &variable),
            says_ready: says_ready(&merged, &variable),
            names_instance: names_instance(&merged),
        }
    }
}

fn names_instance(document: &Document) -> bool {
    let Some(resource) = document
        .get("service.telemetry.resource")
        .and_then(Node::as_map)
    else {
        return false;
    };
    resource.get("service.instance.id").is_some()
        || resource
            .get("attributes")
            .is_some_and(|node| node.as_list().is_some())
}

fn says_ready(document: &Document, variable: &impl Fn(&str) -> Option<String>) -> bool {
    // A part that comes from elsewhere (`service: ${file:…}`) may say anything.
    let is_elsewhere = |path: &&str| {
        document
            .get(path)
            .and_then(Node::as_str)
            .is_some_and(|text| text.contains("${"))
    };
    let parts = [
        "service",
        "service.telemetry",
        "service.telemetry.logs",
        "service.telemetry.logs.output_paths",
    ];
    if parts.iter().any(is_elsewhere) {
        return false;
    }
    let level = document
        .get("service.telemetry.logs.level")
        .and_then(Node::as_str)
        .unwrap_or("info");
    let level = expand(level, variable)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let outputs = document
        .get("service.telemetry.logs.output_paths")
        .and_then(Node::as_list);
    let is_seen = outputs.is_none_or(|paths| {
        paths
            .iter()
            .any(|path| matches!(path.as_str(), Some("stderr" | "stdout")))
    });
    matches!(level.as_str(), "info" | "debug") && is_seen
}

fn health_endpoint(
    document: &Document,
    variable: &impl Fn(&str) -> Option<String>,
) -> Option<HealthEndpoint> {
    let check = document.health_check()?;
    let setting = |key: &str| document.get(&format!("extensions::{}::{key}", check.id));
    if setting("tls")
        .or_else(|| setting("http::tls"))
        .is_some_and(|tls| !tls.is_null())
    {
        return None;
    }
    let address = reachable(&expand(&check.endpoint, variable)?);
    let query = if check.per_component { "?verbose" } else { "" };
    Some(HealthEndpoint {
        url: format!("http://{address}{}{query}", check.path),
        is_detailed: check.per_component,
    })
}

/// The address to call for a server that listens on `endpoint`.
fn reachable(endpoint: &str) -> String {
    match endpoint.rsplit_once(':') {
        Some(("0.0.0.0" | "", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => endpoint.to_owned(),
    }
}

/// `text` with `${env:NAME}`, `${env:NAME:-default}` and `${NAME}` replaced; nothing where that is not all there is.
fn expand(text: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = text;
    // A loop: who writes configurations may repeat references until a recursion has no stack left.
    while let Some((before, reference)) = rest.split_once("${") {
        let (reference, after) = reference.split_once('}')?;
        let reference = reference.strip_prefix("env:").unwrap_or(reference);
        let (name, default) = reference
            .split_once(":-")
            .map_or((reference, None), |(name, default)| (name, Some(default)));
        let value = variable(name).or_else(|| default.map(str::to_owned))?;
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = after;
    }
    expanded.push_str(rest);
    Some(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(documents: &[&str]) -> ConfigFacts {
        let documents: Vec<Vec<u8>> = documents
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        ConfigFacts::of(&documents, |name| (name == "PORT").then(|| "77".to_owned()))
    }

    fn url(document: &str) -> Option<String> {
        of(&[document]).health.map(|endpoint| endpoint.url)
    }

    #[test]
    fn the_health_endpoint_is_found_only_where_the_extension_is_in_use() {
        let used = "service: {extensions: [zpages, health_check]}\n";
        assert_eq!(url(used).as_deref(), Some("http://localhost:13133/"));
        assert_eq!(url("extensions: {health_check: {}}\n"), None);
        let address = |value: &str| {
            url(&format!(
                "extensions: {{health_check: {{endpoint: '{value}', path: /up}}}}\n{used}"
            ))
        };
        assert_eq!(
            address("0.0.0.0:1").as_deref(),
            Some("http://127.0.0.1:1/up")
        );
        assert_eq!(address("[::]:1").as_deref(), Some("http://[::1]:1/up"));
        assert_eq!(
            address("${env:HOST:-box}:${PORT}").as_deref(),
            Some("http://box:77/up")
        );
        assert_eq!(address("${file:/etc/x}:1"), None);
        assert_eq!(
            url(&format!(
                "extensions: {{health_check: {{tls: {{cert_file: x}}}}}}\n{used}"
            )),
            None
        );
    }

    #[test]
    fn the_second_version_tells_of_components() {
        let document = "extensions: {health_check/a.b: {use_v2: true, http: {endpoint: 'localhost:9', status: {path: /s}}}}\n\
                        service: {extensions: [health_check/a.b]}\n";
        assert_eq!(
            of(&[document]).health,
            Some(HealthEndpoint {
                url: "http://localhost:9/s?verbose".to_owned(),
                is_detailed: true
            })
        );
    }

    #[test]
    fn the_later_document_wins() {
        let facts = of(&[
            "service: {extensions: [health_check]}\n",
            "extensions: {health_check: {endpoint: 'localhost:2'}}\n",
        ]);
        assert_eq!(
            facts.health.map(|endpoint| endpoint.url).as_deref(),
            Some("http://localhost:2/")
        );
        assert_eq!(
            of(&[
                "service: {extensions: [health_check]}\n",
                "service: {extensions: []}\n"
            ])
            .health,
            None
        );
    }

    #[test]
    fn a_quiet_collector_is_not_waited_for() {
        assert!(of(&["receivers: {}\n"]).says_ready);
        assert!(!of(&["service: {telemetry: {logs: {level: warn}}}\n"]).says_ready);
        assert!(!of(&["service: {telemetry: {logs: {output_paths: [/var/log/x]}}}\n"]).says_ready);
        assert!(!of(&["service: '${file:/etc/service.yaml}'\n"]).says_ready);
        assert!(!of(&["service: {telemetry: {logs: {level: '${file:/x}'}}}\n"]).says_ready);
        assert!(of(&["service: {telemetry: {logs: {level: '${env:LEVEL:-info}'}}}\n"]).says_ready);
        assert!(
            of(&["service: {telemetry: {logs: {level: INFO, output_paths: [stderr]}}}\n"])
                .says_ready
        );
    }

    #[test]
    fn garbage_has_no_facts() {
        assert_eq!(
            of(&["a: [\n", "\u{0}"]),
            ConfigFacts {
                says_ready: true,
                ..ConfigFacts::default()
            }
        );
    }

    #[test]
    fn references_without_end_are_read_to_their_end() {
        let level = format!("{}info", "${A:-}".repeat(200_000));
        let facts = of(&[&format!(
            "service: {{telemetry: {{logs: {{level: '{level}'}}}}}}\n"
        )]);
        assert!(facts.says_ready);
    }

    proptest::proptest! {
        #[test]
        fn any_endpoint_is_taken_or_left_alone(endpoint in r"(\$\{|\}|env:|:-|PORT|A|:|[a-z0-9.\[\]]){0,12}") {
            let used = "service: {extensions: [health_check]}\n";
            let url = url(&format!("extensions: {{health_check: {{endpoint: '{endpoint}'}}}}\n{used}"));
            proptest::prop_assert!(url.is_none_or(|url| url.starts_with("http://")));
        }
    }
}
