//! Defaults, wording and rows of the kinds used daily, beside pods.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use jiff::Timestamp;
use k3s_kinds::{Context, Strategy};
use k3s_meta::UserInfo;
use serde_json::{Value, json};

/// The object after defaulting and creation.
fn made(group: &str, kind: &str, mut object: Value) -> Value {
    let user = UserInfo::default();
    let context = Context {
        user: &user,
        now: Timestamp::UNIX_EPOCH,
        dry_run: false,
    };
    let strategy = Strategy::built_in(group, kind);
    strategy.default(&mut object);
    strategy.prepare_create(&mut object, &context);
    object
}

fn meta() -> Value {
    json!({"name": "x", "namespace": "default", "uid": "u"})
}

#[test]
fn defaults_of_workloads() {
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {}}});
    let deployment = made(
        "apps",
        "Deployment",
        json!({"metadata": meta(), "spec": spec}),
    );
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(
        (
            &spec["revisionHistoryLimit"],
            &spec["progressDeadlineSeconds"]
        ),
        (&json!(10), &json!(600))
    );
    let job = made(
        "batch",
        "Job",
        json!({"metadata": meta(), "spec": {"template": {"spec": {}}}}),
    );
    for (name, value) in [
        ("completions", json!(1)),
        ("parallelism", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
    ] {
        assert_eq!(job["spec"][name], value, "{name}");
    }
}

#[test]
fn defaults_of_configuration() {
    let secret = made(
        "",
        "Secret",
        json!({"metadata": meta(), "stringData": {"a": "b"}}),
    );
    assert_eq!(
        secret,
        json!({"metadata": meta(), "type": "Opaque", "data": {"a": "Yg=="}})
    );
    let namespace = made("", "Namespace", json!({"metadata": {"name": "n"}}));
    assert_eq!(
        namespace,
        json!({"metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
    );
    let binding = made(
        "rbac.authorization.k8s.io",
        "RoleBinding",
        json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]}),
    );
    assert_eq!(binding["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    assert_eq!(
        binding["subjects"][0]["apiGroup"],
        "rbac.authorization.k8s.io"
    );
}

#[test]
fn mistakes_are_worded_as_upstream() {
    let cases: Vec<(&str, &str, Value, &str)> = vec![
        (
            "",
            "ConfigMap",
            json!({"data": {"a/b": "c"}}),
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ),
        (
            "",
            "Secret",
            json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
            "data[tls.key]: Required value",
        ),
        (
            "batch",
            "CronJob",
            json!({"spec": {"schedule": "* * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}}),
            "spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]",
        ),
        (
            "policy",
            "PodDisruptionBudget",
            json!({"spec": {"minAvailable": -1}}),
            "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "networking.k8s.io",
            "Ingress",
            json!({"spec": {"rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
            "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
        ),
        (
            "networking.k8s.io",
            "NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{}]}]}}),
            "spec.ingress[0].from[0]: Required value: must specify a peer",
        ),
        (
            "rbac.authorization.k8s.io",
            "Role",
            json!({"rules": [{"verbs": ["get"], "apiGroups": [""]}]}),
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ),
        (
            "coordination.k8s.io",
            "Lease",
            json!({"spec": {"leaseDurationSeconds": 0}}),
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            "",
            "PersistentVolumeClaim",
            json!({"spec": {"accessModes": ["ReadWriteOnce"]}}),
            "spec.resources[storage]: Required value",
        ),
        (
            "autoscaling",
            "HorizontalPodAutoscaler",
            json!({"apiVersion": "autoscaling/v2", "spec": {"maxReplicas": 1, "minReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}}),
            "[spec.maxReplicas: Invalid value: 1: must be greater than or equal to `minReplicas`, spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group]",
        ),
    ];
    for (group, kind, mut object, message) in cases {
        object["metadata"] = meta();
        let object = made(group, kind, object);
        assert_eq!(
            Strategy::built_in(group, kind)
                .validate_create(&object, true)
                .to_string(),
            message,
            "{kind}"
        );
    }
}

#[test]
fn what_does_not_change() {
    let cases = [
        (
            "",
            "ConfigMap",
            json!({"immutable": true, "data": {"a": "1"}}),
            json!({"immutable": true, "data": {"a": "2"}}),
            "data: Forbidden: field is immutable when `immutable` is set",
        ),
        (
            "",
            "Secret",
            json!({"type": "Opaque"}),
            json!({"type": "example.com/other"}),
            "type: Invalid value: \"example.com/other\": field is immutable",
        ),
        (
            "scheduling.k8s.io",
            "PriorityClass",
            json!({"value": 1}),
            json!({"value": 2}),
            "value: Forbidden: may not be changed in an update.",
        ),
        (
            "storage.k8s.io",
            "StorageClass",
            json!({"provisioner": "a/b"}),
            json!({"provisioner": "a/c"}),
            "provisioner: Invalid value: \"a/c\": field is immutable",
        ),
        (
            "node.k8s.io",
            "RuntimeClass",
            json!({"handler": "a"}),
            json!({"handler": "b"}),
            "handler: Invalid value: \"b\": field is immutable",
        ),
    ];
    for (group, kind, mut old, mut new, message) in cases {
        let strategy = Strategy::built_in(group, kind);
        for object in [&mut old, &mut new] {
            object["metadata"] = meta();
            object["metadata"]["resourceVersion"] = json!("1");
            strategy.default(object);
        }
        assert_eq!(
            strategy.validate_update(&new, &old, true).to_string(),
            message,
            "{kind}"
        );
    }
}

#[test]
fn rows_of_workloads_and_nodes() {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let created = "2026-01-02T02:04:05Z";
    let cells = |group: &str, kind: &str, object: &Value, count: usize| -> Vec<Value> {
        Strategy::built_in(group, kind)
            .cells(object, now)
            .into_iter()
            .take(count)
            .collect()
    };
    let deployment = json!({"metadata": {"name": "d", "creationTimestamp": created}, "spec": {"replicas": 3},
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2}});
    assert_eq!(
        cells("apps", "Deployment", &deployment, 5),
        [json!("d"), json!("2/3"), json!(3), json!(2), json!("60m")]
    );
    let job = json!({"metadata": {"name": "j", "creationTimestamp": created}, "spec": {"completions": 1},
        "status": {"succeeded": 1, "startTime": created, "completionTime": "2026-01-02T02:04:10Z",
            "conditions": [{"type": "Complete", "status": "True"}]}});
    assert_eq!(
        cells("batch", "Job", &job, 5),
        ["j", "Complete", "1/1", "5s", "60m"]
    );
    let node = json!({"metadata": {"name": "n", "creationTimestamp": created,
            "labels": {"node-role.kubernetes.io/control-plane": "true"}},
        "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.0+k3s1"}}});
    assert_eq!(
        cells("", "Node", &node, 5),
        [
            "n",
            "Ready,SchedulingDisabled",
            "control-plane",
            "60m",
            "v1.36.0+k3s1"
        ]
    );
}

/// Upstream's `ReturnDeletedObject`, which clients of classes and claims rely on.
#[test]
fn deletions_of_some_kinds_are_answered_with_the_object() {
    for (group, kind, returns) in [
        ("storage.k8s.io", "StorageClass", true),
        ("storage.k8s.io", "CSINode", true),
        ("resource.k8s.io", "ResourceClaim", true),
        ("", "Pod", true),
        ("", "ConfigMap", false),
    ] {
        let policy = Strategy::built_in(group, kind).rules().delete;
        assert_eq!(policy.returns_object, returns, "{kind}");
    }
}

#[test]
fn what_will_not_last_is_warned_about() {
    for (group, kind, object, warning) in [
        (
            "storage.k8s.io",
            "CSIDriver",
            json!({"spec": {"tokenRequests": [{"audience": "a"}]}}),
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes",
        ),
        (
            "discovery.k8s.io",
            "EndpointSlice",
            json!({"addressType": "FQDN"}),
            "spec.addressType: FQDN endpoints are deprecated",
        ),
        (
            "",
            "PersistentVolumeClaim",
            json!({"spec": {"resources": {"requests": {"storage": "1500m"}}}}),
            "spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
        ),
        (
            "resource.k8s.io",
            "ResourceSlice",
            json!({"spec": {"driver": "A.example.com"}}),
            "spec.driver: driver names should be lowercase; \"A.example.com\" contains uppercase characters",
        ),
        (
            "",
            "Node",
            json!({"spec": {"externalID": "x"}}),
            "spec.externalID: this field is deprecated, and is unused by Kubernetes",
        ),
        (
            "",
            "PersistentVolume",
            json!({"spec": {"storageos": {}}}),
            "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
        ),
        (
            "",
            "PodTemplate",
            json!({"template": {"spec": {"terminationGracePeriodSeconds": -1}}}),
            "template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ),
    ] {
        assert_eq!(
            Strategy::built_in(group, kind).warnings(&object, None),
            [warning],
            "{kind}"
        );
    }
}

#[test]
fn terms_and_targets_are_refused_as_upstream_does() {
    let scaler = |target: Value| json!({"metadata": {"name": "a", "namespace": "default"}, "spec": {"maxReplicas": 1, "scaleTargetRef": target}});
    for (group, kind, object, message) in [
        (
            "storage.k8s.io",
            "StorageClass",
            json!({"metadata": {"name": "a"}, "provisioner": "a/b", "allowedTopologies": [
                {"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]},
                {"matchLabelExpressions": [{"key": "zone", "values": ["a", "a"]}]}]}),
            "[allowedTopologies[1].matchLabelExpressions[0].values[1]: Duplicate value: \"a\", allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"]",
        ),
        (
            "autoscaling",
            "HorizontalPodAutoscaler",
            scaler(json!({"apiVersion": "v1", "kind": "Deployment", "name": "d"})),
            "spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group",
        ),
        (
            "autoscaling",
            "HorizontalPodAutoscaler",
            scaler(json!({"apiVersion": "v1", "kind": "ReplicationController", "name": "d"})),
            "[]",
        ),
    ] {
        let made = made(group, kind, object);
        let errors = Strategy::built_in(group, kind).validate_create(&made, group == "autoscaling");
        assert_eq!(errors.to_string(), message, "{kind}");
    }
}
