//! Single settings: transport without TLS, secrets in the text, variables that nobody sets.

use std::collections::BTreeSet;

use super::{Code, Findings, Surroundings};
use crate::component::Kind;
use crate::document::Document;
use crate::secrets;
use crate::service::Place;
use crate::tree::{Content, Map, Node, Path, Scalar, Step, Typed};

pub(super) fn check(document: &Document, around: &Surroundings<'_>, findings: &mut Findings) {
    let mut walk = Walk {
        around,
        findings,
        path: Path::root(),
        is_secret: false,
        dials: false,
        leaves_the_machine: false,
    };
    for entry in document.root().iter() {
        let section = entry.key.name();
        walk.dials = section != Kind::Processor.section();
        walk.leaves_the_machine = [Kind::Exporter, Kind::Extension]
            .iter()
            .any(|kind| kind.section() == section);
        walk.entry(section, &entry.value, "");
    }
}

struct Walk<'a, 'f> {
    around: &'a Surroundings<'a>,
    findings: &'f mut Findings,
    path: Path,
    /// Whether a key on the way names a secret, or headers.
    is_secret: bool,
    /// Whether addresses are for dialing in this section; in processors they are patterns and examples.
    dials: bool,
    /// Whether this section sends telemetry to others.
    leaves_the_machine: bool,
}

impl Walk<'_, '_> {
    fn entry(&mut self, name: &str, node: &Node, outer: &str) {
        let was_secret = self.is_secret;
        // The ids of components are names that people choose: `exporters: {tokens: …}` is no secret.
        let is_chosen = self.path.steps().len() < 2;
        self.is_secret |= !is_chosen
            && (secrets::is_secret_name(name)
                || secrets::is_headers_name(name)
                || secrets::is_secret_below(outer, name));
        self.path.push(Step::Key(name.into()));
        self.node(name, node);
        self.path.pop();
        self.is_secret = was_secret;
    }

    fn node(&mut self, name: &str, node: &Node) {
        match &node.content {
            Content::Scalar(scalar) => self.scalar(name, node, scalar),
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    self.node(name, item);
                    self.path.pop();
                }
            }
            Content::Map(map) => {
                self.transport(map);
                for entry in map.iter() {
                    self.entry(entry.key.name(), &entry.value, name);
                }
            }
        }
    }

    fn scalar(&mut self, name: &str, node: &Node, scalar: &Scalar) {
        let text = scalar.text();
        let is_value = !matches!(scalar.typed(), Typed::Null | Typed::Bool(_));
        let is_plaintext = is_value && self.is_secret && !secrets::is_reference(text)
            || self.dials && secrets::in_address(text);
        if is_plaintext || secrets::holds_private_key(text) {
            self.add(
                Code::PlaintextSecret,
                node,
                format!("the secret of \"{name}\" stands in the text"),
                "put it where the collector runs and refer to it, such as ${env:NAME} or ${file:/path}",
            );
        }
        let Some(known) = self.around.variables else {
            return;
        };
        // A text may name the same one often.
        let unset = variables(text).filter(|variable| !known.contains(*variable));
        for variable in unset.collect::<BTreeSet<_>>() {
            let message = format!("the variable {variable} is not set, and has no default");
            let advice = format!("set it, or write ${{env:{variable}:-default}}");
            self.add(Code::UnsetVariable, node, message, advice);
        }
    }

    /// A map that says where to dial, and how.
    fn transport(&mut self, map: &Map) {
        if !self.leaves_the_machine {
            return;
        }
        let off = map.get("tls").and_then(Node::as_map).and_then(|tls| {
            ["insecure", "insecure_skip_verify"]
                .into_iter()
                .find(|key| tls.get(key).and_then(Node::as_bool) == Some(true))
        });
        let mut remote = addresses(map).filter(|(_, text)| is_remote(text));
        let (found, message) = match off {
            Some("insecure") => (remote.next(), "data leaves the machine without TLS"),
            Some(_) => (
                remote.next(),
                "data leaves the machine to whoever answers: certificates are not verified",
            ),
            None => (
                remote.find(|(_, text)| is_clear(text)),
                "data leaves the machine without TLS",
            ),
        };
        let Some((endpoint, _)) = found else { return };
        let advice =
            "use TLS with a ca_file that vouches for the other end, or an endpoint on this machine";
        self.add(Code::InsecureTransport, endpoint, message, advice);
    }

    fn add(
        &mut self,
        code: Code,
        node: &Node,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        // Ways can be long, and this is asked for every value.
        if self.findings.wants(code, node.origin) {
            let path = self.path.clone();
            let origin = node.origin;
            self.findings
                .add(code, &Place { path, origin }, message, advice);
        }
    }
}

/// The addresses that a map says to dial, in its keys and in lists behind them.
fn addresses(map: &Map) -> impl Iterator<Item = (&Node, &str)> {
    map.iter()
        .filter(|entry| names_addresses(entry.key.name()))
        .flat_map(|entry| match &entry.value.content {
            Content::List(items) => items.iter(),
            _ => std::slice::from_ref(&entry.value).iter(),
        })
        .filter_map(|node| Some((node, node.as_str()?)))
}

fn names_addresses(name: &str) -> bool {
    ["endpoint", "endpoints", "url"].contains(&name)
        || name.ends_with("_endpoint")
        || name.ends_with("_url")
}

fn is_clear(endpoint: &str) -> bool {
    endpoint.starts_with("http://") || endpoint.starts_with("ws://")
}

/// Whether an endpoint is on another machine; what only the Collector can resolve is not.
fn is_remote(endpoint: &str) -> bool {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    if rest.is_empty()
        || rest.contains("${")
        || endpoint.starts_with("unix:")
        || rest.starts_with('/')
    {
        return false;
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[') {
        Some(ipv6) => ipv6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_local = host.is_empty()
        || host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    !is_local
}

/// The environment variables that a text refers to without a default; `$${…}` is a dollar and a brace.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let dollar = rest.find('$')?;
            let after = &rest[dollar + 1..];
            if let Some(escaped) = after.strip_prefix('$') {
                rest = escaped;
                continue;
            }
            let Some(inner) = after.strip_prefix('{') else {
                rest = after;
                continue;
            };
            // A reference inside of it is found next.
            let end = inner.find(['}', '$']).unwrap_or(inner.len());
            let reference = &inner[..end];
            rest = &inner[end..];
            let name = reference.strip_prefix("env:").unwrap_or(reference);
            let is_name = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if is_name && rest.starts_with('}') {
                return Some(name);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_on_other_machines() {
        for remote in [
            "a.example:4317",
            "https://a.example/v1",
            "10.0.0.1:1",
            "[2001:db8::1]:1",
            "http://u@h:1",
        ] {
            assert!(is_remote(remote), "{remote}");
        }
        for local in [
            "localhost:1",
            "127.0.0.2:1",
            "[::1]:4317",
            "0.0.0.0:1",
            "unix:///x",
            "${env:H}:1",
            ":4317",
            "/x",
            "",
        ] {
            assert!(!is_remote(local), "{local}");
        }
    }

    #[test]
    fn variables_without_a_default() {
        let found: Vec<&str> =
            variables("${env:A} ${B} $${C} ${D:-x} ${file:/e} $F ${env:G:-${H}} ${env:").collect();
        assert_eq!(found, ["A", "B", "H"]);
    }
}
