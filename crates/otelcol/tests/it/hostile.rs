//! Texts that are made to exhaust whoever reads them. None may end the process or take long.

use otelcol::{
    Code, Document, Fault, Finding, Inventory, Kind, Limits, MOST_FINDINGS, ParseError, Service,
    Surroundings, check, redact,
};

fn fault(text: &str) -> Fault {
    // What cannot be parsed is shown all the same.
    redact(text);
    match Document::parse(text.as_bytes()) {
        Ok(_) => panic!("accepted"),
        Err(ParseError { fault, .. }) => fault,
    }
}

#[test]
fn deep_nesting_is_refused() {
    let mib = 1 << 20;
    assert_eq!(
        fault(&format!("a: {}", "[".repeat(mib))),
        Fault::TooDeep { limit: 200 }
    );
    assert_eq!(
        fault(&format!("a: {}", "{b: ".repeat(mib / 4))),
        Fault::TooDeep { limit: 200 }
    );
    assert_eq!(
        fault(&format!("a:\n  {}", "- ".repeat(mib / 2))),
        Fault::TooDeep { limit: 200 }
    );
    assert_eq!(
        fault(&format!("a:\n  {}", "? ".repeat(mib / 2))),
        Fault::CollectionKey { found: "a map" }
    );
    let indented: String = (0..10_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    let limits = Limits {
        bytes: usize::MAX,
        ..Limits::default()
    };
    let error = Document::parse_within(indented.as_bytes(), &limits).unwrap_err();
    assert_eq!(error.fault, Fault::TooDeep { limit: 200 });
}

#[test]
fn what_is_just_not_too_deep_is_read_and_written() {
    let text = format!("a: {}{}", "[".repeat(199), "]".repeat(199));
    let document = Document::parse(text.as_bytes()).unwrap();
    assert_eq!(
        Document::parse(document.to_yaml().as_bytes())
            .unwrap()
            .value(),
        document.value()
    );
    // The same by aliases: each level of the second list is one more.
    let deeper = format!(
        "a: &a {}{}\nb: {}*a{}",
        "[".repeat(150),
        "]".repeat(150),
        "[".repeat(100),
        "]".repeat(100)
    );
    assert_eq!(fault(&deeper), Fault::TooDeep { limit: 200 });
}

#[test]
fn flat_keys_do_not_nest_deeper_than_allowed() {
    let key = ["a"; 300].join("::");
    assert_eq!(fault(&format!("{key}: 1")), Fault::TooDeep { limit: 200 });
    let key = ["a"; 150].join("::");
    assert_eq!(
        fault(&format!("x: {{{key}: {{{key}: 1}}}}")),
        Fault::TooDeep { limit: 200 }
    );
}

#[test]
fn many_flat_keys_are_cheap() {
    let text: String = (0..40_000)
        .map(|number| format!("a::b::k{number}: 1\n"))
        .collect();
    let document = Document::parse(text.as_bytes()).unwrap();
    assert_eq!(document.get("a.b").unwrap().as_map().unwrap().len(), 40_000);
}

#[test]
fn alias_bombs_are_refused() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert_eq!(fault(&laughs), Fault::TooManyNodes { limit: 500_000 });

    let mut merges = String::from("a0: &a0 {x: 1}\n");
    for level in 1..100 {
        let below = format!("*a{}", level - 1);
        merges.push_str(&format!(
            "a{level}: &a{level} {{<<: [{below}, {below}], k{level}: [{below}, {below}]}}\n"
        ));
    }
    assert!(matches!(fault(&merges), Fault::TooManyNodes { .. }));

    // Quadratic: one large value, repeated often.
    let quadratic = format!(
        "a: &a [{}]\nb: [{}]\n",
        vec!["x"; 5_000].join(","),
        vec!["*a"; 5_000].join(",")
    );
    assert_eq!(fault(&quadratic), Fault::TooManyNodes { limit: 500_000 });
    // One large text counts by its repetitions only, which the size of the source bounds.
    let anchors = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1_000),
        vec!["*a"; 1_000].join(",")
    );
    Document::parse(anchors.as_bytes()).unwrap();
}

#[test]
fn repeating_a_large_text_is_bounded_too() {
    let text = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 17),
        vec!["*a"; 100_000].join(",")
    );
    assert_eq!(fault(&text), Fault::TooMuchText { limit: 8 << 20 });
    // Every anchor keeps what is in it, all that are in it included.
    let nested: String = (0..190).map(|level| format!("&a{level} [")).collect();
    let text = format!(
        "a: {nested}{}{}",
        vec!["x"; 10_000].join(","),
        "]".repeat(190)
    );
    assert_eq!(fault(&text), Fault::TooManyNodes { limit: 500_000 });
}

#[test]
fn sizes_are_limits() {
    let limits = Limits {
        bytes: 10,
        depth: 2,
        nodes: 4,
    };
    let within =
        |text: &str| Document::parse_within(text.as_bytes(), &limits).map_err(|error| error.fault);
    assert!(within("a: [b]").is_ok());
    assert_eq!(
        within("a: [b, c, d]").unwrap_err(),
        Fault::TooLarge {
            bytes: 12,
            limit: 10
        }
    );
    assert_eq!(within("a: [[b]]").unwrap_err(), Fault::TooDeep { limit: 2 });
    assert_eq!(
        within("a: [b,c,d]").unwrap_err(),
        Fault::TooManyNodes { limit: 4 }
    );
}

#[test]
fn long_texts_of_one_kind_take_no_time() {
    // A quadratic step would take minutes already.
    let mib = 1 << 18;
    for text in [
        "a: ".to_owned() + &"x".repeat(mib),
        "a: ".to_owned() + &"x ".repeat(mib / 2),
        "a: 'x".to_owned() + &"\n".repeat(mib),
        "#".repeat(mib),
        "# password: x\n".repeat(mib / 14),
        "a: ".to_owned() + &"=".repeat(mib),
        "a: \"".to_owned() + &"token:".repeat(mib / 6) + "\"",
        "a: \"".to_owned() + &"bearer ".repeat(mib / 7) + "\"",
        "a: \"".to_owned() + &"://a:".repeat(mib / 5) + "\"",
        "a: \"".to_owned() + &"://{".repeat(mib / 4) + "\"",
        "password:\n".to_owned() + &" x\n".repeat(mib / 3),
        "\t".repeat(mib),
        "\r".repeat(mib),
        "a:\n".to_owned() + &"- &a b\n".repeat(mib / 7),
        "- *".repeat(mib / 3),
        (0..20_000)
            .map(|number| format!("k{number}: &a{number} v\n"))
            .collect(),
        // Many aliases in a secret's place, each of which stands for much.
        format!(
            "a: &a [{}]\npassword: [{}]\n",
            "1,".repeat(mib / 2),
            "*a,".repeat(mib / 3)
        ),
        (0..150)
            .map(|level| format!("&a{level} ["))
            .collect::<String>()
            + &"1,".repeat(mib / 2)
            + &"]".repeat(150)
            + "\n---\npassword: 1\n",
    ] {
        redact(&text);
        if let Ok(document) = Document::parse(text.as_bytes()) {
            document.to_yaml();
        }
    }
}

/// A text of up to 10 MiB, more than the default limit, checked as one of a peer's build.
fn checked(text: &str) -> Vec<Finding> {
    let limits = Limits {
        bytes: 10 << 20,
        ..Limits::default()
    };
    let document = Document::parse_within(text.as_bytes(), &limits).unwrap();
    let inventory = Inventory::of_names(
        ["otlp", "debug", "batch", "forward"]
            .into_iter()
            .flat_map(|name| Kind::ALL.map(|kind| (kind, name))),
    );
    let around = Surroundings {
        inventory: Some(&inventory),
        variables: Some(&std::collections::BTreeSet::new()),
    };
    check(&document, &around)
}

fn each(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

/// A step for each pair of what there is many of would take hours.
#[test]
fn checks_of_many_components_take_no_time() {
    let many = 40_000;
    let is_cut =
        |findings: &[Finding]| findings.last().map(|last| last.code) == Some(Code::MoreFindings);
    let one_pipeline = |section: &str, list: &str| {
        format!(
            "receivers: {{otlp: }}\nexporters: {{debug: }}\n{section}service:\n  pipelines:\n    traces: {list}\n"
        )
    };

    // Undefined uses beside as many definitions of about the same names.
    let defined = each(many, |number| format!("  batch/{number}x: \n"));
    let used = each(many, |number| format!("batch/{number}y,"));
    let found = checked(&one_pipeline(
        &format!("processors:\n{defined}"),
        &format!("{{receivers: [otlp], exporters: [debug], processors: [{used}]}}"),
    ));
    assert!(is_cut(&found), "{}", found.len());
    assert!(
        found[..1000]
            .iter()
            .all(|finding| finding.code == Code::UndefinedComponent)
    );

    // Types that no build has, and sections that nobody knows.
    let unknown = each(many, |number| format!("  bath{number}: \n"));
    let sections = each(many, |number| format!("recivers{number}: \n"));
    assert!(is_cut(&checked(&one_pipeline(
        &format!("processors:\n{unknown}{sections}"),
        "{receivers: [otlp], exporters: [debug]}"
    ))));

    // One id again and again, by an alias.
    let repeated = "*long,".repeat(many);
    let long = format!("&long batch/{}", "x".repeat(90));
    assert!(is_cut(&checked(&one_pipeline(
        "",
        &format!("{{receivers: [otlp], exporters: [debug], processors: [{long}, {repeated}]}}")
    ))));

    // A long name on the way to many values.
    let long = " ".repeat(1 << 20);
    let values = "1,".repeat(many);
    let found = checked(&one_pipeline(
        "",
        &format!("\n    ? \"{long}logs\"\n    : receivers: [{values}]"),
    ));
    assert!(
        found
            .iter()
            .map(|finding| finding.path.to_string().len())
            .sum::<usize>()
            < 8 << 20
    );

    // Values deep inside of maps, each with something to be said about it.
    let deep = format!("{}[{values}]{}", "{password: ".repeat(180), "}".repeat(180));
    assert!(is_cut(&checked(&format!("exporters: {{debug: {deep}}}\n"))));

    // Variables in one text.
    let text = "${A}${B:-${C}}$${D}".repeat(many);
    let found = checked(&one_pipeline(
        &format!("processors: {{batch: \"{text}\"}}\n"),
        "{receivers: [otlp], exporters: [debug], processors: [batch]}",
    ));
    assert_eq!(
        found.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        [Code::UnsetVariable; 2]
    );
}

#[test]
fn checks_of_many_connectors_and_pipelines_take_no_time() {
    let many = 10_000;
    let connectors = each(many, |number| format!("  forward/{number}: \n"));
    let head = format!(
        "receivers: {{otlp: }}\nexporters: {{debug: }}\nconnectors:\n{connectors}service:\n  pipelines:\n"
    );
    let pipelines = |one: &dyn Fn(usize) -> String| format!("{head}{}", each(many, one));
    let circles = |found: &[Finding]| {
        found
            .iter()
            .filter(|finding| finding.code == Code::PipelineCycle)
            .count()
    };

    // A ring of all of them, which is one circle without an end.
    let ring = pipelines(&|number| {
        let next = (number + 1) % many;
        format!(
            "    traces/{number}: {{receivers: [forward/{number}], exporters: [forward/{next}]}}\n"
        )
    });
    let service = Service::of(&Document::parse(ring.as_bytes()).unwrap());
    assert_eq!(service.connectors().len(), many);
    assert_eq!(circles(&checked(&ring)), MOST_FINDINGS);

    // The same cut open: nothing is wrong but the two ends.
    let chain = pipelines(&|number| {
        let next = number + 1;
        format!(
            "    traces/{number}: {{receivers: [forward/{number}], exporters: [forward/{next}]}}\n"
        )
    })
    .replace("[forward/0]", "[otlp]")
    .replace(&format!("[forward/{many}]"), "[debug, forward/0]");
    let found = checked(&chain);
    assert_eq!(
        found.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        [Code::LooseConnector]
    );

    // One connector that joins every pipeline with every other: 10,000 times 10,000 pairs.
    let star = pipelines(&|number| {
        format!("    traces/{number}: {{receivers: [forward/0], exporters: [forward/0]}}\n")
    });
    let found = checked(&star);
    assert_eq!(circles(&found), 1);
    let circle = found
        .iter()
        .find(|finding| finding.code == Code::PipelineCycle);
    assert!(circle.unwrap().message.ends_with("and 99999997 ways more"));

    // Few pipelines that each name every connector.
    let all = each(many, |number| format!("forward/{number},"));
    let few: String = each(4, |number| {
        format!("    traces/{number}: {{receivers: [{all}], exporters: [{all}]}}\n")
    });
    assert_eq!(circles(&checked(&format!("{head}{few}"))), MOST_FINDINGS);
}
