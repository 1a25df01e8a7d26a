//! What holds for every kind: defaults are idempotent, rows fit their columns, status stays apart.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use k3s_kinds::rules;
use serde_json::json;

/// Stable kinds by group, as Kubernetes 1.36 serves them.
const KINDS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "Binding",
            "ComponentStatus",
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "Namespace",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    (
        "apps",
        &[
            "ControllerRevision",
            "DaemonSet",
            "Deployment",
            "ReplicaSet",
            "StatefulSet",
        ],
    ),
    (
        "authentication.k8s.io",
        &["SelfSubjectReview", "TokenRequest", "TokenReview"],
    ),
    (
        "authorization.k8s.io",
        &[
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    ),
    ("autoscaling", &["HorizontalPodAutoscaler"]),
    ("batch", &["CronJob", "Job"]),
    ("certificates.k8s.io", &["CertificateSigningRequest"]),
    ("coordination.k8s.io", &["Lease"]),
    ("discovery.k8s.io", &["EndpointSlice"]),
    ("events.k8s.io", &["Event"]),
    (
        "flowcontrol.apiserver.k8s.io",
        &["FlowSchema", "PriorityLevelConfiguration"],
    ),
    (
        "networking.k8s.io",
        &[
            "IPAddress",
            "Ingress",
            "IngressClass",
            "NetworkPolicy",
            "ServiceCIDR",
        ],
    ),
    ("node.k8s.io", &["RuntimeClass"]),
    ("policy", &["Eviction", "PodDisruptionBudget"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
    ),
    (
        "resource.k8s.io",
        &[
            "DeviceClass",
            "ResourceClaim",
            "ResourceClaimTemplate",
            "ResourceSlice",
        ],
    ),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &[
            "CSIDriver",
            "CSINode",
            "CSIStorageCapacity",
            "StorageClass",
            "VolumeAttachment",
            "VolumeAttributesClass",
        ],
    ),
];

#[test]
fn defaults_rows_and_status_hold_for_all() {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    for (group, kinds) in KINDS {
        for kind in *kinds {
            let rules = rules(group, kind);
            let template =
                json!({"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
            let mut object = json!({"metadata": {"name": "x", "uid": "u"}, "spec": {"template": template}, "template": template});
            rules.default(&mut object);
            rules.prepare_create(&mut object);
            let mut again = object.clone();
            rules.default(&mut again);
            assert_eq!(again, object, "{group}/{kind}: defaults are not idempotent");
            assert_eq!(
                rules.cells(&object, now).len(),
                rules.columns().len(),
                "{group}/{kind}"
            );
            // Neither must panic on an object that makes no sense.
            for odd in [
                json!({}),
                json!({"metadata": null, "spec": null}),
                json!({"spec": [], "status": "x"}),
            ] {
                let mut odd = odd;
                rules.default(&mut odd);
                let _ = (
                    rules.validate(&odd).len(),
                    rules.cells(&odd, now),
                    rules.fields(&odd),
                    rules.warnings(&odd),
                );
                let _ = (
                    rules.validate_update(&odd, &odd).len(),
                    rules.validate_status_update(&odd, &odd).len(),
                );
            }
            if rules.has_status() {
                let mut new = object.clone();
                new["status"] = json!({"forged": true});
                rules.prepare_update(&mut new, &object);
                assert_eq!(
                    new.get("status"),
                    object.get("status"),
                    "{group}/{kind}: an update changed the status"
                );
                let mut new = object.clone();
                new["spec"] = json!({"forged": true});
                rules.prepare_status_update(&mut new, &object);
                assert_eq!(
                    new.get("spec"),
                    object.get("spec"),
                    "{group}/{kind}: a status update changed the spec"
                );
            }
        }
    }
}

#[test]
fn an_unknown_kind_gets_plain_rules() {
    let rules = rules("example.com", "Widget");
    let names: Vec<&str> = rules.columns().iter().map(|column| column.name).collect();
    assert_eq!(names, ["Name", "Age"]);
    assert!(!rules.has_status());
}
