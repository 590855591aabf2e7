//! Selectors: tables of texts, and properties.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Selector {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn texts_have_one_canonical_form() {
    let cases = [
        ("", ""),
        ("  ", ""),
        ("env=prod", "env=prod"),
        ("env==prod", "env=prod"),
        (" env = prod ", "env=prod"),
        ("env in (prod)", "env=prod"),
        ("env notin (prod)", "env!=prod"),
        (
            "region in (us-west, us-east,us-west)",
            "region in (us-east,us-west)",
        ),
        ("b,a,!c", "a,b,!c"),
        ("! legacy", "!legacy"),
        ("env=prod,env=prod", "env=prod"),
        (
            "env=prod,region in (us-west,us-east),!legacy",
            "env=prod,!legacy,region in (us-east,us-west)",
        ),
        ("key=", "key=\"\""),
        ("key in (,a)", "key in (\"\",a)"),
        ("app.kubernetes.io/name=x", "app.kubernetes.io/name=x"),
        (
            "os.description=\"Debian 12 (bookworm)\"",
            "os.description=\"Debian 12 (bookworm)\"",
        ),
        (
            "\"a key\"=\"a \\\"b\\\" \\\\ c\"",
            "\"a key\"=\"a \\\"b\\\" \\\\ c\"",
        ),
        ("in in (in)", "in=in"),
        ("notin notin (notin,in)", "notin notin (in,notin)"),
        ("größe=groß", "größe=groß"),
        ("time=12:30,mail=a@b.c", "mail=a@b.c,time=12:30"),
    ];
    for (text, canonical) in cases {
        assert_eq!(parse(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn errors_name_the_position() {
    let cases = [
        ("=prod", 0, "expected a label's key, found '='"),
        ("env=prod,", 9, "expected a label's key, found the end"),
        ("env=prod,,a", 9, "expected a label's key, found ','"),
        (
            "env prod",
            4,
            "expected '=', '!=', 'in', 'notin', ',' or the end, found 'p'",
        ),
        ("env=prod dev", 9, "expected ',' or the end, found 'd'"),
        ("env in prod", 7, "expected '(', found 'p'"),
        ("env in (a b)", 10, "expected ',' or ')', found 'b'"),
        ("env in (a", 9, "expected ',' or ')', found the end"),
        (
            "env>5",
            3,
            "expected '=', '!=', 'in', 'notin', ',' or the end, found '>'",
        ),
        ("!env=prod", 4, "expected ',' or the end, found '='"),
        ("!", 1, "expected a label's key, found the end"),
        ("a=\"b", 2, "this quote is never closed"),
        (
            "a=\"b\\n\"",
            4,
            "a backslash may only stand before '\"' and '\\'",
        ),
        ("\"\"=a", 0, "a label's key must not be empty"),
        ("ä=b c", 5, "expected ',' or the end, found 'c'"),
        ("a=(", 2, "expected a value, found '('"),
    ];
    for (text, position, problem) in cases {
        let error = text.parse::<Selector>().expect_err(text);
        assert_eq!(
            (error.position, error.problem.to_string().as_str()),
            (position, problem),
            "{text}"
        );
    }
    assert_eq!(
        "a b"
            .parse::<Selector>()
            .unwrap_err()
            .to_string()
            .split(" at ")
            .last(),
        Some("byte 2")
    );
}

#[test]
fn sizes_are_limited() {
    let many = vec!["a"; Selector::MAX_PARTS + 1].join(",");
    assert_eq!(
        many.parse::<Selector>().unwrap_err().problem,
        SelectorProblem::TooLarge
    );
    let long = " ".repeat(Selector::MAX_BYTES + 1);
    assert_eq!(
        long.parse::<Selector>().unwrap_err().problem,
        SelectorProblem::TooLong
    );
    let key = "k".repeat(Labels::MAX_KEY_BYTES + 1);
    assert!(matches!(
        key.parse::<Selector>().unwrap_err().problem,
        SelectorProblem::Label(_)
    ));
    let value = format!("k={}", "v".repeat(Labels::MAX_VALUE_BYTES + 1));
    assert!(matches!(
        value.parse::<Selector>().unwrap_err().problem,
        SelectorProblem::Label(_)
    ));
}

#[test]
fn requirements_match_as_in_kubernetes() {
    let labels = Labels::from_iter([("env", "prod"), ("region", "eu"), ("empty", "")]);
    let cases = [
        ("", true),
        ("env=prod", true),
        ("env=dev", false),
        ("env!=dev", true),
        ("absent!=x", true),
        ("absent notin (x,y)", true),
        ("absent=x", false),
        ("absent in (x,y)", false),
        ("env in (dev,prod)", true),
        ("env notin (dev,prod)", false),
        ("env", true),
        ("absent", false),
        ("!absent", true),
        ("!env", false),
        ("empty", true),
        ("empty=", true),
        ("absent=", false),
        ("env=prod,region=us", false),
        ("env=prod,env=dev", false),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).matches(&labels), expected, "{text}");
    }
}

#[test]
fn a_plain_map_asks_for_each_of_its_values() {
    let selector = Selector::from_map([("region", "eu"), ("env", "prod")]);
    assert_eq!(selector, parse("env=prod,region=eu"));
    assert!(Selector::from_map([]).is_empty());
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,3}", "\\PC{1,6}"]
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let values = || proptest::collection::vec(prop_oneof![text(), Just(String::new())], 1..4);
    let boxed = |values: Vec<String>| values.into_iter().map(Into::into).collect();
    let operator = prop_oneof![
        values().prop_map(move |values| Operator::In(boxed(values))),
        values().prop_map(move |values| Operator::NotIn(boxed(values))),
        Just(Operator::Exists),
        Just(Operator::Absent),
    ];
    (text(), operator).prop_map(|(key, operator)| Requirement {
        key: key.into(),
        operator,
    })
}

fn selector() -> impl Strategy<Value = Selector> {
    proptest::collection::vec(requirement(), 0..5)
        .prop_map(|requirements| requirements.into_iter().collect())
}

/// What a requirement means, said once more in the plainest way.
fn meets(requirement: &Requirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&*requirement.key);
    let among =
        |values: &[Box<str>]| value.is_some_and(|value| values.iter().any(|v| **v == **value));
    match &requirement.operator {
        Operator::In(values) => among(values),
        Operator::NotIn(values) => !among(values),
        Operator::Exists => value.is_some(),
        Operator::Absent => value.is_none(),
    }
}

proptest! {
    #[test]
    fn the_canonical_text_parses_to_the_same_selector(selector in selector()) {
        prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        match text.parse::<Selector>() {
            Ok(selector) => prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector),
            Err(error) => prop_assert!(text.is_char_boundary(error.position)),
        }
    }

    #[test]
    fn a_selector_matches_when_every_requirement_is_met(
        selector in selector(),
        labels in proptest::collection::btree_map("[a-z]{1,3}", prop_oneof!["[a-z]{1,3}", Just(String::new())], 0..6),
    ) {
        let expected = selector.requirements().iter().all(|requirement| meets(requirement, &labels));
        prop_assert_eq!(selector.matches(&labels.into_iter().collect()), expected);
    }

    #[test]
    fn order_and_repetition_of_requirements_do_not_matter(
        requirements in proptest::collection::vec(requirement(), 0..5),
    ) {
        let once: Selector = requirements.iter().cloned().collect();
        let twice: Selector = requirements.iter().rev().chain(&requirements).cloned().collect();
        prop_assert_eq!(once, twice);
    }
}
