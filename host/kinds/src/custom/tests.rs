//! Pruning, defaulting, columns and what definitions are refused for, case by case.

use k3s_meta::field::Path;
use serde_json::{Value, json};

use super::rules::CustomRules;
use super::schema::Schema;
use super::{default, prune, structural};

#[test]
fn unknown_fields_are_removed_and_named() {
    let schema = Schema::read(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "a": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "string"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"c": {"type": "string"}}}},
            "any": {"type": "object", "additionalProperties": true},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"known": {"type": "object", "properties": {"d": {"type": "string"}}}}},
            "inner": {"type": "object", "x-kubernetes-embedded-resource": true,
                "properties": {"spec": {"type": "object", "properties": {"e": {"type": "string"}}}}},
        }},
    }}));
    let mut object = json!({
        "apiVersion": "x/v1", "kind": "X", "metadata": {"name": "a", "labels": {"x": "y"}}, "other": 1,
        "spec": {
            "a": "x", "z": 1,
            "list": [{"b": "x", "z": 1}],
            "map": {"k": {"c": "x", "z": 1}},
            "any": {"k": 1, "o": {"z": 1}},
            "free": {"x": {"y": [{"z": 1}]}, "known": {"d": "x", "z": 1}},
            "inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"e": "x", "z": 1}},
        },
    });
    let mut unknown = prune::prune(&schema, &mut object);
    unknown.sort();
    let mut want = [
        "spec.any.o.z",
        "spec.free.known.z",
        "spec.inner.spec.z",
        "spec.list[0].z",
        "spec.map.k.z",
        "spec.z",
        "other",
    ]
    .map(|field| format!("unknown field \"{field}\""));
    want.sort();
    assert_eq!(unknown, want);
    assert_eq!(
        object["spec"]["free"],
        json!({"x": {"y": [{"z": 1}]}, "known": {"d": "x"}})
    );
    assert_eq!(object["spec"]["any"], json!({"k": 1, "o": {}}));
    assert_eq!(object["metadata"]["labels"], json!({"x": "y"}));
    assert!(prune::prune(&schema, &mut object).is_empty());
}

#[test]
fn defaults_fill_what_is_missing_or_null() {
    let schema = Schema::read(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "default": {}, "properties": {
            "replicas": {"type": "integer", "default": 1},
            "nullable": {"type": "string", "nullable": true, "default": "x"},
            "gone": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"on": {"type": "boolean", "default": false}}}},
        }},
    }}));
    let table = [
        (json!({}), json!({"spec": {"replicas": 1, "nullable": "x"}})),
        (
            json!({"spec": {"replicas": null, "nullable": null, "gone": null}}),
            json!({"spec": {"replicas": 1, "nullable": null}}),
        ),
        (
            json!({"spec": {"replicas": 0, "nullable": "", "list": [{}, {"port": 1}], "map": {"a": {}}}}),
            json!({"spec": {"replicas": 0, "nullable": "", "list": [{"port": 80}, {"port": 1}], "map": {"a": {"on": false}}}}),
        ),
    ];
    for (mut object, want) in table {
        default::fill(&schema, &mut object);
        assert_eq!(object, want);
        default::fill(&schema, &mut object);
        assert_eq!(object, want);
    }
}

#[test]
fn columns_show_what_their_paths_lead_to() {
    let version = json!({
        "schema": {"openAPIV3Schema": {"type": "object"}},
        "additionalPrinterColumns": [
            {"name": "Spec", "type": "string", "jsonPath": ".spec.cron", "description": "The schedule."},
            {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
            {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
            {"name": "List", "type": "string", "jsonPath": ".spec.list"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            {"name": "Wrong", "type": "integer", "jsonPath": ".spec.cron"},
        ],
    });
    let rules = CustomRules::read(&version).unwrap();
    let columns = rules.column_definitions();
    assert_eq!(columns[0]["name"], "Name");
    assert_eq!(
        columns[2],
        json!({"name": "Replicas", "type": "integer", "format": "", "priority": 1,
            "description": "Custom resource definition column (in JSONPath format): .spec.replicas"})
    );
    let object = json!({
        "metadata": {"name": "a", "creationTimestamp": "2026-11-20T10:00:00Z"},
        "spec": {"cron": "* *", "replicas": 3, "list": ["a"]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let now = "2026-11-20T10:05:00Z".parse().unwrap();
    assert_eq!(
        rules.cells(&object, now),
        [
            json!("a"),
            json!("* *"),
            json!(3),
            json!("True"),
            json!("[\"a\"]"),
            json!("5m"),
            Value::Null
        ]
    );
    let plain = CustomRules::read(&json!({})).unwrap();
    assert_eq!(plain.cells(&object, now), [json!("a"), json!("5m")]);
}

#[test]
fn the_generation_counts_changes_outside_of_metadata() {
    let with = CustomRules::read(&json!({"subresources": {"status": {}}}))
        .unwrap()
        .rules()
        .generation;
    let without = CustomRules::read(&json!({})).unwrap().rules().generation;
    let object = |spec: i64, status: i64, label: &str| json!({"metadata": {"labels": {"a": label}}, "spec": spec, "status": status});
    let old = object(1, 1, "x");
    assert!(with.changed(&object(2, 1, "x"), &old) && without.changed(&object(2, 1, "x"), &old));
    assert!(!with.changed(&object(1, 2, "x"), &old) && without.changed(&object(1, 2, "x"), &old));
    assert!(!with.changed(&object(1, 1, "y"), &old) && !without.changed(&object(1, 1, "y"), &old));
}

fn refusals(schema: Value) -> Vec<String> {
    structural::check(&schema, &Path::new("s"))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    let property = |schema: Value| json!({"type": "object", "properties": {"a": schema}});
    let table = [
        (
            json!({"properties": {}}),
            "s.type: Required value: must not be empty at the root",
        ),
        (
            json!({"type": "string"}),
            "s.type: Invalid value: \"string\": must be object at the root",
        ),
        (
            property(json!({})),
            "s.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            property(json!({"type": "array"})),
            "s.properties[a].items: Required value: must be specified",
        ),
        (
            property(json!({"type": "array", "items": {}})),
            "s.properties[a].items.type: Required value: must not be empty for specified array items",
        ),
        (
            property(json!({"type": "strin"})),
            "s.properties[a].type: Unsupported value: \"strin\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
        ),
        (
            property(json!({"$ref": "#/x", "type": "string"})),
            "s.properties[a].$ref: Forbidden: $ref is not supported",
        ),
        (
            property(json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}})),
            "s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            property(json!({"type": "object", "additionalProperties": false})),
            "s.properties[a].additionalProperties: Forbidden: additionalProperties cannot be set to false",
        ),
        (
            property(json!({"type": "string", "anyOf": [{"type": "string", "minLength": 1}]})),
            "s.properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            property(
                json!({"type": "object", "anyOf": [{"required": ["x"]}, {"properties": {"x": {"minLength": 1}}}]}),
            ),
            "s.properties[a].properties[x]: Required value: because it is defined in s.properties[a].anyOf[1].properties[x]",
        ),
        (
            property(json!({"type": "integer", "default": "x"})),
            "s.properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\"",
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
        ),
        (
            property(
                json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}),
            ),
            "s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ),
    ];
    for (schema, want) in table {
        let got = refusals(schema.clone());
        assert!(got.iter().any(|text| text == want), "{schema}: {got:#?}");
    }
    let pattern = refusals(property(json!({"type": "string", "pattern": "a("})));
    assert!(
        pattern[0].starts_with(
            "s.properties[a].pattern: Invalid value: \"a(\": must be a valid regular expression, but isn't: "
        ),
        "{pattern:?}"
    );
    let fine = [
        property(
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "^x"}),
        ),
        property(json!({"x-kubernetes-preserve-unknown-fields": true})),
        property(
            json!({"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}}, "oneOf": [{"required": ["x"]}, {"required": ["y"]}]}),
        ),
        property(
            json!({"type": "object", "default": {"n": 1}, "properties": {"n": {"type": "integer"}}}),
        ),
    ];
    for schema in fine {
        assert_eq!(refusals(schema.clone()), Vec::<String>::new(), "{schema}");
    }
}
