//! Networking, policy, access and leases.

use serde_json::{Value, json};

use crate::{of_new, of_status, of_update};

const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

#[test]
fn ingresses() {
    const INGRESS: &str = "networking.k8s.io/Ingress";
    let of = |backend: Value| json!({"spec": {"defaultBackend": backend}});
    let path = |kind: Value, text: &str| {
        let path = json!({"path": text, "pathType": kind, "backend": {"service": {"name": "a", "port": {"number": 80}}}});
        json!({"spec": {"rules": [{"host": "a.b", "http": {"paths": [path]}}]}})
    };
    let cases: Vec<(Value, Vec<String>)> = vec![
        (
            json!({"spec": {}}),
            vec!["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified".to_owned()],
        ),
        (
            of(json!({})),
            vec!["spec.defaultBackend: Invalid value: \"\": resource or service backend is required".to_owned()],
        ),
        (
            of(json!({"service": {"name": "1a", "port": {}}})),
            vec!["spec.defaultBackend: Required value: port name or number is required".to_owned()],
        ),
        (
            of(json!({"service": {"name": "a.b", "port": {"name": "http", "number": 80}}})),
            vec![
                "spec.defaultBackend.service.name: Invalid value: \"a.b\": must not contain dots".to_owned(),
                "spec.defaultBackend: Invalid value: \"\": cannot set both port name & port number".to_owned(),
            ],
        ),
        (
            of(json!({"resource": {"apiGroup": "A", "kind": "a/b", "name": "c"}})),
            vec![
                format!("spec.defaultBackend.resource.apiGroup: Invalid value: \"A\": {DNS_NAME}"),
                "spec.defaultBackend.resource.kind: Invalid value: \"a/b\": may not contain '/'".to_owned(),
            ],
        ),
        (
            path(json!("Exact"), "a//b/.."),
            vec![
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": must be an absolute path".to_owned(),
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": must not contain '//'".to_owned(),
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b/..\": cannot end with '/..'".to_owned(),
            ],
        ),
        (
            json!({"spec": {"rules": [{"host": "010.0.0.1"}], "tls": [{"secretName": "A"}], "ingressClassName": ""}}),
            vec![
                "spec.rules[0].host: Invalid value: \"010.0.0.1\": must be a DNS name, not an IP address".to_owned(),
                format!("spec.tls[0].secretName: Invalid value: \"A\": {DNS_NAME}"),
                format!("spec.ingressClassName: Invalid value: \"\": {DNS_NAME}"),
            ],
        ),
    ];
    for (ingress, expected) in cases {
        assert_eq!(
            of_new(INGRESS, ingress.clone(), true),
            expected,
            "{ingress}"
        );
    }
    let old =
        json!({"spec": {"rules": [{"host": "*.a.b", "http": {}}], "tls": [{"secretName": "A"}]}});
    assert_eq!(
        of_update(INGRESS, old.clone(), old, true),
        Vec::<String>::new()
    );
    let status = |ip: &str| json!({"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}});
    assert_eq!(
        of_status(INGRESS, status("x"), status("x"), true),
        Vec::<String>::new()
    );
    assert_eq!(
        of_status(INGRESS, status("x"), status("010.0.0.1"), true),
        [
            "status.loadBalancer.ingress[0].ip: Invalid value: \"010.0.0.1\": must not have leading 0s"
        ]
    );
}

#[test]
fn ingress_classes() {
    const CLASS: &str = "networking.k8s.io/IngressClass";
    let of = |parameters: Value| json!({"spec": {"controller": "a.b/c", "parameters": parameters}});
    let cases: Vec<(Value, Vec<String>)> = vec![
        (
            json!({"spec": {"controller": "a"}}),
            vec!["spec.controller: Invalid value: \"a\": must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()],
        ),
        (
            of(json!({"kind": "a", "name": "b/c", "scope": "Namespace"})),
            vec![
                "spec.parameters.name: Invalid value: \"b/c\": may not contain '/'".to_owned(),
                "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'".to_owned(),
            ],
        ),
        (
            of(json!({"kind": "a", "name": "b", "scope": "Namespace", "namespace": "A"})),
            vec![format!("spec.parameters.namespace: Invalid value: \"A\": {DNS_LABEL}")],
        ),
        (
            of(json!({"kind": "a", "name": "b", "scope": "x"})),
            vec!["spec.parameters.scope: Unsupported value: \"x\": supported values: \"Cluster\", \"Namespace\"".to_owned()],
        ),
    ];
    for (class, expected) in cases {
        assert_eq!(of_new(CLASS, class.clone(), false), expected, "{class}");
    }
}

#[test]
fn network_policies() {
    const POLICY: &str = "networking.k8s.io/NetworkPolicy";
    let of = |rule: Value| json!({"spec": {"podSelector": {}, "ingress": [rule]}});
    let block = |cidr: &str, except: &str| {
        of(json!({"from": [{"ipBlock": {"cidr": cidr, "except": [except]}}]}))
    };
    let cases: Vec<(Value, Vec<String>)> = vec![
        (
            of(json!({"ports": [{"protocol": "", "port": 80, "endPort": 70}]})),
            vec![
                "spec.ingress[0].ports[0].protocol: Unsupported value: \"\": supported values: \"TCP\", \"UDP\", \"SCTP\"".to_owned(),
                "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`".to_owned(),
            ],
        ),
        (
            of(json!({"from": [{"podSelector": {}, "ipBlock": {"cidr": ""}}]})),
            vec![
                "spec.ingress[0].from[0].ipBlock.cidr: Required value".to_owned(),
                "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer".to_owned(),
            ],
        ),
        (
            block("10.0.0.0/8", "11.0.0.0/9"),
            vec!["spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/9\": must be a strict subset of `cidr`".to_owned()],
        ),
        (
            block("10.0.0.1/8", "x"),
            vec![
                "spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length".to_owned(),
                format!("spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"x\": {CIDR}"),
            ],
        ),
    ];
    for (policy, expected) in cases {
        assert_eq!(of_new(POLICY, policy.clone(), true), expected, "{policy}");
    }
    let old = block("10.0.0.1/8", "10.2.0.1/16");
    assert_eq!(
        of_update(POLICY, old.clone(), old, true),
        Vec::<String>::new()
    );
}

#[test]
fn addresses_and_ranges_of_services() {
    const RANGE: &str = "networking.k8s.io/ServiceCIDR";
    const ADDRESS: &str = "networking.k8s.io/IPAddress";
    let of = |cidrs: Value| json!({"spec": {"cidrs": cidrs}});
    for (cidrs, expected) in [
        (
            json!([]),
            vec!["spec.cidrs: Required value: at least one CIDR required"],
        ),
        (
            json!(["fd00:0::/64"]),
            vec![
                "spec.cidrs[0]: Invalid value: \"fd00:0::/64\": must be in canonical form (\"fd00::/64\")",
            ],
        ),
        (
            json!(["10.0.0.0/8", "11.0.0.0/8"]),
            vec![
                "spec.cidrs: Invalid value: [\"10.0.0.0/8\",\"11.0.0.0/8\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ],
        ),
        (json!(["10.0.0.0/8", "fd00::/64"]), vec![]),
    ] {
        assert_eq!(of_new(RANGE, of(cidrs.clone()), false), expected, "{cidrs}");
    }
    let update = |old: Value, new: Value| of_update(RANGE, of(old), of(new), false);
    let one = json!(["10.0.0.0/8"]);
    assert_eq!(
        update(one.clone(), json!(["10.0.0.0/8", "fd00::/64"])),
        Vec::<String>::new()
    );
    assert_eq!(
        update(one.clone(), json!(["Other"])),
        ["spec.cidrs[0]: Invalid value: \"Other\": field is immutable"]
    );
    assert_eq!(
        update(one, json!([])),
        ["spec.cidrs: Invalid value: []: field is immutable"]
    );

    let parent = json!({"group": "A", "resource": "a/b", "name": "c", "namespace": "d/e"});
    let address = |name: &str| json!({"metadata": {"name": name}, "spec": {"parentRef": parent}});
    assert_eq!(
        of_new(ADDRESS, address("fd00:0::1"), false),
        [
            "metadata.name: Invalid value: \"fd00:0::1\": must be in canonical form (\"fd00::1\")"
                .to_owned(),
            format!("spec.parentRef.group: Invalid value: \"A\": {DNS_NAME}"),
            "spec.parentRef.resource: Invalid value: \"a/b\": may not contain '/'".to_owned(),
            "spec.parentRef.namespace: Invalid value: \"d/e\": may not contain '/'".to_owned(),
        ]
    );
}

#[test]
fn policies_and_roles() {
    let budget = json!({"metadata": {"name": "Any Name"}, "spec": {"maxUnavailable": "0", "unhealthyPodEvictionPolicy": ""}});
    assert_eq!(
        of_new("policy/PodDisruptionBudget", budget, true),
        [
            "spec.maxUnavailable: Invalid value: \"0\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            "spec.unhealthyPodEvictionPolicy: Unsupported value: \"\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
        ]
    );
    let status =
        json!({"status": {"conditions": [{"type": "a", "status": "True", "reason": "b"}]}});
    assert_eq!(
        of_status("policy/PodDisruptionBudget", json!({}), status, true),
        ["status.conditions[0].lastTransitionTime: Required value"]
    );
    let binding = |group: &str| json!({"roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "a"}]});
    let rbac = "rbac.authorization.k8s.io";
    assert_eq!(
        of_new(&format!("{rbac}/RoleBinding"), binding(rbac), true),
        Vec::<String>::new()
    );
    assert_eq!(
        of_new(&format!("{rbac}/ClusterRoleBinding"), binding(rbac), false),
        ["subjects[0].namespace: Required value"]
    );
    let role = json!({"aggregationRule": {"clusterRoleSelectors": [{"matchExpressions": [{"key": "a", "operator": "x"}]}]}});
    assert_eq!(
        of_new(&format!("{rbac}/ClusterRole"), role, false),
        [
            "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator: Invalid value: \"x\": not a valid selector operator",
            "aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector.",
        ]
    );
}

#[test]
fn fields_behind_features_that_are_off_are_dropped() {
    let lease = json!({"spec": {"holderIdentity": "", "strategy": "x", "preferredHolder": "y"}});
    assert_eq!(
        of_new("coordination.k8s.io/Lease", lease.clone(), true),
        Vec::<String>::new()
    );
    assert_ne!(
        of_update("coordination.k8s.io/Lease", lease.clone(), lease, true),
        Vec::<String>::new()
    );
}

#[test]
fn only_value_and_policy_of_a_priority_class_are_fixed() {
    let class = |value: i64| json!({"value": value, "preemptionPolicy": "Never"});
    let kind = "scheduling.k8s.io/PriorityClass";
    let high = 2_000_000_000;
    assert_eq!(
        of_update(kind, class(high), class(high), false),
        Vec::<String>::new()
    );
    assert_eq!(
        of_update(kind, class(high), class(1), false),
        ["value: Forbidden: may not be changed in an update."]
    );
}
