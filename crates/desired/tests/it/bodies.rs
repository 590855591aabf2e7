//! What may become a revision.

use desired::{BodyError, Limits, check_body, check_body_within};

#[test]
fn a_configuration_passes() {
    check_body(b"receivers: {otlp: }\nservice: {}\n").unwrap();
}

#[test]
fn what_is_no_yaml_is_refused_with_line_and_column() {
    let error = check_body(b"receivers:\n  otlp: [\n").unwrap_err();
    assert_eq!(error.line_and_column(), Some((2, 9)));
    assert!(
        error.to_string().starts_with("line 2, column 9: "),
        "{error}"
    );
    let error = check_body(b"a: 1\nb: \xff\n").unwrap_err();
    assert_eq!(error.line_and_column(), Some((2, 4)));
    let error = check_body(b"- a\n").unwrap_err();
    assert_eq!(error.line_and_column(), Some((1, 1)));
}

#[test]
fn an_empty_body_is_refused() {
    for body in ["", " \n", "# nothing\n", "---\n", "null\n", "{}\n"] {
        let error = check_body(body.as_bytes()).unwrap_err();
        assert!(matches!(error, BodyError::Empty), "{body:?}: {error}");
        assert_eq!(error.line_and_column(), None);
    }
}

#[test]
fn size_is_limited() {
    let body = format!("a: {}\n", "x".repeat(1 << 20));
    let error = check_body(body.as_bytes()).unwrap_err();
    assert!(
        matches!(
            error,
            BodyError::TooLarge {
                bytes: 1_048_580,
                limit: 1_048_576
            }
        ),
        "{error}"
    );
    let limits = Limits {
        body_bytes: 1 << 21,
        ..Limits::default()
    };
    check_body_within(body.as_bytes(), &limits).unwrap();
}
