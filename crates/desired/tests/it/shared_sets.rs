//! Sets of variables that templates share: what they give, what it costs, and what it does to keys.

use std::sync::Arc;

use desired::{
    AgentFacts, InputsKey, Layer, Limits, Renderer, check_template_within, inputs_key,
    read_variables_within,
};
use domain::model::InstanceUid;
use domain::{ConfigName, Kind, Labels, Revision, RevisionNumber, Template, Variables};

use crate::{given, layers};

type Sets = Arc<[Arc<Revision>]>;

fn set(name: &str, number: u64, body: &str) -> Arc<Revision> {
    let [layer] = &layers(&[given(name, number, 0, body)])[..] else {
        panic!("one")
    };
    let read = read_variables_within(body.as_bytes(), &Limits::default()).unwrap();
    Arc::new(Revision {
        kind: Kind::Variables,
        variables: Some(Arc::new(read.into_values())),
        ..Revision::clone(&layer.revision)
    })
}

fn sets<const N: usize>(sets: [Arc<Revision>; N]) -> Sets {
    Arc::new(sets)
}

/// Revision 3 of `edge` with this template, for an agent of prod that gets these sets.
fn edge(body: &str, own: &str, sets: &Sets) -> Layer {
    let variables: Variables = serde_json::from_str(own).unwrap();
    let uses = check_template_within(body.as_bytes(), [&variables], &Limits::default()).unwrap();
    let [layer] = &layers(&[given("edge", 3, 10, body)])[..] else {
        panic!("one")
    };
    let revision = Revision {
        config: ConfigName::new("edge").unwrap(),
        number: RevisionNumber(3),
        template: Some(Template {
            variables,
            overrides: Vec::new(),
            uses,
        }),
        ..Revision::clone(&layer.revision)
    };
    let labels = Labels::from_iter([("env", "prod")]);
    let facts = AgentFacts {
        uid: InstanceUid::new([1; 16]),
        labels: &labels,
    };
    Layer::of(Arc::new(revision), facts, sets)
}

fn key(layer: &Layer) -> InputsKey {
    inputs_key(std::slice::from_ref(layer))
}

fn text(layer: &Layer) -> Result<String, String> {
    let text = Renderer::default().text(layer);
    match text {
        Ok(text) => Ok(String::from_utf8(text).unwrap()),
        Err(error) => Err(match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }),
    }
}

const ENDPOINT: &str = "a: {{ vars.endpoint }}\nb: {{ vars.rate }}\n";

#[test]
fn a_template_sees_values_of_sets_and_tells_which() {
    let both = sets([
        set("common", 2, "endpoint: us:1\nrate: 5\nother: x\n"),
        set("eu", 7, "endpoint: eu:1\n"),
    ]);
    let layer = edge(ENDPOINT, r#"{"rate": 1}"#, &both);
    assert_eq!(text(&layer).unwrap(), "a: eu:1\nb: 5\n");
    let told: Vec<_> = layer
        .shared()
        .map(|(name, set)| (name, set.config.as_str(), set.number.0))
        .collect();
    assert_eq!(told, [("endpoint", "eu", 7), ("rate", "common", 2)]);
    assert_eq!(
        layer.values.unwrap().as_json(),
        r#"{"vars":{"endpoint":"eu:1","rate":5}}"#
    );
    // Maps are replaced whole.
    let maps = sets([set("a", 1, "m: {x: 1, y: 2}\n"), set("b", 1, "m: {x: 3}\n")]);
    let layer = edge("a: {{ vars.m }}\n", "{}", &maps);
    assert_eq!(text(&layer).unwrap(), "a: {\"x\": 3}\n");
}

#[test]
fn a_value_that_no_set_gives_is_an_error_that_names_the_sets() {
    let place = "the template that is revision 3 of config edge fails: line 1, column 7: `vars.endpoint` has no value for this agent";
    for (given, told) in [
        (sets([]), "; no set of variables matches it"),
        (
            sets([set("common", 2, "rate: 5\n")]),
            "; the set of variables that matches it is common (revision 2)",
        ),
        (
            sets([set("common", 2, "rate: 5\n"), set("eu", 1, "x: 5\n")]),
            "; the sets of variables that match it are common (revision 2), eu (revision 1)",
        ),
    ] {
        let refusal = text(&edge(ENDPOINT, "{}", &given)).unwrap_err();
        assert!(refusal.starts_with(place), "{refusal}");
        assert!(refusal.ends_with(told), "{refusal}");
    }
    // Of a label nothing is said about sets.
    let label = "a: {{ agent.labels.none }}\nb: {{ vars.rate }}\n";
    let refusal = text(&edge(label, "{}", &sets([]))).unwrap_err();
    assert!(!refusal.contains("set of variables"), "{refusal}");
}

/// Keys are stored, and what they stand for is never made again.
#[test]
fn keys_are_of_the_values_and_not_of_where_they_come_from() {
    let golden = "a592ac998ba96b24a69444a173d38635d2498417f7ac94ae688aa80fd7794b02";
    let unused = sets([set("common", 1, "endpoint: us:1\n")]);
    let layer = edge("b: {{ agent.labels.env }}\n", "{}", &unused);
    let base = layers(&[given("base", 3, 0, "a: 1\n")]);
    let both = [base[0].clone(), layer];
    assert_eq!(inputs_key(&both).to_string(), golden);

    let own = r#"{"endpoint": "us:1", "rate": 5}"#;
    let alone = key(&edge(ENDPOINT, own, &sets([])));
    let shared = |sets: &Sets| key(&edge(ENDPOINT, "{}", sets));
    let one = sets([set("common", 1, "endpoint: us:1\nrate: 5\n")]);
    assert_eq!(shared(&one), alone);
    // Another revision of it, with what the template does not look at.
    let next = sets([set("common", 2, "endpoint: us:1\nrate: 5\nother: 1\n")]);
    assert_eq!(shared(&next), alone);
    let two = sets([
        set("a", 1, "endpoint: us:1\nrate: 4\n"),
        set("b", 1, "rate: 5\n"),
    ]);
    assert_eq!(shared(&two), alone);
    let other = sets([set("common", 3, "endpoint: us:1\nrate: 6\n")]);
    assert_ne!(shared(&other), alone);
}

/// When the template was checked, nothing was known of these values.
#[test]
fn what_values_of_sets_cost_is_checked_when_they_are_there() {
    let compared = "a: 1\nb: {{ vars.list == vars.list }}\n";
    let list = |parts: usize| sets([set("lists", 1, &format!("list: [{}]\n", "1,".repeat(parts)))]);
    let renderer = Renderer::default();
    for parts in [10, 100, 10, 100] {
        let made = renderer.text(&edge(compared, "{}", &list(parts)));
        assert_eq!(made.is_ok(), parts == 10, "{made:?}");
    }
    let refusal = text(&edge(compared, "{}", &list(100))).unwrap_err();
    assert!(refusal.contains("line 2, column 4: lists and maps of more than 64 parts"), "{refusal}");
    // Parts that are shared would be more than could be let go of.
    let names = |n: usize| format!("{{% set a{n} = [a{0}, a{0}] %}}", n - 1);
    let doubled: String = (1..14).map(names).collect();
    let doubled = format!("{{% set a0 = vars.list %}}{doubled}a: 1\n");
    assert!(text(&edge(&doubled, "{}", &list(2))).is_ok());
    let refusal = text(&edge(&doubled, "{}", &list(100))).unwrap_err();
    assert!(refusal.contains("more than 100000 parts"), "{refusal}");
}

#[test]
fn all_values_of_an_agent_together_are_limited() {
    let long = |name: &str| set(name, 1, &format!("{name}: {}\n", "x".repeat(60 << 10)));
    let four = sets([long("a"), long("b"), long("c"), long("d")]);
    let five = sets([long("a"), long("b"), long("c"), long("d"), long("e")]);
    let all = "a: {{ vars | length }}\n";
    assert_eq!(text(&edge(all, "{}", &four)).unwrap(), "a: 4\n");
    let refusal = text(&edge(all, "{}", &five)).unwrap_err();
    assert!(refusal.contains("allowed are 262144"), "{refusal}");
    // One that looks at some of them is given just these.
    let some = edge("a: {{ vars.a | length }}\n", "{}", &five);
    assert_eq!(text(&some).unwrap(), "a: 61440\n");
}
