//! Webhook configurations and admission policies.

use serde_json::{Value, json};

use crate::{of_new, of_status, of_update};

const WEBHOOKS: &str = "admissionregistration.k8s.io/ValidatingWebhookConfiguration";
const MUTATING_WEBHOOKS: &str = "admissionregistration.k8s.io/MutatingWebhookConfiguration";
const POLICY: &str = "admissionregistration.k8s.io/ValidatingAdmissionPolicy";
const BINDING: &str = "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding";
const MUTATING: &str = "admissionregistration.k8s.io/MutatingAdmissionPolicy";
const MUTATING_BINDING: &str = "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding";

/// `base` with the members of `change`, and without those that are null in it.
fn changed(mut base: Value, change: Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

fn rule() -> Value {
    json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]})
}

fn webhook(change: Value) -> Value {
    let base = json!({"name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://a.example.com"}, "rules": [rule()]});
    json!({"webhooks": [changed(base, change)]})
}

#[test]
fn webhooks() {
    let dns = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    let cases: Vec<(Value, Vec<String>)> = vec![
        (json!({}), vec![]),
        (
            json!({"name": "a.b"}),
            vec!["webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots".into()],
        ),
        (
            json!({"sideEffects": "Some", "timeoutSeconds": 31, "failurePolicy": "", "matchPolicy": "x"}),
            vec![
                "webhooks[0].failurePolicy: Unsupported value: \"\": supported values: \"Fail\", \"Ignore\"".into(),
                "webhooks[0].matchPolicy: Unsupported value: \"x\": supported values: \"Equivalent\", \"Exact\"".into(),
                "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"".into(),
                "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds".into(),
            ],
        ),
        (
            json!({"sideEffects": null}),
            vec!["webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun".into()],
        ),
        (
            json!({"admissionReviewVersions": ["1a", "1a"]}),
            vec![
                format!("webhooks[0].admissionReviewVersions[0]: Invalid value: \"1a\": {dns}"),
                "webhooks[0].admissionReviewVersions[1]: Invalid value: \"1a\": duplicate version".into(),
                "webhooks[0].admissionReviewVersions: Invalid value: [\"1a\",\"1a\"]: must include at least one of v1, v1beta1".into(),
            ],
        ),
        (
            json!({"rules": [{"operations": ["*", "x"], "apiVersions": [""], "resources": ["*", "pods", "a/*", "a/b", "*/*"], "scope": ""}]}),
            vec![
                "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"x\"]: if '*' is present, must not specify other operations".into(),
                "webhooks[0].rules[0].operations[1]: Unsupported value: \"x\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"".into(),
                "webhooks[0].rules[0].apiGroups: Required value".into(),
                "webhooks[0].rules[0].apiVersions[0]: Required value".into(),
                "webhooks[0].rules[0].resources[3]: Invalid value: \"a/b\": if 'a/*' is present, must not specify a/b".into(),
                "webhooks[0].rules[0].resources: Invalid value: [\"*\",\"pods\",\"a/*\",\"a/b\",\"*/*\"]: if '*/*' is present, must not specify other resources".into(),
                "webhooks[0].rules[0].resources: Invalid value: [\"*\",\"pods\",\"a/*\",\"a/b\",\"*/*\"]: if '*' is present, must not specify other resources without subresources".into(),
                "webhooks[0].rules[0].scope: Unsupported value: \"\": supported values: \"*\", \"Cluster\", \"Namespaced\"".into(),
            ],
        ),
        (
            json!({"matchConditions": [{"name": "a", "expression": "... [] bad expression"}, {"name": "a", "expression": "params.x == 1"}, {"name": "", "expression": " "}]}),
            vec![
                "webhooks[0].matchConditions[0].expression: Invalid value: \"... [] bad expression\": compilation failed: ERROR: <input>:1:2: Syntax error: no viable alternative at input '..'\n | ... [] bad expression\n | .^".into(),
                "webhooks[0].matchConditions[1].expression: Invalid value: \"params.x == 1\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.x == 1\n | ^".into(),
                "webhooks[0].matchConditions[1].name: Duplicate value: \"a\"".into(),
                "webhooks[0].matchConditions[2].expression: Required value".into(),
                "webhooks[0].matchConditions[2].name: Required value".into(),
            ],
        ),
    ];
    for (change, expected) in cases {
        for kind in [WEBHOOKS, MUTATING_WEBHOOKS] {
            assert_eq!(
                of_new(kind, webhook(change.clone()), false),
                expected,
                "{change}"
            );
        }
    }
    let policy = webhook(json!({"reinvocationPolicy": "x"}));
    assert_eq!(
        of_new(MUTATING_WEBHOOKS, policy, false),
        [
            "webhooks[0].reinvocationPolicy: Unsupported value: \"x\": supported values: \"IfNeeded\", \"Never\""
        ]
    );
}

#[test]
fn an_update_keeps_what_older_rules_allowed() {
    for change in [
        json!({"sideEffects": "Unknown"}),
        json!({"admissionReviewVersions": ["v2"]}),
        json!({"matchConditions": [{"name": "a", "expression": "("}]}),
        json!({"objectSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}}),
    ] {
        let stored = webhook(change);
        assert_ne!(of_new(WEBHOOKS, stored.clone(), false), [""; 0]);
        assert_eq!(
            of_update(WEBHOOKS, stored.clone(), stored.clone(), false),
            [""; 0],
            "{stored}"
        );
        let good = webhook(json!({}));
        assert_ne!(of_update(WEBHOOKS, good, stored, false), [""; 0]);
    }
}

fn policy(change: Value) -> Value {
    let base = json!({"matchConstraints": {"resourceRules": [rule()]}, "validations": [{"expression": "true"}]});
    json!({ "spec": changed(base, change) })
}

#[test]
fn validating_policies() {
    let bool_of = |name: &str, got: &str| format!("spec.{name}: Invalid value: {got}");
    let cases: Vec<(Value, Vec<String>)> = vec![
        (json!({}), vec![]),
        (
            json!({"variables": [{"name": "replicas", "expression": "object.spec.replicas"}],
                "validations": [{"expression": "variables.replicas < 5", "messageExpression": "string(variables.replicas)", "reason": "Invalid"}],
                "auditAnnotations": [{"key": "replicas", "valueExpression": "'a'"}]}),
            vec![],
        ),
        (
            json!({"validations": []}),
            vec![
                "spec.validations: Required value: validations or auditAnnotations must contain at least one item".into(),
                "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item".into(),
            ],
        ),
        (
            json!({"validations": [{"expression": " ", "message": "a\nb", "messageExpression": " ", "reason": "x"}]}),
            vec![
                "spec.validations[0].expression: Required value: expression is not specified".into(),
                "spec.validations[0].messageExpression: Invalid value: \" \": must be non-empty if specified".into(),
                "spec.validations[0].message: Invalid value: \"a\\nb\": must not contain line breaks".into(),
                "spec.validations[0].reason: Unsupported value: \"x\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"".into(),
            ],
        ),
        (
            json!({"validations": [{"expression": "object.a", "messageExpression": "1"}]}),
            vec![
                bool_of("validations[0].expression", "\"object.a\": must evaluate to bool but got dyn"),
                bool_of("validations[0].messageExpression", "\"1\": must evaluate to string but got int"),
            ],
        ),
        (
            json!({"variables": [{"name": "in", "expression": ""}, {"name": "", "expression": "variables.none"}]}),
            vec![
                "spec.variables[0].name: Invalid value: \"in\": must be a valid CEL identifier".into(),
                "spec.variables[0].expression: Required value: expression is not specified".into(),
                "spec.variables[1].name: Required value: name is not specified".into(),
                "spec.variables[1].expression: Invalid value: \"variables.none\": compilation failed: ERROR: <input>:1:10: undefined field 'none'\n | variables.none\n | .........^".into(),
            ],
        ),
        (
            json!({"auditAnnotations": [{"key": "a", "valueExpression": ""}, {"key": "a", "valueExpression": "true"}]}),
            vec![
                "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified".into(),
                "spec.auditAnnotations[1].valueExpression: Invalid value: \"true\": must evaluate to one of [string null_type] but got bool".into(),
                "spec.auditAnnotations[1].key: Duplicate value: \"a\"".into(),
            ],
        ),
        (
            json!({"paramKind": {"apiVersion": "a/b/c", "kind": ""}, "matchConstraints": {"matchPolicy": "x", "resourceRules": [changed(rule(), json!({"resourceNames": ["a", "a"]}))],
                "excludeResourceRules": [{}]}}),
            vec![
                "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c".into(),
                "spec.paramKind.kind: Required value".into(),
                "spec.matchConstraints.matchPolicy: Unsupported value: \"x\": supported values: \"Equivalent\", \"Exact\"".into(),
                "spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: \"a\"".into(),
                "spec.matchConstraints.excludeResourceRules[0].operations: Required value".into(),
                "spec.matchConstraints.excludeResourceRules[0].apiGroups: Required value".into(),
                "spec.matchConstraints.excludeResourceRules[0].apiVersions: Required value".into(),
                "spec.matchConstraints.excludeResourceRules[0].resources: Required value".into(),
            ],
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(
            of_new(POLICY, policy(change.clone()), false),
            expected,
            "{change}"
        );
    }
}

#[test]
fn the_status_of_a_policy() {
    let status = json!({"status": {"typeChecking": {"expressionWarnings": [{"fieldRef": "spec.validations[0].expression", "warning": ""}, {"fieldRef": " ", "warning": "w"}]},
        "conditions": [{"type": "A", "status": "True", "reason": "R"}]}});
    assert_eq!(
        of_status(POLICY, json!({}), status, false),
        [
            "status.typeChecking.expressionWarnings[0].warning: Required value",
            "status.typeChecking.expressionWarnings[1].fieldRef: Required value",
            "status.conditions[0].lastTransitionTime: Required value",
        ]
    );
}

#[test]
fn mutating_policies() {
    let mutation = |change: Value| {
        json!({"spec": changed(json!({"matchConstraints": {"resourceRules": [rule()]}, "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{spec: Object.spec{replicas: 1}}"}}]}), change)})
    };
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (json!({}), vec![]),
        (
            json!({"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: 'x'}]"}}]}),
            vec![],
        ),
        (
            json!({"mutations": [], "reinvocationPolicy": ""}),
            vec![
                "spec.mutations: Required value: mutations must contain at least one item",
                "spec.reinvocationPolicy: Required value",
            ],
        ),
        (
            json!({"mutations": [{"patchType": "x"}, {"patchType": ""}, {"patchType": "JSONPatch", "applyConfiguration": {"expression": ""}}]}),
            vec![
                "spec.mutations[0].patchType: Unsupported value: \"x\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
                "spec.mutations[1].patchType: Required value",
                "spec.mutations[2].jsonPatch: Required value: must be specified when patchType is JSONPatch",
                "spec.mutations[2].applyConfiguration: Invalid value: \"{applyConfiguration}\": must not be specified when patchType is JSONPatch",
            ],
        ),
        (
            json!({"matchConstraints": {"resourceRules": [changed(rule(), json!({"operations": ["DELETE"]}))]}, "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "'a'"}}]}),
            vec![
                "spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"",
                "spec.mutations[0].applyConfiguration.expression: Invalid value: \"'a'\": must evaluate to Object but got string",
            ],
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(
            of_new(MUTATING, mutation(change.clone()), false),
            expected,
            "{change}"
        );
    }
}

#[test]
fn bindings() {
    let good = json!({"policyName": "p", "validationActions": ["Deny"]});
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (json!({}), vec![]),
        (
            json!({"policyName": "", "validationActions": ["Deny", "Warn", "Warn"]}),
            vec![
                "spec.policyName: Required value",
                "spec.validationActions[2]: Duplicate value: \"Warn\"",
                "spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Warn\"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
            ],
        ),
        (
            json!({"paramRef": {"name": "a/b", "selector": {}, "parameterNotFoundAction": "x"}}),
            vec![
                "spec.paramRef.name: Invalid value: \"a/b\": may not contain '/'",
                "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.parameterNotFoundAction: Unsupported value: \"x\": supported values: \"Deny\", \"Allow\"",
            ],
        ),
        (
            json!({"paramRef": {}}),
            vec![
                "spec.paramRef: Required value: one of name or selector must be specified",
                "spec.paramRef.parameterNotFoundAction: Required value",
            ],
        ),
        (
            json!({"matchResources": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "x"}]}}}),
            vec![
                "spec.matchResources.namespaceSelector.matchExpressions[0].operator: Invalid value: \"x\": not a valid selector operator",
            ],
        ),
    ];
    for (change, expected) in cases {
        let binding = json!({ "spec": changed(good.clone(), change.clone()) });
        assert_eq!(of_new(BINDING, binding, false), expected, "{change}");
    }
    let deletes = json!({"spec": {"policyName": "p", "matchResources": {"resourceRules": [changed(rule(), json!({"operations": ["DELETE"]}))]}}});
    assert_eq!(
        of_new(MUTATING_BINDING, deletes, false),
        [
            "spec.matchResources.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\""
        ]
    );
}
