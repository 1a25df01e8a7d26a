//! Strict decoding and normal forms, case by case.

use super::complaints::MAX_COMPLAINTS;
use super::*;
use crate::kind::{by_kind, kinds};
use serde_json::json;

fn run(group: &str, version: &str, kind: &str, mut body: Value) -> (Value, Vec<String>) {
    let unknown = decode(by_kind(group, version, kind).unwrap(), &mut body).unwrap();
    (body, unknown)
}

/// `want` in an object of the kind in which everything else is zero.
fn in_zeros(group: &str, kind: &str, want: Value) -> Value {
    let (mut zeros, _) = run(group, "v1", kind, json!({}));
    put_over(&mut zeros, want);
    zeros
}

fn put_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                put_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

fn refused(group: &str, kind: &str, mut body: Value) -> String {
    decode(by_kind(group, "v1", kind).unwrap(), &mut body)
        .unwrap_err()
        .to_string()
}

#[test]
fn unknown_fields_are_named_and_removed() {
    let body = json!({"metadata": {"name": "a", "foo": 1}, "spec": {"containers": [{"name": "c", "bar": {"x": 1}}], "baz": null}});
    let (body, unknown) = run("", "v1", "Pod", body);
    let want = ["metadata.foo", "spec.baz", "spec.containers[0].bar"]
        .map(|f| format!("unknown field \"{f}\""));
    assert_eq!(unknown, want);
    assert_eq!(
        body,
        json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "resources": {}}]}, "status": {}})
    );
}

/// Every plain field of a type with `omitempty` is known, not only those of the common kinds.
#[test]
fn the_zero_of_a_plain_value_leaves_no_trace() {
    for (group, kind, body, want) in [
        (
            "scheduling.k8s.io",
            "PriorityClass",
            json!({"globalDefault": false, "value": 0}),
            json!({"value": 0}),
        ),
        (
            "",
            "Pod",
            json!({"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": false}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}}),
        ),
        (
            "batch",
            "Job",
            json!({"spec": {"suspend": false, "parallelism": 0}}),
            json!({"spec": {"suspend": false, "parallelism": 0}}),
        ),
    ] {
        let want = in_zeros(group, kind, want);
        assert_eq!(run(group, "v1", kind, body).0, want, "{kind}");
    }
}

/// What Go writes although nothing is in it: values without `omitempty`, and `null` for pointers, lists and maps
/// without it.
#[test]
fn what_go_always_writes_is_put_in_at_every_depth() {
    for (group, kind, body, want) in [
        (
            "",
            "Pod",
            json!({"status": {"conditions": [{"type": "Ready"}]}}),
            json!({"metadata": {}, "spec": {"containers": null}, "status": {"conditions": [
                {"type": "Ready", "status": "", "lastProbeTime": null, "lastTransitionTime": null}]}}),
        ),
        (
            "",
            "PersistentVolumeClaim",
            json!({"spec": {"dataSource": {"kind": "A", "name": "b"}, "dataSourceRef": {"apiGroup": ""}}}),
            json!({"metadata": {}, "status": {}, "spec": {"resources": {},
                "dataSource": {"apiGroup": null, "kind": "A", "name": "b"},
                "dataSourceRef": {"apiGroup": "", "kind": "", "name": ""}}}),
        ),
        (
            "discovery.k8s.io",
            "EndpointSlice",
            json!({"endpoints": [null]}),
            json!({"metadata": {}, "addressType": "", "ports": null,
                "endpoints": [{"addresses": null, "conditions": {}}]}),
        ),
        (
            "",
            "Event",
            json!({"eventTime": null, "series": {}}),
            json!({"metadata": {}, "involvedObject": {}, "source": {}, "eventTime": null, "firstTimestamp": null,
                "lastTimestamp": null, "reportingComponent": "", "reportingInstance": "",
                "series": {"lastObservedTime": null}}),
        ),
        (
            "rbac.authorization.k8s.io",
            "Role",
            json!({"rules": [{}]}),
            json!({"metadata": {}, "rules": [{"verbs": null}]}),
        ),
    ] {
        assert_eq!(run(group, "v1", kind, body).0, want, "{kind}");
    }
}

#[test]
fn what_is_behind_a_gate_is_dropped_without_a_word() {
    let body = json!({"spec": {"preferredHolder": "a", "holderIdentity": "b"}});
    let (body, unknown) = run("coordination.k8s.io", "v1", "Lease", body);
    assert_eq!(body["spec"], json!({"holderIdentity": "b"}));
    assert!(unknown.is_empty());
    let message = refused(
        "coordination.k8s.io",
        "Lease",
        json!({"spec": {"strategy": 1}}),
    );
    assert!(
        message.contains("Go struct field LeaseSpec.spec.strategy of type "),
        "{message}"
    );
}

#[test]
fn an_empty_list_is_stored_as_null_where_protobuf_forgets_it() {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {}, "rules": []});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "status": {"storedVersions": []}});
    let custom = json!({"apiVersion": "example.com/v1", "kind": "Role", "rules": []});
    for (mut object, path, want) in [
        (role, "/rules", Value::Null),
        (definition.clone(), "/status/storedVersions", json!([])),
        (definition, "/status/conditions", Value::Null),
        (custom, "/rules", json!([])),
    ] {
        settle(&mut object);
        assert_eq!(object.pointer(path), Some(&want), "{object}");
    }
}

/// What defaults, admission and other code put into an object gets its zeros when the object is settled.
#[test]
fn settled_objects_are_as_if_they_had_been_decoded() {
    for kind in kinds() {
        let mut decoded = json!({"apiVersion": kind.api_version(), "kind": kind.kind});
        let mut settled = decoded.clone();
        decode(kind, &mut decoded).unwrap();
        settle(&mut settled);
        assert_eq!(settled, decoded);
    }
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"hostNetwork": false, "nodeSelector": {},
        "containers": [{"name": "c", "args": [], "livenessProbe": {"httpGet": {"path": ""}}}]}});
    settle(&mut pod);
    let container =
        json!({"name": "c", "resources": {}, "livenessProbe": {"httpGet": {"port": 0}}});
    assert_eq!(pod["spec"], json!({"containers": [container]}));
}

#[test]
fn complaints_are_bounded() {
    let body: serde_json::Map<String, Value> =
        (0..500).map(|i| (format!("x{i}"), json!(1))).collect();
    let (body, unknown) = run("", "v1", "ConfigMap", Value::Object(body));
    assert_eq!(
        (unknown.len(), body),
        (MAX_COMPLAINTS, json!({"metadata": {}}))
    );
}

#[test]
fn wrong_types() {
    let deployment = |spec: Value| json!({ "spec": spec });
    let head = "Deployment in version \"v1\" cannot be handled as a Deployment: ";
    let table = [
        (
            deployment(json!({"replicas": "3"})),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(json!({"replicas": 1.5})),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(json!({"replicas": 3_000_000_000_u64})),
            "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(json!({"paused": "true"})),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            deployment(json!([])),
            "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            deployment(json!({"template": {"spec": {"containers": {}}}})),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            deployment(json!({"template": {"spec": {"containers": [{"name": 5}]}}})),
            "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.name of type string",
        ),
        (
            json!({"metadata": {"labels": {"a": true}}}),
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            deployment(json!({"strategy": {"rollingUpdate": {"maxSurge": true}}})),
            "json: cannot unmarshal bool into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
        ),
        (
            deployment(json!({"template": {"spec": {"restartPolicy": 5}}})),
            "json: cannot unmarshal number into Go struct field PodSpec.spec.template.spec.restartPolicy of type v1.RestartPolicy",
        ),
        (
            deployment(json!({"template": {"spec": {"volumes": [{"hostPath": true}]}}})),
            "json: cannot unmarshal bool into Go struct field Volume.spec.template.spec.volumes.VolumeSource.hostPath of type v1.HostPathVolumeSource",
        ),
        (
            deployment(
                json!({"template": {"spec": {"containers": [{"livenessProbe": {"exec": {"command": "x"}}}]}}}),
            ),
            "json: cannot unmarshal string into Go struct field ExecAction.spec.template.spec.containers.livenessProbe.ProbeHandler.exec.command of type []string",
        ),
        (
            json!({"metadata": {"ownerReferences": [{"uid": {}}]}}),
            "json: cannot unmarshal object into Go struct field OwnerReference.metadata.ownerReferences.uid of type types.UID",
        ),
        (
            json!({"metadata": {"creationTimestamp": 5}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            json!("x"),
            "json: cannot unmarshal string into Go value of type v1.Deployment",
        ),
    ];
    for (body, want) in table {
        assert_eq!(refused("apps", "Deployment", body), format!("{head}{want}"));
    }
}

#[test]
fn wrong_values() {
    let limits =
        |q: Value| json!({"spec": {"containers": [{"resources": {"limits": {"cpu": q}}}]}});
    let format = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    assert!(refused("", "Pod", limits(json!("1 core"))).ends_with(format));
    assert!(
        refused("", "Pod", limits(json!("1kk"))).ends_with("unable to parse quantity's suffix")
    );
    for (data, at) in [("a", 0), ("YQ=", 3), ("Y!==", 1), ("YQ==YQ==", 4)] {
        let want = format!("illegal base64 data at input byte {at}");
        let message = refused("", "Secret", json!({"data": {"k": data}}));
        assert!(message.ends_with(&want), "{message}");
    }
    let message = refused(
        "",
        "Pod",
        json!({"metadata": {"deletionTimestamp": "yesterday"}}),
    );
    let want = "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"";
    assert!(message.ends_with(want), "{message}");
}

#[test]
fn complaints_stand_in_the_order_of_the_document() {
    let body = br#"{"spec": {"zzz": {"a": 1, "a": 2}, "replicas": 2, "replicas": 3, "aaa": 1}, "spec": {"zzz": 1}}"#;
    let mut parsed = parse_typed(body).unwrap();
    let kind = by_kind("apps", "v1", "Deployment").unwrap();
    let mut found = decode(kind, &mut parsed.value).unwrap();
    found.append(&mut parsed.duplicates);
    let want = [
        "unknown field \"spec.zzz\"",
        "duplicate field \"spec.replicas\"",
        "unknown field \"spec.aaa\"",
        "duplicate field \"spec\"",
    ];
    assert_eq!(in_document_order(body, found), want);
}

/// The tree that a strategic merge patch leaves is converted, not decoded.
#[test]
fn a_patched_tree_is_converted() {
    let patched = |kind: &str, group: &str, mut body: Value| {
        let unknown = decode_patched(by_kind(group, "v1", kind).unwrap(), &mut body);
        unknown.map(|unknown| (body, unknown))
    };
    for (kind, group, body, want) in [
        (
            "ConfigMap",
            "",
            json!({"metadata": {"labels": 5}}),
            "cannot restore map from int64",
        ),
        (
            "ConfigMap",
            "",
            json!({"metadata": {"labels": {"a": 1.5}}}),
            "unrecognized type: string",
        ),
        (
            "ConfigMap",
            "",
            json!({"metadata": {"labels": {"a": 1}}}),
            "cannot convert int64 to string",
        ),
        (
            "ConfigMap",
            "",
            json!({"metadata": {"finalizers": "a"}}),
            "cannot restore slice from string",
        ),
        (
            "ConfigMap",
            "",
            json!({"metadata": {"ownerReferences": ["a"]}}),
            "cannot restore struct from: string",
        ),
        (
            "ConfigMap",
            "",
            json!({"binaryData": {"a": {}}}),
            "cannot restore slice from map",
        ),
        (
            "ConfigMap",
            "",
            json!({"binaryData": {"a": "!!!"}}),
            "error decoding from json: illegal base64 data at input byte 0",
        ),
        (
            "ConfigMap",
            "",
            json!({"metadata": {"creationTimestamp": 5}}),
            "json: cannot unmarshal number into Go value of type string",
        ),
        (
            "Deployment",
            "apps",
            json!({"spec": {"paused": "yes"}}),
            "unrecognized type: bool",
        ),
        (
            "Deployment",
            "apps",
            json!({"spec": {"replicas": 1.5}}),
            "cannot convert float64 to int32",
        ),
        (
            "Deployment",
            "apps",
            json!({"spec": {"replicas": true}}),
            "unrecognized type: int32",
        ),
    ] {
        let error = patched(kind, group, body.clone()).unwrap_err();
        assert_eq!(error.reason(), want, "{body}");
    }
    for (given, want) in [
        (json!(2_147_483_648_i64), -2_147_483_648_i64),
        (json!(3.0), 3),
    ] {
        let body = json!({"spec": {"backoffLimit": given}, "zzz": 1, "aaa": 1});
        let (body, unknown) = patched("Job", "batch", body).unwrap();
        assert_eq!(body["spec"]["backoffLimit"], want);
        assert_eq!(unknown, ["unknown field \"aaa\"", "unknown field \"zzz\""]);
    }
}

#[test]
fn normal_forms() {
    let table = [
        (
            "",
            "Pod",
            json!({"metadata": {"creationTimestamp": null, "labels": {}, "namespace": ""}}),
            json!({"metadata": {}}),
        ),
        (
            "",
            "Pod",
            json!({"spec": {"containers": [{"name": "c", "args": [], "env": [{"name": "a", "value": ""}]}], "hostNetwork": false}}),
            json!({"spec": {"containers": [{"name": "c", "env": [{"name": "a"}], "resources": {}}]}}),
        ),
        (
            "",
            "Pod",
            json!({"spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}], "automountServiceAccountToken": false}}),
            json!({"spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}], "automountServiceAccountToken": false}}),
        ),
        (
            "",
            "Pod",
            json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}, "requests": {"cpu": "0.5"}}}]}}),
            json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}}]}}),
        ),
        (
            "",
            "Pod",
            json!({"status": {"startTime": "2026-11-20T18:00:00.5+01:00"}}),
            json!({"status": {"startTime": "2026-11-20T17:00:00Z"}}),
        ),
        (
            "coordination.k8s.io",
            "Lease",
            json!({"spec": {"renewTime": "2026-11-20T18:00:00.500000Z"}}),
            json!({"spec": {"renewTime": "2026-11-20T18:00:00.500000Z"}}),
        ),
        (
            "apps",
            "Deployment",
            json!({"spec": {"replicas": 0, "paused": false}}),
            json!({"spec": {"replicas": 0}}),
        ),
        (
            "",
            "ConfigMap",
            json!({"data": {"a": null, "b": ""}}),
            json!({"data": {"a": "", "b": ""}}),
        ),
        (
            "",
            "Secret",
            json!({"data": {"a": "YW\nI="}}),
            json!({"data": {"a": "YWI="}}),
        ),
        (
            "apps",
            "DaemonSet",
            json!({"status": {}}),
            json!({"status": {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0}}),
        ),
        (
            "rbac.authorization.k8s.io",
            "Role",
            json!({"rules": []}),
            json!({"rules": []}),
        ),
    ];
    for (group, kind, body, want) in table {
        let (body, unknown) = run(group, "v1", kind, body);
        assert_eq!(body, in_zeros(group, kind, want));
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

#[test]
fn duplicates_are_found_in_the_bytes() {
    let raw =
        br#"{"a": 1, "spec": {"x": 1, "x": 2, "containers": [{"name": "a"}, {"name": "b", "name": "c"}]}, "a": {}}"#;
    let parsed = parse(raw).unwrap();
    let want =
        ["spec.x", "spec.containers[1].name", "a"].map(|f| format!("duplicate field \"{f}\""));
    assert_eq!(parsed.duplicates, want);
    assert_eq!(parsed.value["spec"]["containers"][1]["name"], "c");
    assert!(parse(b"{\"a\": 1} x").is_err());
    let value: Value = serde_json::from_slice(
        br#"{"i": -3, "u": 18446744073709551615, "f": 1.5, "n": null, "b": [true, "x"]}"#,
    )
    .unwrap();
    assert_eq!(parse(value.to_string().as_bytes()).unwrap().value, value);
}

/// Go decodes a repeated field over the struct, map or list that is there; other values are replaced.
#[test]
fn a_repeated_field_is_decoded_over_the_first_where_there_is_a_type() {
    for (body, typed, untyped) in [
        (
            r#"{"a": {"x": 1}, "a": {"y": 2}}"#,
            json!({"x": 1, "y": 2}),
            json!({"y": 2}),
        ),
        (
            r#"{"a": [{"x": 1}, {"x": 2}, 3], "a": [{"y": 4}, 5]}"#,
            json!([{"x": 1, "y": 4}, 5]),
            json!([{"y": 4}, 5]),
        ),
        (r#"{"a": [1], "a": [2, 3]}"#, json!([2, 3]), json!([2, 3])),
        (r#"{"a": {"x": 1}, "a": null}"#, Value::Null, Value::Null),
        (
            r#"{"a": 1, "a": {"x": {}}, "a": {"x": {"z": 3}}}"#,
            json!({"x": {"z": 3}}),
            json!({"x": {"z": 3}}),
        ),
    ] {
        let read = |parsed: Result<Parsed, _>| parsed.unwrap().value["a"].clone();
        assert_eq!(read(parse_typed(body.as_bytes())), typed, "{body}");
        assert_eq!(read(parse(body.as_bytes())), untyped, "{body}");
    }
}

#[test]
fn complaints_are_not_much_longer_than_the_body() {
    let long = "k".repeat(300_000);
    let repeated = vec!["\"x\": 1"; 100].join(",");
    let body = format!("{{\"{long}\": {{{repeated}}}}}");
    let duplicates = parse(body.as_bytes()).unwrap().duplicates;
    assert_eq!(duplicates.len(), 1);
    let unknown: serde_json::Map<String, Value> =
        (0..100).map(|at| (format!("u{at}"), json!(1))).collect();
    let schema = json!({"properties": {long: unknown}});
    let body = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}});
    let (_, unknown) = run(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        body,
    );
    assert_eq!(unknown.len(), 1);
}

#[test]
fn fields_below_a_long_name_are_ordered_without_spelling_it_out_for_each() {
    let long = "k".repeat(300_000);
    let many: Vec<String> = (0..50_000).map(|at| format!("\"f{at:05}\":1")).collect();
    let many = many.join(",");
    let body = format!("{{\"{long}\":{{{many},\"f00000\":1}},\"b\":1,\"a\":1}}");
    let complaints: Vec<String> = ["unknown field \"a\"", "unknown field \"b\""]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("duplicate field \"{long}.f00000\"")])
        .collect();
    let ordered = in_document_order(body.as_bytes(), complaints.clone());
    let [a, b, duplicate] = complaints.as_slice() else {
        panic!("{}", complaints.len());
    };
    assert!(ordered.iter().eq([duplicate, b, a]));
}

#[test]
fn strict_messages() {
    let complaints = [
        "unknown field \"spec.foo\"".to_owned(),
        "duplicate field \"a\"".to_owned(),
    ];
    let want = "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.foo\", duplicate field \"a\"";
    assert_eq!(strict_message("Pod", "v1", &complaints), want);
}

#[test]
fn every_kind_takes_a_minimal_object_and_a_second_pass_changes_nothing() {
    for kind in kinds() {
        let mut body = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "a", "creationTimestamp": null}});
        assert_eq!(
            decode(kind, &mut body).unwrap(),
            Vec::<String>::new(),
            "{}",
            kind.kind
        );
        assert_eq!(body["metadata"], json!({"name": "a"}), "{}", kind.kind);
        let again = body.clone();
        decode(kind, &mut body).unwrap();
        assert_eq!(body, again);
    }
}
