//! What is a secret: by the name of its key, or by how it looks.

use std::ops::Range;

/// Parts of names whose values are secrets, in lower case without separators.
const SECRET_PARTS: [&str; 27] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "authorization",
    "credential",
    "privatekey",
    "accesskey",
    "licensekey",
    "ingestkey",
    "ingestionkey",
    "signingkey",
    "encryptionkey",
    "sharedkey",
    "accountkey",
    "instrumentationkey",
    "writekey",
    "appkey",
    "applicationkey",
    "authkey",
    "masterkey",
    "saskey",
    "keypem",
    "connectionstring",
];
/// Whole names whose values are secrets.
const SECRET_NAMES: [&str; 7] = [
    "dsn",
    "datasource",
    "datasourcename",
    "cookie",
    "setcookie",
    "community",
    "communitystring",
];
/// Words that end in `pass` and are about no password.
const INNOCENT_PASSES: [&str; 6] = [
    "bypass",
    "compass",
    "trespass",
    "overpass",
    "underpass",
    "surpass",
];
/// How names end that speak about a secret and do not hold it: `token_url`, `password_file`.
const INNOCENT_ENDS: [&str; 31] = [
    "file",
    "files",
    "filename",
    "path",
    "paths",
    "url",
    "urls",
    "uri",
    "endpoint",
    "name",
    "names",
    "type",
    "types",
    "env",
    "ttl",
    "lifetime",
    "expiry",
    "expiration",
    "refresh",
    "timeout",
    "interval",
    "count",
    "limit",
    "size",
    "length",
    "enabled",
    "policy",
    "mode",
    "format",
    "field",
    "audience",
];

/// Whether the value of a key of this name is a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = normalised(name);
    if SECRET_NAMES.contains(&name.as_str()) {
        return true;
    }
    // `DB_PASS`, `MYSQL_PWD`.
    if name.ends_with("pwd") || name.ends_with("pass") {
        return !INNOCENT_PASSES.iter().any(|word| name.ends_with(word));
    }
    let innocent =
        name.starts_with("tokenizer") || INNOCENT_ENDS.iter().any(|end| name.ends_with(end));
    !innocent && SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// Whether a value of this name may be a secret where nothing says what it is for.
pub(crate) fn is_suspect(name: &str) -> bool {
    const PARTS: [&str; 7] = ["key", "auth", "header", "cred", "secret", "token", "pass"];
    let name = normalised(name);
    PARTS.iter().any(|part| name.contains(part))
}

/// Whether a key of this name holds HTTP or gRPC headers, any of which may be a credential.
pub(crate) fn is_headers_name(name: &str) -> bool {
    normalised(name).ends_with("headers")
}

/// Whether the value of a key of this name is a secret below a key of that one, as in Datadog's `api: {key: …}`.
pub(crate) fn is_secret_below(outer: &str, name: &str) -> bool {
    normalised(outer) == "api" && normalised(name) == "key"
}

fn normalised(name: &str) -> String {
    // No name that matters is longer; a text of a megabyte in a key's place is not worth looking at.
    let letters = name
        .chars()
        .take(256)
        .filter(|c| !matches!(c, '_' | '-' | '.' | ' ' | ':'));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a text has nothing secret in itself: references the Collector resolves, and a scheme before them.
pub(crate) fn is_reference(text: &str) -> bool {
    let mut rest = text.trim();
    for scheme in ["Bearer ", "Basic ", "Token ", "ApiKey "] {
        if rest
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        {
            rest = rest[scheme.len()..].trim_start();
        }
    }
    if rest.is_empty() {
        return true;
    }
    while let Some(inner) = rest.strip_prefix("${") {
        let Some((name, after)) = inner.split_once('}') else {
            return false;
        };
        if !names_something(name) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// Whether what stands between `${` and `}` says where a value is. Other schemes than these, `yaml:` above all, may be
/// followed by the value itself.
fn names_something(name: &str) -> bool {
    let (name, default) = name.split_once(":-").unwrap_or((name, ""));
    // A default is written right here, so it is as secret as the value.
    if !default.is_empty() || name.contains("${") {
        return false;
    }
    let is_bare = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    name.starts_with("env:") || name.starts_with("file:") || is_bare(name)
}

/// Whether a text holds a private key.
pub(crate) fn holds_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

/// Whether a text is an address with a password in it: `amqp://user:password@host`, `sb://host;SharedAccessKey=…`.
pub(crate) fn in_address(text: &str) -> bool {
    let mut addresses = text.lines().filter(|line| line.contains("://"));
    addresses.any(|line| !inside(line, Extent::Word).is_empty())
}

/// How far the value of an assignment goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// To the next blank or separator, as in `user=a password=b`.
    Word,
    /// To the end of the line, as in a properties file.
    Line,
}

/// The secrets inside of a text of one line: assignments to secret names, bearer tokens, passwords in URLs.
///
/// Ranges are in order and do not overlap.
pub(crate) fn inside(line: &str, extent: Extent) -> Vec<Range<usize>> {
    let mut found = assignments(line, extent);
    found.extend(after_schemes(line));
    found.extend(in_urls(line));
    found.retain(|range| !is_reference(line[range.clone()].trim_matches(['"', '\''])));
    found.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

fn assignments(line: &str, extent: Extent) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = line[from..].find([':', '=']).map(|offset| from + offset) {
        let name = name_before(line, at);
        from = at + 1;
        let is_operator =
            line[from..].starts_with(['=', '/']) || line[..at].ends_with(['=', '!', '<', '>']);
        if is_operator || !is_secret_name(name) {
            continue;
        }
        let value = value_after(line, from, extent);
        from = value.end.max(from);
        if !value.is_empty() {
            found.push(value);
        }
    }
    found
}

/// The name that an assignment at this place is for, without quotes.
fn name_before(line: &str, at: usize) -> &str {
    let before = line[..at].trim_end().trim_end_matches(['"', '\'']);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start = before
        .char_indices()
        .rev()
        .take(256)
        .take_while(|(_, c)| is_part(*c))
        .last();
    start.map_or("", |(start, _)| &before[start..])
}

fn value_after(line: &str, from: usize, extent: Extent) -> Range<usize> {
    let rest = &line[from..];
    let start = from + rest.len() - rest.trim_start().len();
    let value = &line[start..];
    let length = match (extent, value.chars().next()) {
        (Extent::Line, _) => value.trim_end().len(),
        (Extent::Word, Some(quote @ ('"' | '\''))) => {
            value[1..].find(quote).map_or(value.len(), |end| end + 2)
        }
        (Extent::Word, _) => {
            let is_end = |c: char| {
                c.is_whitespace() || matches!(c, ';' | '&' | ',' | ')' | ']' | '"' | '\'')
            };
            value.find(is_end).unwrap_or(value.len())
        }
    };
    start..start + length
}

/// The credentials in `Bearer …` and `Basic …`.
fn after_schemes(line: &str) -> Vec<Range<usize>> {
    const SHORTEST: usize = 8;
    let lower = line.to_ascii_lowercase();
    let is_part = |c: &char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '+' | '/' | '=' | '-')
    };
    let mut found = Vec::new();
    for scheme in ["bearer ", "basic "] {
        for (at, _) in lower.match_indices(scheme) {
            let start = at + scheme.len();
            let length: usize = line[start..].chars().take_while(is_part).count();
            if SHORTEST <= length {
                found.push(start..start + length);
            }
        }
    }
    found
}

/// How deep references in an address are followed. Nobody writes so many, and a text of open braces would be read to its end
/// from each of them.
const MOST_BRACES: usize = 16;

/// The passwords in `scheme://user:password@host`.
fn in_urls(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, separator) in line.match_indices("://") {
        let start = at + separator.len();
        let mut depth = 0_usize;
        let mut colon = None;
        let mut password = None;
        for (offset, c) in line[start..].char_indices() {
            match c {
                '{' if depth == MOST_BRACES => break,
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ if 0 < depth => {}
                ':' if colon.is_none() => colon = Some(start + offset + 1),
                // Passwords with an `@` in them are taken as they are by many.
                '@' => password = colon.map(|colon| colon..start + offset),
                '/' | '?' | '#' | '"' | '\'' => break,
                c if c.is_whitespace() => break,
                _ => {}
            }
        }
        found.extend(password.filter(|password| !password.is_empty()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in [
            "password",
            "auth_password",
            "client_secret",
            "token",
            "tokens",
            "api_key",
            "apiKey",
            "x-api-key",
            "Authorization",
            "private_key",
            "secret_access_key",
            "license_key",
            "connection_string",
            "dsn",
            "key_pem",
            "bearer-token",
            "pass",
            "DB_PASS",
            "MYSQL_PWD",
            "api::key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "key",
            "key_file",
            "password_file",
            "token_url",
            "secret_name",
            "endpoint",
            "user",
            "tokenizer",
            "token_type",
            "routing_key",
            "cert_pem",
            "client_id",
            "",
            "passthrough",
            "bypass",
            "compass",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(
            is_headers_name("headers")
                && is_headers_name("extra_headers")
                && !is_headers_name("header")
        );
    }

    #[test]
    fn references_are_no_secrets() {
        for text in [
            "${env:TOKEN}",
            "Bearer ${env:TOKEN}",
            "${file:/a}${env:B}",
            "${env:A:-}",
            "${TOKEN}",
            "",
        ] {
            assert!(is_reference(text), "{text}");
        }
        for text in [
            "x",
            "${env:A:-s3cret}",
            "${env:A}x",
            "Bearer abc",
            "${",
            "$${env:A}",
            "${env:${x}}",
            "${yaml:hunter2}",
            "${hunter 2}",
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn secrets_inside_of_a_line() {
        let check = |line: &str, extent, expected: &[&str]| {
            let found: Vec<&str> = inside(line, extent)
                .into_iter()
                .map(|range| &line[range])
                .collect();
            assert_eq!(found, expected, "{line}");
        };
        check("host=a password=b c", Extent::Word, &["b"]);
        check("host=a password = b c", Extent::Line, &["b c"]);
        check(
            r#"{"password": "a b", "x": 1}"#,
            Extent::Word,
            &[r#""a b""#],
        );
        check(
            "Authorization: Bearer abcdefghij",
            Extent::Line,
            &["Bearer abcdefghij"],
        );
        check("x: BEARER abcdefghij.kl", Extent::Word, &["abcdefghij.kl"]);
        check(
            "https://user:pw@host/p?token=abc&x=1",
            Extent::Word,
            &["pw", "abc"],
        );
        check(
            "https://user:${env:PW}@host https://${env:U}:p@host",
            Extent::Word,
            &["p"],
        );
        check(
            "postgres://u:p@ss@host/d https://me@host:1 http://a:b@c:d",
            Extent::Word,
            &["p@ss", "b"],
        );
        check(
            "password=${env:PW} token == 'a' token://x",
            Extent::Word,
            &[],
        );
        check("token: über;password:ß", Extent::Word, &["über", "ß"]);
        check("password=", Extent::Word, &[]);
        check("https://host:4317/a@b", Extent::Word, &[]);
    }
}
