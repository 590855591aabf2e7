//! Reasons of failures as an operator should read them: the collector's own words without its noise, secrets or excess.

/// The longest reason that is reported, in bytes.
pub const MAX_REASON_BYTES: usize = 4 * 1024;

/// A shorter value is no secret, and hiding it would spoil every other text.
const MIN_SECRET_BYTES: usize = 4;
const HIDDEN: &str = "[redacted]";

/// Parts of key names whose values are secrets.
const SECRET_NAMES: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "private_key",
    "bearer",
];

/// Takes secrets out of texts that leave the machine.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    values: Vec<String>,
}

impl Redactor {
    /// Knows the secret ones among these variables by their names.
    pub fn new<'v>(variables: impl IntoIterator<Item = (&'v str, &'v str)>) -> Self {
        let is_secret = |(name, value): &(&str, &str)| {
            is_secret_name(name) && MIN_SECRET_BYTES <= value.len() && !is_switch(value)
        };
        let mut values: Vec<String> = variables
            .into_iter()
            .filter(is_secret)
            .map(|(_, value)| value.to_owned())
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// `text` without known secrets, and without what stands behind a key that names one.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            text = text.replace(value.as_str(), HIDDEN);
        }
        let lines: Vec<String> = text.split('\n').map(redact_line).collect();
        lines.join("\n")
    }
}

/// The part of a failed call's standard error that says what is wrong.
///
/// A collector writes `Error: …` over one or more lines, and some versions the same once more as a log line.
pub fn of_failure(stderr: &str) -> String {
    let text = match stderr.find("Error: ") {
        Some(start) if start == 0 || stderr[..start].ends_with('\n') => {
            &stderr[start + "Error: ".len()..]
        }
        _ => stderr,
    };
    let lines = text
        .lines()
        .take_while(|line| !line.contains("collector server run finished with error"));
    let lines: Vec<&str> = lines
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

/// `text` cut to [`MAX_REASON_BYTES`]: the beginning and the end, which both matter.
pub fn trim(text: &str) -> String {
    let text = text.trim();
    if text.len() <= MAX_REASON_BYTES {
        return text.to_owned();
    }
    let part = MAX_REASON_BYTES / 2 - 16;
    let head = floor(text, part);
    let tail = floor(text, text.len() - part);
    format!(
        "{}\n[… {} bytes left out …]\n{}",
        &text[..head],
        tail - head,
        &text[tail..]
    )
}

fn floor(text: &str, mut index: usize) -> usize {
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// A variable such as `USE_TOKEN=true` holds no secret.
fn is_switch(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "true" | "false" | "none"
    )
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Hides the value in `key: value` and `key=value` when the key names a secret. Whatever follows on the line is hidden
/// too: where a value ends is a question of its quotes, and an error message is no place to be clever.
fn redact_line(line: &str) -> String {
    let separators = line.char_indices().filter(|(_, c)| matches!(c, ':' | '='));
    for (index, _) in separators {
        let key = line[..index].trim_end_matches(['"', '\'', ' ']);
        let start = key
            .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .map_or(0, |at| {
                at + key[at..].chars().next().map_or(1, char::len_utf8)
            });
        let rest = line[index + 1..].trim();
        if is_secret_name(&key[start..]) && !rest.is_empty() {
            return format!("{} {HIDDEN}", &line[..=index]);
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collectors_error_is_told_once() {
        let stderr = "2026-11-23\tinfo\tstarting\nError: failed to get config: cannot unmarshal:\n\n'receivers' has invalid keys: boo\n\
                      2026/11/23 00:00:00 collector server run finished with error: failed to get config\n";
        assert_eq!(
            of_failure(stderr),
            "failed to get config: cannot unmarshal:\n'receivers' has invalid keys: boo"
        );
        assert_eq!(of_failure("no such file\n"), "no such file");
        assert_eq!(of_failure(""), "");
    }

    #[test]
    fn a_long_reason_keeps_its_beginning_and_its_end() {
        let text = format!("first {} last", "ä".repeat(MAX_REASON_BYTES));
        let trimmed = trim(&text);
        assert!(trimmed.len() <= MAX_REASON_BYTES + 32);
        assert!(trimmed.starts_with("first ") && trimmed.ends_with(" last"));
        assert_eq!(trim("  short\n"), "short");
    }

    #[test]
    fn secrets_do_not_leave_the_machine() {
        let redactor = Redactor::new([
            ("API_TOKEN", "hunter22"),
            ("USE_TOKEN", "true"),
            ("HOME", "/root"),
        ]);
        assert_eq!(redactor.redact("it is true"), "it is true");
        let check = |text: &str, expected: &str| assert_eq!(redactor.redact(text), expected);
        check(
            "bad value hunter22 in /root",
            "bad value [redacted] in /root",
        );
        check(
            "headers: {authorization: Bearer x}",
            "headers: {authorization: [redacted]",
        );
        check("  api-key=abc", "  api-key= [redacted]");
        check(
            "\"password\": \"x\"\nport: 1",
            "\"password\": [redacted]\nport: 1",
        );
        check(
            "processor \"nope\" is not configured",
            "processor \"nope\" is not configured",
        );
        check("unknown key token", "unknown key token");
    }
}
