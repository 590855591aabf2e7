//! What may be shown of a configuration, and what must never be.

use otelcol::{redact, redact_pair};

/// Everything that begins with `SECRET` must be gone, everything else must stay.
fn check(text: &str, expected: &str) {
    let shown = redact(text);
    assert!(!shown.contains("SECRET"), "{shown}");
    assert_eq!(shown, expected);
}

#[test]
fn secrets_by_name_of_key() {
    check(
        "exporters:\n  otlp:\n    endpoint: h:1 # where\n    token: SECRET\n    api_key:   'SECRET'   # why\n    tls: {key_file: /a, key_pem: \"SECRET\"}\n",
        "exporters:\n  otlp:\n    endpoint: h:1 # where\n    token: \"[REDACTED]\"\n    api_key:   \"[REDACTED]\"   # why\n    tls: {key_file: /a, key_pem: \"[REDACTED]\"}\n",
    );
    check(
        "exporters:\n  datadog:\n    api: {site: s, key: SECRET}\n  b: {api::key: SECRET, key: k}\n",
        "exporters:\n  datadog:\n    api: {site: s, key: \"[REDACTED]\"}\n  b: {api::key: \"[REDACTED]\", key: k}\n",
    );
    check(
        "password: ${yaml:SECRET}\nMYSQL_PWD: SECRET\nbypass: x\n",
        "password: \"[REDACTED]\"\nMYSQL_PWD: \"[REDACTED]\"\nbypass: x\n",
    );
    check("password: 12345678\n", "password: \"[REDACTED]\"\n");
    check(
        "tokens: [SECRET1, {a: SECRET2}]\n",
        "tokens: [\"[REDACTED]\", {a: \"[REDACTED]\"}]\n",
    );
    check(
        "credentials:\n  user: SECRET\n",
        "credentials:\n  user: \"[REDACTED]\"\n",
    );
    check(
        "a:\n  password: !!str SECRET\n",
        "a:\n  password: !!str \"[REDACTED]\"\n",
    );
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "token: ${env:TOKEN}\npassword: ''\nsecret:\ntoken_url: https://h/t\ninclude_token: true\n",
        "authorization: \"Bearer ${env:TOKEN}\"\n",
        "extensions:\n  bearertokenauth:\n    scheme: Bearer\n    filename: /x\nservice: {extensions: [bearertokenauth]}\n",
        "receivers: {filelog: {include: [/var/log/*.log], start_at: end}}\n",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn headers_in_all_their_forms() {
    check(
        "headers: {X-Scope: SECRET, b: [SECRET]}\n",
        "headers: {X-Scope: \"[REDACTED]\", b: [\"[REDACTED]\"]}\n",
    );
    check(
        "headers:\n  - {name: X-Scope, value: SECRET}\n  - action: insert\n    key: a\n    value: SECRET\n  - plain-name\n  - 'a: SECRET'\n",
        "headers:\n  - {name: X-Scope, value: \"[REDACTED]\"}\n  - action: insert\n    key: a\n    value: \"[REDACTED]\"\n  - plain-name\n  - \"[REDACTED]\"\n",
    );
    check(
        "env:\n  - {name: DB_PASSWORD, value: SECRET}\n  - {value: SECRET, key: api_key}\n  - {name: HOME, value: /root}\n",
        "env:\n  - {name: DB_PASSWORD, value: \"[REDACTED]\"}\n  - {value: \"[REDACTED]\", key: api_key}\n  - {name: HOME, value: /root}\n",
    );
}

#[test]
fn what_a_name_beside_it_makes_a_secret() {
    check(
        "x: &x SECRET\na: {key: password, value: *x}\n",
        "x: &x \"[REDACTED]\"\na: {key: password, value: *x}\n",
    );
    check(
        "a: {key: password, value: [SECRET, {b: SECRET}]}\nb:\n  value:\n    c: SECRET\n  name: token\n",
        "a: {key: password, value: [\"[REDACTED]\", {b: \"[REDACTED]\"}]}\nb:\n  value:\n    c: \"[REDACTED]\"\n  name: token\n",
    );
}

#[test]
fn what_is_below_a_secret_key_is_hidden_after_an_error_too() {
    for text in [
        "headers:\n  X-A: SECRET\n  X-B: 'SECRET\n  X-C: SECRET\nb: 1\n",
        "a:\n  headers:\n    X-A: SECRET\n    X-B: ]\n    X-C: SECRET\nb: 1\n",
        "a:\n  headers:\n  - name: a\n    value: SECRET\n    b: }\n  - c: SECRET\nb: 1\n",
        "tokens:\n  a: {b: SECRET]\n  c: SECRET\nb: 1\n",
        "a:\n  headers: 'SECRET\n    SECRET\nb: 1\n",
        "a:\n  password: 'SECRET\n    SECRET\nb: 1\n",
        "a:\n  headers: {X-A: SECRET,\n    X-B: SECRET\n  X-C: SECRET\n",
        "a: ]\napi:\n  site: x\n  key: SECRET\nb: 1\n",
    ] {
        let shown = redact(text);
        assert!(!shown.contains("SECRET"), "{text}\n{shown}");
        assert_eq!(shown.contains("b: 1"), text.contains("b: 1"), "{shown}");
    }
}

#[test]
fn block_scalars_and_texts_of_several_lines() {
    check(
        "private_key: |\n  SECRET\n  SECRET\nb: >-\n  x\nc:\n  token: 'SECRET\n    SECRET'\n",
        "private_key: |\n  [REDACTED]\nb: >-\n  x\nc:\n  token: \"[REDACTED]\"\n",
    );
    check(
        "cert: |\n  -----BEGIN PRIVATE KEY-----\n  SECRET\n  -----END PRIVATE KEY-----\nb: 1\n",
        "cert: |\n  [REDACTED]\nb: 1\n",
    );
    check(
        "config: |\n  user = me\n  password = SECRET and more\n  auth:\n    token: SECRET\n  x: 1\n",
        "config: |\n  user = me\n  password = ***\n  auth:\n    token: ***\n  x: 1\n",
    );
}

#[test]
fn secrets_inside_of_values_and_comments() {
    check(
        "endpoint: https://user:SECRET@host/x?token=SECRET&a=b\nargs: [--password=SECRET, -v]\nx: Bearer SECRET01 # token: SECRET\n# password: SECRET\ny: 1\n",
        "endpoint: https://user:***@host/x?token=***&a=b\nargs: [--password=***, -v]\nx: Bearer *** # token: ***\n# password: ***\ny: 1\n",
    );
}

#[test]
fn aliases_and_what_yields_to_others() {
    check(
        "a: &a SECRET\nb: {password: *a}\n",
        "a: &a \"[REDACTED]\"\nb: {password: *a}\n",
    );
    check(
        "a: &a {x: [SECRET]}\nheaders: *a\n",
        "a: &a {x: [\"[REDACTED]\"]}\nheaders: *a\n",
    );
    // An alias of what holds an alias.
    check(
        "a: &a SECRET\nb: &b [*a]\npassword: *b\nc: {headers: [*b, *a]}\n",
        "a: &a \"[REDACTED]\"\nb: &b [*a]\npassword: *b\nc: {headers: [*b, *a]}\n",
    );
    check(
        "a: {<<: {password: SECRET}, password: SECRET}\n",
        "a: {<<: {password: \"[REDACTED]\"}, password: \"[REDACTED]\"}\n",
    );
    check(
        "a: 1\n---\npassword: SECRET\n",
        "a: 1\n---\npassword: \"[REDACTED]\"\n",
    );
    check(
        "a: &k token\nb: {*k : SECRET}\n",
        "a: &k token\nb: {*k : \"[REDACTED]\"}\n",
    );
}

#[test]
fn what_is_no_yaml_is_safe_to_show_too() {
    check(
        "a: 1\npassword: 'SECRET\nb: [1\n",
        "a: 1\npassword: ***\nb: [1\n",
    );
    check(
        "a: ]\npassword:\n  SECRET\n  SECRET\nb: 1\n",
        "a: ]\npassword:\n  ***\n  ***\nb: 1\n",
    );
    check(
        "\tx: 1\n\ttoken: SECRET\n",
        "\tx: 1\n\ttoken: \"[REDACTED]\"\n",
    );
    check("password=SECRET\nuser=me\n", "password=***\nuser=me\n");
    check(
        "[OUTPUT]\n    Name http\n    HTTP_User me\n    HTTP_Passwd SECRET\n    Header Authorization Bearer SECRET012\n",
        "[OUTPUT]\n    Name http\n    HTTP_User me\n    HTTP_Passwd ***\n    Header Authorization Bearer ***\n",
    );
    check(
        "[sinks.x]\nauth.token = \"SECRET\"\n",
        "[sinks.x]\nauth.token = ***\n",
    );
    check(
        "a: [\n-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----\nx\n",
        "a: [\n***\n***\n***\nx\n",
    );
}

#[test]
fn a_changed_secret_shows_as_a_change_and_not_as_a_text() {
    let (old, new) = redact_pair(
        "a: {token: SECRET1, password: SECRET2, x: 1}\n",
        "a: {token: SECRET3, password: SECRET2, x: 2}\n",
    );
    assert_eq!(
        old,
        "a: {token: \"[REDACTED] (old)\", password: \"[REDACTED]\", x: 1}\n"
    );
    assert_eq!(
        new,
        "a: {token: \"[REDACTED] (new)\", password: \"[REDACTED]\", x: 2}\n"
    );
}
