//! Flow schemas and priority levels.

use serde_json::{Value, json};

use crate::{of_new, of_status};

const SCHEMA: &str = "flowcontrol.apiserver.k8s.io/FlowSchema";
const LEVEL: &str = "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration";

#[test]
fn flow_schemas() {
    let rule = |rule: Value| json!({"spec": {"priorityLevelConfiguration": {"name": "a"}, "rules": [rule]}});
    let user = json!({"kind": "User", "user": {"name": "u"}});
    let verbs = "supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"";
    let cases: Vec<(Value, Vec<String>)> = vec![
        (
            rule(json!({"subjects": [user], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/healthz", "/a/*"]}]})),
            vec![],
        ),
        (
            json!({"spec": {"matchingPrecedence": 1, "distinguisherMethod": {"type": "x"}, "priorityLevelConfiguration": {"name": "A"}}}),
            vec![
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1".into(),
                "spec.distinguisherMethod.type: Unsupported value: {\"type\":\"x\"}: supported values: \"ByNamespace\", \"ByUser\"".into(),
                "spec.priorityLevelConfiguration.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')".into(),
            ],
        ),
        (
            rule(json!({"subjects": [{"kind": "User", "group": {"name": "g"}}, {"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": ""}}, {"kind": ""}],
                "resourceRules": [{"verbs": ["x"], "apiGroups": ["*", "a"], "namespaces": ["a.b"]}],
                "nonResourceRules": [{"verbs": [], "nonResourceURLs": ["a", "/a b", "//", "/*a"]}]})),
            vec![
                "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'".into(),
                "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'".into(),
                "spec.rules[0].subjects[1].serviceAccount.namespace: Required value: must specify namespace for service account".into(),
                "spec.rules[0].subjects[2].kind: Unsupported value: \"\": supported values: \"Group\", \"ServiceAccount\", \"User\"".into(),
                format!("spec.rules[0].resourceRules[0].verbs: Unsupported value: [\"x\"]: {verbs}"),
                "spec.rules[0].resourceRules[0].apiGroups: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other api groups".into(),
                "spec.rules[0].resourceRules[0].resources: Required value: resource rules must supply at least one resource".into(),
                "spec.rules[0].resourceRules[0].namespaces[0]: Invalid value: \"a.b\": each member of this list must be '*' or a DNS-1123 label; must not contain dots".into(),
                "spec.rules[0].nonResourceRules[0].verbs: Required value: verbs must contain at least one value".into(),
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"a\": must start with slash".into(),
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"/a b\": must not contain white-space".into(),
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: \"//\": must not contain double slash".into(),
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[3]: Invalid value: \"/*a\": wildcard can only do suffix matching".into(),
            ],
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(of_new(SCHEMA, object.clone(), false), expected, "{object}");
    }
    let changed = json!({"metadata": {"name": "catch-all"}, "spec": {"priorityLevelConfiguration": {"name": "a"}}});
    let errors = of_new(SCHEMA, changed, false);
    assert!(
        errors[0].ends_with("spec of 'catch-all' must equal the fixed value"),
        "{errors:?}"
    );
}

#[test]
fn priority_levels() {
    let limited = |limited: Value| json!({"spec": {"type": "Limited", "limited": limited}});
    let queue =
        |queuing: Value| limited(json!({"limitResponse": {"type": "Queue", "queuing": queuing}}));
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (
            limited(json!({"limitResponse": {"type": "Reject"}})),
            vec![],
        ),
        (queue(json!({})), vec![]),
        (
            json!({"spec": {"type": "Exempt"}}),
            vec![
                "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'",
            ],
        ),
        (
            json!({"metadata": {"name": "exempt"}, "spec": {"type": "Exempt", "exempt": {"lendablePercent": 101, "nominalConcurrencyShares": -1}}}),
            vec![
                "spec.exempt.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
                "spec.exempt.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
            ],
        ),
        (
            limited(
                json!({"nominalConcurrencyShares": -1, "lendablePercent": -1, "borrowingLimitPercent": -1, "limitResponse": {"type": "x"}}),
            ),
            vec![
                "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
                "spec.limited.limitResponse.type: Unsupported value: \"x\": supported values: \"Queue\", \"Reject\"",
                "spec.limited.lendablePercent: Invalid value: -1: must be between 0 and 100, inclusive",
                "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
            ],
        ),
        (
            queue(json!({"queues": 10_000_001, "handSize": 8, "queueLengthLimit": -1})),
            vec![
                "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -1: must be positive",
                "spec.limited.limitResponse.queuing.queues: Invalid value: 10000001: must not be greater than 10000000",
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 10000001 and handSize 8 should not be greater than 60",
            ],
        ),
        (
            queue(json!({"queues": 4, "handSize": 5})),
            vec![
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)",
            ],
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(of_new(LEVEL, object.clone(), false), expected, "{object}");
    }
}

#[test]
fn conditions_have_types() {
    let status = json!({"status": {"conditions": [{"type": ""}, {"type": "A"}, {"type": "A"}]}});
    for kind in [SCHEMA, LEVEL] {
        assert_eq!(
            of_status(kind, json!({}), status.clone(), false),
            [
                "status.conditions[0].type: Required value",
                "status.conditions[2].type: Duplicate value: \"A\"",
            ]
        );
    }
}
