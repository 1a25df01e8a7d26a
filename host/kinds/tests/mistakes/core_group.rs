//! Nodes, namespaces, quotas, secrets and replication controllers.

use serde_json::{Value, json};

use crate::{of_new, of_status, of_update};

#[test]
fn nodes() {
    const NODE: &str = "/Node";
    let taint = json!({"key": "a b", "value": "-", "effect": "Never"});
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (
            json!({"spec": {"podCIDRs": ["10.0.0.0/24", "fd00::/64"], "configSource": {"configMap": {}}}}),
            vec![],
        ),
        (
            json!({"spec": {"taints": [taint, {"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]}}),
            vec![
                "metadata.taints[0].key: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                "metadata.taints[0].value: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
                "metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
                "metadata.taints[2]: Duplicate value: {\"Key\":\"a\",\"Value\":\"\",\"Effect\":\"NoSchedule\",\"TimeAdded\":null}: taints must be unique by key and effect pair",
            ],
        ),
        (
            json!({"spec": {"podCIDRs": ["10.0.0.0/24", "x"]}}),
            vec![
                "spec.podCIDRs[1]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
                "spec.podCIDRs: Internal error: invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[1]: <nil> (invalid CIDR address: x)",
                "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"x\"]: may specify no more than one CIDR for each IP family",
            ],
        ),
        (
            json!({"status": {"capacity": {"pods": "1500m"}, "allocatable": {"cpu": "-1"}, "nodeInfo": {"swap": {"capacity": 0}}}}),
            vec![
                "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
                "status.allocatable.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
                "metadata.nodeSwapStatus.capacity: Invalid value: 0: must be greater than zero",
            ],
        ),
        (
            json!({"status": {"declaredFeatures": ["B/c", "A", "A"]}}),
            vec![
                "status.declaredFeatures[1]: Invalid value: \"A\": list must be sorted alphabetically",
                "status.declaredFeatures[2]: Duplicate value: \"A\"",
            ],
        ),
        (
            json!({"status": {"declaredFeatures": ["a"]}}),
            vec![
                "status.declaredFeatures[0]: Invalid value: \"a\": invalid feature name \"a\": must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes",
            ],
        ),
    ];
    for (node, expected) in cases {
        assert_eq!(of_new(NODE, node.clone(), false), expected, "{node}");
    }
}

#[test]
fn steps_of_nodes() {
    const NODE: &str = "/Node";
    let old = json!({"spec": {"podCIDR": "10.0.0.0/24", "providerID": "a://b", "externalID": "x"}});
    let new = json!({"spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.0.0.0/24"], "unschedulable": true}});
    assert_eq!(
        of_update(NODE, old.clone(), new, false),
        [
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
            "spec.externalID: Forbidden: may not be updated",
        ]
    );
    let address = json!({"type": "InternalIP", "address": "10.0.0.1"});
    let mut new = old.clone();
    new["status"] = json!({"addresses": [address, address]});
    assert_eq!(
        of_status(NODE, old, new, false),
        [
            "status.addresses[1]: Duplicate value: {\"address\":\"10.0.0.1\",\"type\":\"InternalIP\"}"
        ]
    );
}

#[test]
fn finalizers_of_namespaces() {
    let namespace = json!({"spec": {"finalizers": ["kubernetes", "example.com/x", "own"]}});
    let expected = [
        "spec.finalizers: Invalid value: \"own\": name is neither a standard finalizer name nor is it fully qualified",
    ];
    assert_eq!(of_new("/Namespace", namespace, false), expected);
}

#[test]
fn quotas() {
    const QUOTA: &str = "/ResourceQuota";
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (
            json!({"hard": {"pods": "1", "example.com/x": "2"}, "scopes": ["BestEffort"]}),
            vec![],
        ),
        (
            json!({"hard": {"storage": "1", "pods": "1500m"}}),
            vec![
                "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
                "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota",
            ],
        ),
        (
            json!({"hard": {"cpu": "1"}, "scopes": ["BestEffort", "NotBestEffort", "x"]}),
            vec![
                "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"x\"]: unsupported scope applied to resource",
                "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"x\"]: unsupported scope",
                "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"x\"]: conflicting scopes",
            ],
        ),
        (
            json!({"scopeSelector": {"matchExpressions": [
                {"scopeName": "Terminating", "operator": "In", "values": ["a"]},
                {"scopeName": "NotTerminating", "operator": "Exists"},
            ]}}),
            vec![
                "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
                "spec.scopes: Invalid value: null: conflicting scopes",
            ],
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(
            of_new(QUOTA, json!({ "spec": spec }), true),
            expected,
            "{spec}"
        );
    }
    let [old, new] = [["BestEffort", "Terminating"], ["Terminating", "BestEffort"]]
        .map(|scopes| json!({"spec": {"scopes": scopes}}));
    assert_eq!(of_update(QUOTA, old.clone(), new, true), [""; 0]);
    assert_eq!(
        of_update(QUOTA, old.clone(), json!({}), true),
        ["spec.scopes: Invalid value: null: field is immutable"]
    );
    let mut new = old.clone();
    new["status"] = json!({"hard": {"x": "1"}, "used": {"pods": "-1"}});
    assert_eq!(
        of_status(QUOTA, old, new, true),
        [
            "status.hard[x]: Invalid value: \"x\": must be a standard resource type or fully qualified",
            "status.hard[x]: Invalid value: \"x\": must be a standard resource for quota",
            "status.used[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
        ]
    );
}

#[test]
fn secrets_of_known_types() {
    for (kind, data, expected) in [
        (
            "kubernetes.io/dockercfg",
            json!({".dockercfg": "e30="}),
            vec![],
        ),
        (
            "kubernetes.io/dockercfg",
            json!({".dockercfg": "W10="}),
            vec![
                "data[.dockercfg]: Invalid value: \"<secret contents redacted>\": json: cannot unmarshal array into Go value of type map[string]interface {}",
            ],
        ),
        (
            "kubernetes.io/dockerconfigjson",
            json!({".dockerconfigjson": "Kg=="}),
            vec![
                "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": invalid character '*' looking for beginning of value",
            ],
        ),
        (
            "kubernetes.io/ssh-auth",
            json!({"ssh-privatekey": ""}),
            vec!["data[ssh-privatekey]: Required value"],
        ),
    ] {
        let secret = json!({"type": kind, "data": data});
        assert_eq!(of_new("/Secret", secret, true), expected, "{kind}");
    }
}

/// A selector is held against the labels of the template, and by no rule of its own.
#[test]
fn selectors_of_replication_controllers() {
    let spec = json!({"selector": {"a": "-"}, "template": {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }});
    assert_eq!(
        of_new("/ReplicationController", json!({ "spec": spec }), true),
        [
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"
        ]
    );
}
