//! Expressions and what is said of them, in upstream's words.

use super::*;

fn environment() -> Environment {
    let request = vec![("operation".to_owned(), Type::Plain("string"))];
    Environment {
        variables: vec![
            ("object".to_owned(), Type::Dynamic),
            (
                "request".to_owned(),
                Type::Object("kubernetes.AdmissionRequest", request),
            ),
            ("authorizer.requestResource".to_owned(), Type::Unknown),
        ],
        patches: false,
    }
}

fn refusal(source: &str, results: &[&str]) -> String {
    match compile(source, &environment(), results) {
        Ok(_) => "accepted".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

const OPERAND: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

#[test]
fn syntax_errors_are_worded_as_upstream() {
    let cases = [
        ("", format!("1:0: Syntax error: mismatched input '<EOF>' expecting {OPERAND}")),
        (
            "*.example.com",
            format!("1:1: Syntax error: extraneous input '*' expecting {OPERAND}\n | *.example.com\n | ^"),
        ),
        (
            "example.com/",
            format!("1:13: Syntax error: mismatched input '<EOF>' expecting {OPERAND}\n | example.com/\n | ............^"),
        ),
        (
            "../up",
            "1:2: Syntax error: no viable alternative at input '..'\n | ../up\n | .^".to_owned(),
        ),
        (
            "$(object)",
            "1:1: Syntax error: token recognition error at: '$'\n | $(object)\n | ^".to_owned(),
        ),
        (
            "object object",
            "1:8: Syntax error: extraneous input 'object' expecting <EOF>\n | object object\n | .......^".to_owned(),
        ),
        (
            "(object",
            "1:8: Syntax error: missing ')' at '<EOF>'\n | (object\n | .......^".to_owned(),
        ),
        (
            "if",
            "1:1: reserved identifier: if\n | if\n | ^".to_owned(),
        ),
    ];
    for (source, message) in cases {
        let expected = format!("compilation failed: ERROR: <input>:{message}");
        assert_eq!(refusal(source, &[]), expected, "{source:?}");
    }
    let two = refusal("/abs/../up", &[]);
    assert!(two.contains("extraneous input '/'"), "{two}");
    assert!(two.contains("no viable alternative at input '..'"), "{two}");
}

#[test]
fn names_that_are_not_declared_are_refused_where_they_stand() {
    let cases = [
        (
            "other",
            "1:1: undeclared reference to 'other' (in container '')\n | other\n | ^",
        ),
        (
            "string(variables.replicas)",
            "1:8: undeclared reference to 'variables' (in container '')\n | string(variables.replicas)\n | .......^",
        ),
        (
            "request.other",
            "1:8: undefined field 'other'\n | request.other\n | .......^",
        ),
        (
            "object.list.all(x, x.name == y)",
            "1:30: undeclared reference to 'y' (in container '')\n | object.list.all(x, x.name == y)\n | .............................^",
        ),
        (
            "object.other()",
            "1:13: undeclared reference to 'other' (in container '')\n | object.other()\n | ............^",
        ),
        (
            "other-1.example",
            "1:1: undeclared reference to 'other' (in container '')\n | other-1.example\n | ^\nERROR: <input>:1:8: type 'int' does not support field selection\n | other-1.example\n | .......^",
        ),
    ];
    for (source, message) in cases {
        let expected = format!("compilation failed: ERROR: <input>:{message}");
        assert_eq!(refusal(source, &[]), expected, "{source:?}");
    }
}

#[test]
fn what_upstream_compiles_is_accepted() {
    for source in [
        "object.metadata.name.startsWith('a') && !has(object.spec.replicas)",
        "object.spec.list.exists(x, x.a == 1 || x.b in ['c', \"d\"])",
        "request.operation == 'CREATE' ? true : object.a[0].b < 0x10",
        "object.?spec.?replicas.orValue(1) > -5",
        "authorizer.requestResource.check('get').allowed()",
        "[1, 2, 3,].map(x, x * 2).size() == 3 // comment",
        "{'a': 1}['a'] == 1",
        "r'\\d+'.matches('''a\nb''')",
        "object.`a-b`.c == null",
        "ip.isCanonical('::1') && sets.contains([1], [1])",
        "type(object) == string",
        ".5e-3 < 1.0 && 1u < 2u && b'a' == b'\\x61'",
        "object.list.all(i, v, i < v.size())",
        "'\u{e4}' == object.a",
    ] {
        assert_eq!(refusal(source, &[]), "accepted", "{source}");
    }
}

#[test]
fn an_expression_has_one_of_the_types_that_are_asked_for() {
    for (source, results, message) in [
        ("object.a == 1", &["bool"][..], "accepted"),
        ("'a'", &["bool"], "must evaluate to bool but got string"),
        ("object.a", &["bool"], "must evaluate to bool but got dyn"),
        (
            "1 + 2",
            &["string", "null_type"],
            "must evaluate to one of [string null_type] but got int",
        ),
        ("object.a.map(x, x)", &["bool"], "accepted"),
    ] {
        assert_eq!(refusal(source, results), message, "{source}");
    }
}

#[test]
fn deep_and_long_expressions_are_refused_without_recursion_to_match() {
    let limit = "compilation failed: ERROR: <input>:-1:0: expression recursion limit exceeded: 250";
    for source in [
        "(".repeat(5000),
        format!("1{}", " + 1".repeat(5000)),
        format!("object{}", ".a".repeat(5000)),
    ] {
        assert_eq!(refusal(&source, &[]), limit);
    }
    let signs = "!".repeat(5000);
    assert!(refusal(&signs, &[]).contains("mismatched input '<EOF>'"));
    let long = format!("'{}'", "a".repeat(MAX_CHARACTERS));
    assert!(refusal(&long, &[]).contains("expression code point size exceeds limit"));
    let joined = vec!["object.a"; 5000].join(" || ");
    assert_eq!(refusal(&joined, &["bool"]), "accepted");
}

#[test]
fn a_refusal_is_no_multiple_of_the_expression() {
    let reserved = format!("[{}1]", "let,".repeat(20_000));
    for source in ["$".repeat(10_000), reserved, "$\n".repeat(40_000)] {
        let text = refusal(&source, &[]);
        assert!(text.len() < 500_000, "{} bytes", text.len());
        assert!(text.ends_with("more errors were truncated"), "{source:.20}");
    }
}
