//! Templates: what they make, what they cannot do, and where a line comes from.

use desired::{
    BodyError, Limits, MaterialiseError, Renderer, check_body, check_template_within, content_hash,
    inputs_key, materialise,
};

use crate::{given, layers, template};

const PIPELINES: &str = "\
receivers:
  otlp:
    protocols:
{% for name in vars.protocols %}
      {{ name }}: {endpoint: {{ (vars.host ~ ':' ~ (4316 + loop.index)) | quote }}}
{% endfor %}
exporters:
{% if agent.labels.env == 'prod' %}
  otlp: {endpoint: {{ vars.endpoint | quote }}}
{% else %}
  debug: {verbosity: {{ vars.verbosity | default('basic') }}}
{% endif %}
";

fn made(body: &str, values: &'static str) -> Result<String, MaterialiseError> {
    let content = materialise(&layers(&[template("edge", 0, body, values)]))?;
    Ok(String::from_utf8(content.files["config.yaml"].body.to_vec()).unwrap())
}

/// An error with its causes.
fn refusal(body: &str, values: &'static str) -> String {
    let error = made(body, values).unwrap_err();
    match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[test]
fn a_template_is_given_values_and_its_statements_leave_no_lines() {
    let values = r#"{"labels":{"env":"prod"},"vars":{"endpoint":"https://a:1","host":"0.0.0.0","protocols":["grpc","http"]}}"#;
    let expected = "\
receivers:
  otlp:
    protocols:
      grpc: {endpoint: \"0.0.0.0:4317\"}
      http: {endpoint: \"0.0.0.0:4318\"}
exporters:
  otlp: {endpoint: \"https://a:1\"}
";
    assert_eq!(made(PIPELINES, values).unwrap(), expected);
}

#[test]
fn references_of_the_collector_pass_untouched() {
    let text = "a: ${env:TOKEN}\nb: $${x}\nc: ${file:/a}\n";
    assert_eq!(made(text, "{}").unwrap(), text);
}

#[test]
fn findings_and_origins_name_the_line_of_the_template() {
    let values = r#"{"labels":{"env":"dev"},"vars":{"host":"h","protocols":["grpc","http"],"verbosity":"normal"}}"#;
    let base = given(
        "base",
        1,
        -1,
        "exporters:\n  debug: {verbosity: detailed}\n",
    );
    let both = [base, template("edge", 0, PIPELINES, values)];
    let combined = Renderer::default().combine(&layers(&both)).unwrap();
    let told: Vec<String> = combined
        .explain("", 100)
        .unwrap()
        .values
        .iter()
        .map(|value| {
            let source = &value.source;
            let lost: Vec<String> = value
                .overrode
                .iter()
                .map(|lost| format!("{}:{}", lost.config, lost.line))
                .collect();
            format!(
                "{}={} {}:{} {}",
                value.path,
                value.value,
                source.config,
                source.line,
                lost.join(" ")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "exporters::debug::verbosity=normal edge:11 base:2",
            "receivers::otlp::protocols::grpc::endpoint=h:4317 edge:5 ",
            "receivers::otlp::protocols::http::endpoint=h:4318 edge:5 ",
        ]
    );
    let undefined = "service:\n{% for s in ['traces', 'logs'] %}\n{% if s == 'logs' %}\n  pipelines: {logs: {receivers: [nop], exporters: [debug]}}\n{% endif %}\n{% endfor %}\n";
    let given = [
        given("base", 1, 0, "receivers: {otlp: }\nexporters: {debug: }\n"),
        template("edge", 1, undefined, "{}"),
    ];
    let findings = Renderer::default()
        .combine(&layers(&given))
        .unwrap()
        .findings();
    let error = findings.iter().find(|found| found.is_error()).unwrap();
    assert_eq!(
        (error.source.config.as_str(), error.source.line),
        ("edge", 4),
        "{error:?}"
    );
}

#[test]
fn a_template_that_fails_says_where_and_why() {
    for (body, values, expected) in [
        (
            "a: 1\nb: {{ agent.labels.region }}\n",
            r#"{"labels":{"env":"x"}}"#,
            "the template that is revision 3 of config edge fails: line 2, column 7: `agent.labels.region` has no value for this agent: give it one, or say what else with `| default(…)`",
        ),
        (
            "a: {{ vars.a.b }}\n",
            r#"{"vars":{}}"#,
            "line 1, column 7: `vars.a",
        ),
        (
            "a: {{ vars.a | quote }}\n",
            r#"{"vars":{}}"#,
            "line 1, column 7: `vars.a` has no value",
        ),
        (
            "a: {{ vars['a'] | yaml }}\n",
            r#"{"vars":{}}"#,
            "line 1, column 19: something here has no value",
        ),
        (
            "a: {{ vars.a|upper | quote }}\n",
            r#"{"vars":{}}"#,
            "line 1, column 7: `vars.a` has no value",
        ),
        ("a: {{ 1 / 0 }}\n", "{}", "line 1, column 7: "),
        ("a: {{ nofunction(1) }}\n", "{}", "line 1, column 7: "),
        (
            "a:\n{% if true %}\n  b: [{{ 'x' }}\n{% endif %}\nc: 1\n",
            "{}",
            "of the template that is revision 3 of config edge makes what cannot be used; in what it makes: line 3, column ",
        ),
        ("{% if false %}a: 1{% endif %}\n", "{}", "the body is empty"),
    ] {
        let refusal = refusal(body, values);
        assert!(refusal.contains(expected), "{body}: {refusal}");
    }
    let error = made("a: 1\n\nb: [{{ 1 }}\n", "{}").unwrap_err();
    assert_eq!(
        error.place_in_template().map(|place| place.0),
        Some(3),
        "{error}"
    );
}

#[test]
fn a_line_that_is_shown_in_an_error_has_no_secret() {
    let refusal = refusal(
        "a:\n  password: {{ vars.p }}\n",
        r#"{"vars":{"p":"hunter2: ["}}"#,
    );
    assert!(!refusal.contains("hunter2"), "{refusal}");
}

/// Every one of these would take all memory, all time or the whole stack.
#[test]
fn a_template_cannot_hang_or_kill_the_server() {
    let doubling: String = (0..40).map(|_| "{% set x = x ~ x %}").collect();
    let macros = "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}";
    for body in [
        format!("{{% set x = 'xxxxxxxx' %}}{doubling}a: {{{{ x | length }}}}\n"),
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}a: 1\n".to_owned(),
        "a: {{ 'x' * 10000000000 }}\n".to_owned(),
        "a: {{ ['x'] * 10000000000 }}\n".to_owned(),
        "a: {{ 10 ** 10 ** 10 }}\n".to_owned(),
        "a: {{ 'x' | replace('', 'x' * 1000000) | replace('x', 'x' * 1000000) }}\n".to_owned(),
        "a: {{ range(100000) | map('string') | join('x' * 100000) }}\n".to_owned(),
        "a: {{ 'x' | indent(10000000000) }}\n".to_owned(),
        "a: {{ '%1000000000d' | format(1) }}\n".to_owned(),
        "{% for i in range(100000) %}a{{ i }}: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'\n{% endfor %}".to_owned(),
        macros.to_owned(),
        "{% for x in [[]] recursive %}{{ loop([x]) }}{% endfor %}".to_owned(),
        "{% set x %}{% for i in range(100000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% for j in range(100) %}xxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}{% endset %}a: 1\n".to_owned(),
    ] {
        let start: String = body.chars().take(60).collect();
        let refused = made(&body, "{}").map(|text| text.len());
        assert!(refused.is_err(), "{start}: {refused:?}");
    }
    // What is made of shared parts costs no fuel; it is refused before it is a revision.
    let doubled: String = (1..45)
        .map(|n| format!("{{% set a{n} = [a{0}, a{0}] %}}", n - 1))
        .collect();
    let deep = "{% set a = [[[[[[[[[[a]]]]]]]]]] %}".repeat(20_000);
    for body in [
        format!("{{% set a0 = [0] %}}{doubled}a: {{{{ a44 }}}}\n"),
        format!("{{% set a0 = [0] %}}{doubled}{{% if a44 == a43 %}}{{% endif %}}a: 1\n"),
        format!("{{% set a = [0] %}}{deep}a: 1\n"),
    ] {
        let refused = check_template_within(body.as_bytes(), [], &Limits::default());
        assert!(refused.is_err(), "{}", &body[..60]);
    }
    // What is written at once is limited as well.
    let wide = "{% set a = range(9999) %}{% set b = [a, a, a, a, a, a, a, a, a] %}a: {{ [b | string, b | string] }}\n";
    assert!(made(wide, "{}").is_err());
    // Values cannot be made deeper with each turn of a loop.
    for body in [
        "{% set ns = namespace(x=[]) %}a: 1\n",
        "{% set x = [] %}{% do x.append(x) %}a: 1\n",
    ] {
        assert!(made(body, "{}").is_err(), "{body}");
    }
}

#[test]
fn what_a_template_makes_is_limited() {
    let given = [template("edge", 0, "a: {{ 'x' * 100 }}\n", "{}")];
    let within = |body_bytes| {
        let limits = Limits {
            body_bytes,
            ..Limits::default()
        };
        Renderer::new(limits).combine(&layers(&given)).map(drop)
    };
    assert!(within(104).is_ok());
    assert!(matches!(
        within(103),
        Err(MaterialiseError::RenderedTooLarge {
            bytes: 104,
            limit: 103,
            ..
        })
    ));
}

#[test]
fn inputs_with_a_template_have_the_golden_key() {
    let values = r#"{"labels":{"env":"prod"}}"#;
    let both = [
        given("base", 3, 0, "a: 1\n"),
        template("edge", 10, "b: {{ agent.labels.env }}\n", values),
    ];
    let key = |given: &[crate::Given]| inputs_key(&layers(given)).to_string();
    let golden = "a592ac998ba96b24a69444a173d38635d2498417f7ac94ae688aa80fd7794b02";
    assert_eq!(key(&both), golden);
    let [base, _] = both;
    let other = [
        base,
        template("edge", 10, "b: {{ agent.labels.env }}\n", "{}"),
    ];
    assert_ne!(key(&other), golden);
}

#[test]
fn equal_content_has_an_equal_hash_whether_a_template_made_it_or_not() {
    let plain = materialise(&layers(&[given("edge", 1, 0, "a: 5\n")])).unwrap();
    let values = r#"{"vars":{"a":5}}"#;
    let rendered =
        materialise(&layers(&[template("edge", 0, "a: {{ vars.a }}\n", values)])).unwrap();
    assert_eq!(plain, rendered);
    assert_eq!(plain.hash, content_hash(&rendered.files));
}

#[test]
fn bodies_that_are_no_template_are_refused_before_they_are_revisions() {
    let check = |body: &[u8]| check_template_within(body, [], &Limits::default());
    let uses = check(b"a: {{ agent.labels.env }}\n").unwrap();
    assert!(uses.labels.contains("env") && !uses.labels.contains("region"));
    assert!(matches!(check(b" \n"), Err(BodyError::Empty)));
    assert!(matches!(
        check(b"a: \xff"),
        Err(BodyError::NotUtf8 { from: 3 })
    ));
    let error = check(b"a: 1\nb: {{ x\n").unwrap_err();
    assert_eq!(
        error.line_and_column().map(|place| place.0),
        Some(2),
        "{error}"
    );
    let small = Limits {
        body_bytes: 3,
        ..Limits::default()
    };
    assert!(matches!(
        check_template_within(b"a: 1", [], &small),
        Err(BodyError::TooLarge { .. })
    ));
}

#[test]
fn a_plain_body_that_looks_like_a_template_says_so() {
    let error = check_body(b"a: {{ vars.x }}\n").unwrap_err();
    assert!(
        error.to_string().contains("\"template\": \"jinja\""),
        "{error}"
    );
    assert!(error.line_and_column().is_some());
    let error = check_body(b"a: [\n").unwrap_err();
    assert!(!error.to_string().contains("jinja"), "{error}");
    check_body(b"a: '{{ vars.x }}'\n").unwrap();
}
