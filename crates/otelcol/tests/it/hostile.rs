//! Texts that are made to exhaust whoever reads them. None may end the process or take long.

use otelcol::{Document, Fault, Limits, ParseError, redact};

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
