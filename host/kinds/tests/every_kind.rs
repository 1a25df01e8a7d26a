//! What holds for every kind: defaults are idempotent, rows fit their columns, status stays apart.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use jiff::Timestamp;
use k3s_kinds::{Context, Strategy};
use k3s_meta::UserInfo;
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
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let user = UserInfo::default();
    let context = Context {
        user: &user,
        now,
        dry_run: false,
    };
    for (group, kinds) in KINDS {
        for kind in *kinds {
            let strategy = Strategy::built_in(group, kind);
            let rules = strategy.rules();
            let template =
                json!({"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
            let mut object = json!({"metadata": {"name": "x", "uid": "u"}, "spec": {"template": template}, "template": template});
            strategy.default(&mut object);
            strategy.prepare_create(&mut object, &context);
            let mut again = object.clone();
            strategy.default(&mut again);
            assert_eq!(again, object, "{group}/{kind}: defaults are not idempotent");
            assert_eq!(
                strategy.cells(&object, now).len(),
                rules.columns.len(),
                "{group}/{kind}"
            );
            // Neither must panic on an object that makes no sense.
            for odd in [
                json!({}),
                json!({"metadata": null, "spec": null}),
                json!({"spec": [], "status": "x"}),
            ] {
                let mut odd = odd;
                strategy.default(&mut odd);
                let _ = (
                    strategy.validate_create(&odd, true).len(),
                    strategy.cells(&odd, now),
                    strategy.fields(&odd),
                    strategy.warnings(&odd, None),
                );
                let _ = (
                    strategy.validate_update(&odd, &odd, true).len(),
                    strategy.validate_status_update(&odd, &odd, true).len(),
                );
            }
            for subresource in rules.subresources {
                let (mut new, mut odd) = (object.clone(), json!({"spec": [], "status": "x"}));
                (subresource.prepare)(&mut new, &object, &context);
                (subresource.prepare)(&mut odd, &object, &context);
                let _ = strategy
                    .validate_subresource(subresource, &odd, &object, true)
                    .len();
                assert_eq!(
                    new, object,
                    "{group}/{kind}: {} changed what it was given",
                    subresource.name
                );
            }
            if rules.status {
                let mut new = object.clone();
                new["status"] = json!({"forged": true});
                strategy.prepare_update(&mut new, &object, &context);
                assert_eq!(
                    new.get("status"),
                    object.get("status"),
                    "{group}/{kind}: an update changed the status"
                );
                let mut new = object.clone();
                new["spec"] = json!({"forged": true});
                strategy.prepare_status_update(&mut new, &object, &context);
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
    let strategy = Strategy::built_in("example.com", "Widget");
    let rules = strategy.rules();
    let names: Vec<&str> = rules.columns.iter().map(|column| column.name).collect();
    assert_eq!(names, ["Name", "Age"]);
    assert!(!rules.status);
}
