//! What objects are refused for, in upstream's words.

use k3s_meta::field::Path;
use serde_json::{Value, json};

use super::{distinct, embedded, validate};
use crate::custom::schema::Schema;

fn errors(schema: &Value, value: Value) -> Vec<String> {
    let schema = Schema::read(&json!({"type": "object", "properties": {"spec": schema}}));
    validate(&schema, &json!({ "spec": value }), None)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn wording_of_every_check() {
    let table: Vec<(Value, Value, &str)> = vec![
        (
            json!({"type": "integer"}),
            json!("x"),
            "spec: Invalid value: \"string\": spec in body must be of type integer: \"string\"",
        ),
        (
            json!({"type": "string"}),
            json!(1),
            "spec: Invalid value: \"integer\": spec in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "string"}),
            json!(null),
            "spec: Invalid value: \"null\": spec in body must be of type string: \"null\"",
        ),
        (
            json!({"type": "object"}),
            json!([]),
            "spec: Invalid value: \"array\": spec in body must be of type object: \"array\"",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"type": "object", "required": ["a"]}),
            json!({}),
            "spec.a: Required value",
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            "spec: Unsupported value: \"c\": supported values: \"a\", \"b\"",
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            "spec: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("ä"),
            "spec: Invalid value: \"ä\": spec in body should be at least 2 chars long",
        ),
        (
            json!({"type": "string", "pattern": "^a"}),
            json!("b"),
            "spec: Invalid value: \"b\": spec in body should match '^a'",
        ),
        (
            json!({"type": "string", "format": "ipv4"}),
            json!("b"),
            "spec: Invalid value: \"b\": spec in body must be of type ipv4: \"b\"",
        ),
        (
            json!({"type": "integer", "maximum": 10}),
            json!(11),
            "spec: Invalid value: 11: spec in body should be less than or equal to 10",
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "number", "maximum": 0.5, "exclusiveMaximum": true}),
            json!(0.5),
            "spec: Invalid value: 0.5: spec in body should be less than 0.5",
        ),
        (
            json!({"type": "number", "minimum": 1, "exclusiveMinimum": true}),
            json!(1),
            "spec: Invalid value: 1: spec in body should be greater than 1",
        ),
        (
            json!({"type": "integer", "multipleOf": 3}),
            json!(4),
            "spec: Invalid value: 4: spec in body should be a multiple of 3",
        ),
        (
            json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}),
            json!(["a", "b"]),
            "spec: Too many: 2: must have at most 1 items",
        ),
        (
            json!({"type": "array", "minItems": 1, "items": {"type": "string"}}),
            json!([]),
            "spec: Invalid value: 0: spec in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a", 1]),
            "spec[1]: Invalid value: \"integer\": spec[1] in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}}),
            json!({"a": "", "b": ""}),
            "spec: Too many: 2: must have at most 1 items",
        ),
        (
            json!({"type": "object", "minProperties": 1}),
            json!({}),
            "spec: Invalid value: 0: spec in body should have at least 1 properties",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"a": 1}),
            "spec.a: Invalid value: \"integer\": spec.a in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": 1, "b": 1}),
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ),
        (
            json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({}),
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid",
        ),
        (
            json!({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({}),
            "<nil>: Invalid value: \"\": \"spec\" must validate at least one schema (anyOf)",
        ),
        (
            json!({"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 3}]}),
            json!(4),
            "<nil>: Invalid value: \"\": \"spec\" must validate all the schemas (allOf)",
        ),
        (
            json!({"type": "string", "not": {"enum": ["a"]}}),
            json!("a"),
            "<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)",
        ),
    ];
    for (schema, value, want) in table {
        let got = errors(&schema, value.clone());
        assert_eq!(
            got.first().map(String::as_str),
            Some(want),
            "{schema} {value}: {got:?}"
        )
    }
}

#[test]
fn what_is_fine() {
    let table = [
        (json!({"type": "integer"}), json!(1.0)),
        (json!({"type": "number"}), json!(1)),
        (json!({"type": "string", "nullable": true}), json!(null)),
        (
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!("50%"),
        ),
        (json!({"type": "integer", "enum": [1, 2]}), json!(2.0)),
        (json!({"type": "string", "format": "no-such"}), json!("x")),
        (
            json!({"x-kubernetes-preserve-unknown-fields": true}),
            json!([1, {"a": null}]),
        ),
    ];
    for (schema, value) in table {
        assert_eq!(
            errors(&schema, value.clone()),
            Vec::<String>::new(),
            "{schema} {value}"
        );
    }
}

#[test]
fn an_update_only_answers_for_what_it_changes() {
    let schema = Schema::read(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 1}, "b": {"type": "string", "maxLength": 1},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}}}},
        }}}}),
    );
    let old = json!({"spec": {"a": "long", "b": "x", "list": [{"k": "1", "v": "long"}]}});
    let new = json!({"spec": {"a": "long", "b": "y", "list": [{"k": "0", "v": "x"}, {"k": "1", "v": "long"}]}});
    assert!(validate(&schema, &new, Some(&old)).is_empty());
    let worse = json!({"spec": {"a": "longer", "b": "y"}});
    assert_eq!(validate(&schema, &worse, Some(&old)).len(), 1);
}

#[test]
fn lists_without_repetition() {
    let schema = Schema::read(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": {"type": "object", "properties": {"port": {"type": "integer"}, "protocol": {"type": "string"}}}},
        }}}}),
    );
    let object = json!({"spec": {
        "set": ["a", "b", "a"],
        "map": [{"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "UDP"}, {"port": 1, "protocol": "TCP", "x": 1}],
    }});
    let mut got: Vec<String> = distinct(&schema, &object, &Path::root())
        .iter()
        .map(ToString::to_string)
        .collect();
    got.sort();
    assert_eq!(
        got,
        [
            "spec.map[2]: Duplicate value: {\"port\":1,\"protocol\":\"TCP\"}",
            "spec.set[2]: Duplicate value: \"a\""
        ]
    );
}

#[test]
fn objects_inside_objects_have_a_type() {
    let schema = Schema::read(&json!({"type": "object", "properties": {
        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}}));
    let object = json!({"template": {"kind": "Pod", "metadata": {"labels": {"-": "x"}}}});
    let got: Vec<String> = embedded(&schema, &object, &Path::root())
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        got[0],
        "template.apiVersion: Required value: must not be empty"
    );
    assert!(
        got[1].starts_with("template.metadata.labels: Invalid value: \"-\""),
        "{got:?}"
    );
}
