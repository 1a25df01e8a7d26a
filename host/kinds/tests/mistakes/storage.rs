//! Storage classes and the objects of CSI drivers.

use serde_json::{Value, json};

use crate::{of_new, of_status, of_update, warnings_of};

#[test]
fn classes() {
    const CLASS: &str = "storage.k8s.io/StorageClass";
    const ATTRIBUTES: &str = "storage.k8s.io/VolumeAttributesClass";
    let class = |change: Value| {
        let mut class = json!({"provisioner": "a.example.com/b", "parameters": {"a": "b"}});
        class
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        class
    };
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (json!({}), vec![]),
        (
            json!({"provisioner": "", "parameters": {"": "a"}, "reclaimPolicy": "x", "volumeBindingMode": ""}),
            vec![
                "provisioner: Required value",
                "parameters: Invalid value: \"\": field can not be empty.",
                "reclaimPolicy: Unsupported value: \"x\": supported values: \"Delete\", \"Retain\"",
                "volumeBindingMode: Unsupported value: \"\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ],
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(
            of_new(CLASS, class(change.clone()), false),
            expected,
            "{change}"
        );
    }
    let topology = json!({"allowedTopologies": [{"matchLabelExpressions": [{"key": "", "values": []}]}], "reclaimPolicy": "Retain"});
    let errors = of_update(CLASS, class(json!({})), class(topology), false);
    assert_eq!(
        errors[0],
        "allowedTopologies[0].matchLabelExpressions[0].values: Required value"
    );
    assert_eq!(
        errors.last().unwrap(),
        "reclaimPolicy: Invalid value: \"Retain\": field is immutable"
    );

    assert_eq!(
        of_new(ATTRIBUTES, json!({}), false),
        [
            "driverName: Required value",
            "parameters: Required value: must contain at least one key/value pair",
        ]
    );
    let of = |driver: &str, value: &str| json!({"driverName": driver, "parameters": {"a": value}});
    assert_eq!(
        of_update(ATTRIBUTES, of("a", "b"), of("c", "d"), false),
        [
            "driverName: Forbidden: updates to driverName are forbidden.",
            "parameters: Forbidden: updates to parameters are forbidden.",
        ]
    );
}

#[test]
fn drivers() {
    const DRIVER: &str = "storage.k8s.io/CSIDriver";
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (json!({}), vec![]),
        (
            json!({"fsGroupPolicy": "", "volumeLifecycleModes": ["x"], "nodeAllocatableUpdatePeriodSeconds": 9, "serviceAccountTokenInSecrets": true}),
            vec![
                "spec.fsGroupPolicy: Unsupported value: \"\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
                "spec.volumeLifecycleModes: Unsupported value: \"x\": supported values: \"Persistent\", \"Ephemeral\"",
                "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
                "spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified",
            ],
        ),
        (
            json!({"tokenRequests": [{"audience": "a", "expirationSeconds": 599}, {"audience": "a", "expirationSeconds": 1}, {"audience": "b", "expirationSeconds": 4_294_967_297_i64}]}),
            vec![
                "spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
                "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
                "spec.tokenRequests[2].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
            ],
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(of_new(DRIVER, json!({ "spec": spec }), false), expected);
    }
    assert_eq!(
        of_update(
            DRIVER,
            json!({"spec": {"attachRequired": false}}),
            json!({"spec": {}}),
            false
        ),
        ["spec.attachedRequired: Invalid value: true: field is immutable"]
    );
}

#[test]
fn nodes() {
    const NODE: &str = "storage.k8s.io/CSINode";
    let drivers = |drivers: Value| json!({"spec": {"drivers": drivers}});
    let long = "a".repeat(64);
    assert_eq!(
        of_new(
            NODE,
            drivers(
                json!([{"name": long, "nodeID": ""}, {"name": "a", "nodeID": "n", "topologyKeys": ["k", "k"]}, {"name": "a", "nodeID": "n", "allocatable": {"count": -1}}])
            ),
            false
        ),
        [
            "spec.drivers[0].name: Too long: may not be more than 63 bytes",
            "spec.drivers[0].nodeID: Required value",
            "spec.drivers[1]: Duplicate value: \"k\"",
            "spec.drivers[2].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            "spec.drivers[2].name: Duplicate value: \"a\"",
        ]
    );
    let of = |id: &str, count: i64| {
        drivers(json!([{"name": "a", "nodeID": id, "allocatable": {"count": count}}]))
    };
    assert_eq!(of_update(NODE, of("a", 1), of("a", 2), false), [""; 0]);
    assert_eq!(
        of_update(NODE, of("a", 1), of("b", 1), false),
        ["spec.drivers: Invalid value: {\"name\":\"a\",\"nodeID\":\"b\"}: field is immutable"]
    );
}

#[test]
fn attachments_and_capacities() {
    const ATTACHMENT: &str = "storage.k8s.io/VolumeAttachment";
    const CAPACITY: &str = "storage.k8s.io/CSIStorageCapacity";
    let of = |source: Value| json!({"spec": {"attacher": "a", "nodeName": "n", "source": source}});
    for (source, expected) in [
        (json!({"persistentVolumeName": "p"}), vec![]),
        (
            json!({}),
            vec![
                "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            ],
        ),
        (
            json!({"persistentVolumeName": "p", "inlineVolumeSpec": {}}),
            vec![
                "spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            ],
        ),
        (
            json!({"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}, "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}}),
            vec![],
        ),
        (
            json!({"inlineVolumeSpec": {"claimRef": {"name": "c"}, "capacity": {"storage": "1"}, "persistentVolumeReclaimPolicy": "Delete", "nodeAffinity": {}, "local": {"path": "/a"}, "storageClassName": "s", "volumeMode": "Block"}}),
            vec![
                "spec.source.inlineVolumeSpec.claimRef: Forbidden: may not be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.accessModes: Required value",
                "spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes",
                "spec.source.inlineVolumeSpec.nodeAffinity: Forbidden: may not be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.nodeAffinity: Required value: Local volume requires node affinity",
                "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes",
            ],
        ),
    ] {
        assert_eq!(of_new(ATTACHMENT, of(source), false), expected);
    }
    let good = of(json!({"persistentVolumeName": "p"}));
    let mut failed = good.clone();
    failed["status"] =
        json!({"attached": false, "attachError": {"message": "m".repeat(1025), "errorCode": -1}});
    assert_eq!(
        of_status(ATTACHMENT, good, failed, false),
        [
            "status.attachError.message: Too long: may not be more than 262144 bytes",
            "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ]
    );
    let capacity = |value: &str| json!({"storageClassName": "a", "capacity": "1", "nodeTopology": {"matchExpressions": [{"key": "a", "operator": "In", "values": [value]}]}});
    assert_eq!(
        of_update(CAPACITY, capacity("-"), capacity("-"), true),
        [""; 0]
    );
    assert_ne!(of_new(CAPACITY, capacity("-"), true), [""; 0]);
    let negative = json!({"storageClassName": "a", "capacity": "-1"});
    assert_eq!(
        of_new(CAPACITY, negative, true),
        ["capacity: Invalid value: \"-1\": must be greater than or equal to 0"]
    );
}

#[test]
fn labels_of_nodes_that_are_out_of_use_are_warned_of() {
    const OLD: &str = "beta.kubernetes.io/os";
    let instead = "deprecated since v1.14; use \"kubernetes.io/os\" instead";
    let expressions =
        json!([{"key": "a", "operator": "Exists"}, {"key": OLD, "operator": "Exists"}]);
    let topologies = json!([{"matchLabelExpressions": [{"key": OLD, "values": ["linux"]}]}]);
    for (kind, object, namespaced, expected) in [
        (
            "storage.k8s.io/StorageClass",
            json!({"provisioner": "a.b/c", "allowedTopologies": topologies}),
            false,
            vec![format!(
                "allowedTopologies[0].matchLabelExpressions[0].key: {instead}"
            )],
        ),
        (
            "storage.k8s.io/CSIStorageCapacity",
            json!({"storageClassName": "a", "nodeTopology": {"matchExpressions": expressions, "matchLabels": {OLD: "linux"}}}),
            true,
            vec![
                format!("nodeTopology.matchExpressions[1].key: {OLD} is {instead}"),
                format!("nodeTopology.matchLabels.{OLD}: {instead}"),
            ],
        ),
        (
            "node.k8s.io/RuntimeClass",
            json!({"handler": "a", "scheduling": {"nodeSelector": {OLD: "linux", "a": "b"}}}),
            false,
            vec![format!("scheduling.nodeSelector: {instead}")],
        ),
    ] {
        assert_eq!(warnings_of(kind, object, namespaced), expected, "{kind}");
    }
}
