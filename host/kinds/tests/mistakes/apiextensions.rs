//! Definitions of custom resources.

use serde_json::{Value, json};

use crate::{of_new, of_status, of_update};

const DEFINITION: &str = "apiextensions.k8s.io/CustomResourceDefinition";

fn version(change: Value) -> Value {
    let mut version = json!({"name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"color": {"type": "string"}, "any": {"type": "object"}}}}}}});
    version
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    version
}

fn definition(change: Value) -> Value {
    let mut spec = json!({"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"}, "versions": [version(json!({}))]});
    spec.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    json!({"metadata": {"name": "widgets.example.com"}, "spec": spec, "status": {"storedVersions": ["v1"]}})
}

const LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn definitions() {
    let cases: Vec<(Value, Vec<String>)> = vec![
        (json!({}), vec![]),
        (
            json!({"group": "com", "scope": "x"}),
            vec![
                "metadata.name: Invalid value: \"widgets.example.com\": must be spec.names.plural+\".\"+spec.group".into(),
                "spec.group: Invalid value: \"com\": should be a domain with at least one dot".into(),
                "spec.scope: Unsupported value: \"x\": supported values: \"Cluster\", \"Namespaced\"".into(),
            ],
        ),
        (
            json!({"names": {"plural": "widgets", "kind": "A b", "listKind": "A b", "shortNames": ["-"]}}),
            vec![
                format!("spec.names.singular: Invalid value: \"a b\": {LABEL}"),
                format!("spec.names.kind: Invalid value: \"A b\": may have mixed case, but should otherwise match: {LABEL}"),
                format!("spec.names.listKind: Invalid value: \"A b\": may have mixed case, but should otherwise match: {LABEL}"),
                format!("spec.names.shortNames[0]: Invalid value: \"-\": {LABEL}"),
                "spec.names.listKind: Invalid value: \"A b\": kind and listKind may not be the same".into(),
            ],
        ),
        (
            json!({"preserveUnknownFields": true, "conversion": {"strategy": "None", "webhook": {"clientConfig": {}, "conversionReviewVersions": ["v1"]}}}),
            vec![
                "spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook".into(),
                "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook".into(),
                "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead".into(),
            ],
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(
            of_new(DEFINITION, definition(change.clone()), false),
            expected,
            "{change}"
        );
    }
}

#[test]
fn parts_of_versions_are_named_where_upstream_keeps_them() {
    let formats = "must be one of byte,date,date-time,double,float,int32,int64,password";
    let types = "must be one of boolean,date,integer,number,string";
    let cases: Vec<(Value, Vec<String>)> = vec![
        (
            json!({"additionalPrinterColumns": [{"name": "a", "type": "x", "format": "y", "jsonPath": "a"}, {}]}),
            vec![
                format!("additionalPrinterColumns[0].type: Invalid value: \"x\": {types}"),
                format!("additionalPrinterColumns[0].format: Invalid value: \"y\": {formats}"),
                "additionalPrinterColumns[0].JSONPath: Invalid value: \"a\": must be a simple json path starting with .".into(),
                "additionalPrinterColumns[1].name: Required value".into(),
                format!("additionalPrinterColumns[1].type: Required value: {types}"),
                "additionalPrinterColumns[1].JSONPath: Required value".into(),
            ],
        ),
        (
            json!({"subresources": {"scale": {"specReplicasPath": "a", "statusReplicasPath": ".spec.a", "labelSelectorPath": ".a"}}}),
            vec![
                "subresources.scale.specReplicasPath: Invalid value: \"a\": must be a simple json path starting with .".into(),
                "subresources.scale.statusReplicasPath: Invalid value: \".spec.a\": should be a json path under .status".into(),
                "subresources.scale.labelSelectorPath: Invalid value: \".a\": should be a json path under either .spec or .status".into(),
            ],
        ),
        (
            json!({"selectableFields": [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.color"}, {"jsonPath": ".spec.any"}, {"jsonPath": ".spec.none"}, {}]}),
            vec![
                "selectableFields[1].jsonPath: Duplicate value: \".spec.color\"".into(),
                "selectableFields[2].jsonPath: Invalid value: \".spec.any\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.".into(),
                "selectableFields[3].jsonPath: Invalid value: \".spec.none\": is an invalid path: does not refer to a valid field".into(),
                "selectableFields[4].jsonPath: Required value".into(),
            ],
        ),
    ];
    for (change, expected) in cases {
        let alone = definition(json!({"versions": [version(change.clone())]}));
        let shared: Vec<String> = expected.iter().map(|text| format!("spec.{text}")).collect();
        assert_eq!(of_new(DEFINITION, alone, false), shared, "{change}");
        let other = version(json!({"name": "v2", "storage": false}));
        let of_two = definition(json!({"versions": [version(change), other]}));
        let own: Vec<String> = expected
            .iter()
            .map(|text| format!("spec.versions[0].{text}"))
            .collect();
        assert_eq!(of_new(DEFINITION, of_two, false), own);
    }
}

#[test]
fn lists_of_versions() {
    let of = |versions: Value| of_new(DEFINITION, definition(json!({"versions": versions})), false);
    let value = |errors: &[String]| {
        errors
            .iter()
            .map(|text| {
                text.split_once(": Invalid value")
                    .map_or(text.clone(), |(path, rest)| {
                        let detail = rest.rsplit(": ").next().unwrap();
                        format!("{path}: {detail}")
                    })
            })
            .collect::<Vec<_>>()
    };
    let errors = of(json!([version(json!({})), version(json!({}))]));
    assert_eq!(
        value(&errors),
        [
            "spec.versions: must contain unique version names",
            "spec.versions: must have exactly one version marked as storage version",
        ]
    );
    let warned = version(json!({"deprecationWarning": "x"}));
    assert_eq!(
        of(json!([warned])),
        [
            "spec.versions[0].deprecationWarning: Invalid value: \"x\": can only be set for deprecated versions"
        ]
    );
    let blank = version(json!({"deprecated": true, "deprecationWarning": "a\nb"}));
    assert_eq!(
        of(json!([blank])),
        [
            "spec.versions[0].deprecationWarning: Invalid value: \"a\\nb\": must only contain printable UTF-8 characters; non-printable character found at index 1"
        ]
    );
    let bare = version(json!({"schema": null}));
    assert_eq!(
        of(json!([bare])),
        ["spec.versions[0].schema.openAPIV3Schema: Required value"]
    );
    assert_eq!(
        of(json!([version(json!({"name": "1"}))])),
        [
            format!("spec.versions[0].name: Invalid value: \"1\": {LABEL}"),
            format!("spec.version: Invalid value: \"1\": {LABEL}"),
        ]
    );
}

#[test]
fn roots_of_schemas() {
    let of = |schema: Value, subresources: Value| {
        let version =
            version(json!({"schema": {"openAPIV3Schema": schema}, "subresources": subresources}));
        of_new(
            DEFINITION,
            definition(json!({"versions": [version]})),
            false,
        )
    };
    let root = json!({"type": "object", "nullable": true, "oneOf": [{"required": ["a"]}], "properties": {"a": {"type": "string"}}});
    let nullable =
        "spec.validation.openAPIV3Schema.nullable: Forbidden: nullable cannot be true at the root";
    assert_eq!(of(root.clone(), json!({})), [nullable]);
    let errors = of(root, json!({"status": {}}));
    assert_eq!(errors.len(), 2);
    assert!(
        errors[0].contains(
            "fields are allowed at the root of the schema if the status subresource is enabled"
        ),
        "{errors:?}"
    );
    let property = |schema: Value| {
        of(
            json!({"type": "object", "properties": {"a": schema}}),
            json!({}),
        )
    };
    let at = "spec.validation.openAPIV3Schema.properties[a]";
    for (schema, expected) in [
        (
            json!({"type": "integer", "x-kubernetes-list-type": ""}),
            vec![
                format!(
                    "{at}.type: Invalid value: \"integer\": must be array if x-kubernetes-list-type is specified"
                ),
                format!(
                    "{at}.x-kubernetes-list-type: Unsupported value: \"\": supported values: \"atomic\", \"set\", \"map\""
                ),
            ],
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "k", "n"], "items": {"type": "object", "properties": {"k": {"type": "string", "nullable": true}}}}),
            vec![
                format!(
                    "{at}.x-kubernetes-list-map-keys: Invalid value: [\"k\",\"k\",\"n\"]: must not contain duplicate entries"
                ),
                format!(
                    "{at}.x-kubernetes-list-map-keys: Invalid value: [\"k\",\"k\",\"n\"]: entries must all be names of item properties"
                ),
                format!(
                    "{at}.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
                ),
                format!(
                    "{at}.items.properties[k].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
                ),
                format!(
                    "{at}.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
                ),
                format!(
                    "{at}.items.properties[k].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
                ),
            ],
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object", "nullable": true}}),
            vec![
                format!(
                    "{at}.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set"
                ),
                format!(
                    "{at}.items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set"
                ),
            ],
        ),
    ] {
        assert_eq!(property(schema.clone()), expected, "{schema}");
    }
}

#[test]
fn what_is_stored_stays() {
    let established = |mut object: Value| {
        object["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
        object
    };
    let old = established(definition(json!({})));
    let names = json!({"plural": "widgets", "kind": "Other"});
    assert_eq!(
        of_update(
            DEFINITION,
            old.clone(),
            definition(json!({"scope": "Cluster", "names": names})),
            false
        ),
        [
            "spec.scope: Invalid value: \"Cluster\": field is immutable",
            "spec.names.kind: Invalid value: \"Other\": field is immutable",
        ]
    );
    let renamed = definition(json!({"versions": [version(json!({"name": "v2"}))]}));
    assert_eq!(
        of_update(DEFINITION, old, renamed, false),
        [
            "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v2",
            "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions",
        ]
    );
}

#[test]
fn approvals_that_are_missing_may_stay_missing() {
    let of = |approval: Value| {
        let mut object = definition(json!({"group": "example.k8s.io"}));
        object["metadata"] = json!({"name": "widgets.example.k8s.io", "annotations": {"api-approved.kubernetes.io": approval}});
        object
    };
    let path = "metadata.annotations[api-approved.kubernetes.io]";
    let intro = "protected groups must have approval annotation \"api-approved.kubernetes.io\"";
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    assert_eq!(
        of_new(DEFINITION, of(json!("")), false),
        [format!("{path}: Required value: {intro}, {see}")]
    );
    assert_eq!(
        of_new(DEFINITION, of(json!("x")), false),
        [format!(
            "{path}: Invalid value: \"x\": {intro} with either a URL or a reason starting with \"unapproved\", {see}"
        )]
    );
    for good in ["https://a.b/c", "unapproved, for a test"] {
        assert_eq!(of_new(DEFINITION, of(json!(good)), false), [""; 0]);
    }
    assert_eq!(
        of_update(DEFINITION, of(json!("")), of(json!("")), false),
        [""; 0]
    );
}

#[test]
fn accepted_names_have_the_form_of_names() {
    let status = json!({"status": {"acceptedNames": {"plural": "A", "kind": ""}}});
    assert_eq!(
        of_status(DEFINITION, definition(json!({})), status, false),
        [
            "metadata.name: Invalid value: \"x\": field is immutable".to_owned(),
            format!("status.acceptedNames.plural: Invalid value: \"A\": {LABEL}"),
        ]
    );
}
