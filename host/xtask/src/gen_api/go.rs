//! What the schema does not say about Go's structs, but the wire shows: which zero values are written.

use serde_json::Value;

/// Optional fields that are plain values in Go, so that their zero is left out when written. The schema
/// does not tell them from pointers, whose zero means something (`replicas: 0`).
const OMIT_ZERO: [(&str, &[&str]); 22] = [
    (
        "meta.v1.ObjectMeta",
        &[
            "generateName",
            "generation",
            "name",
            "namespace",
            "resourceVersion",
            "selfLink",
            "uid",
        ],
    ),
    (
        "meta.v1.ListMeta",
        &["continue", "resourceVersion", "selfLink"],
    ),
    ("apps.v1.DaemonSetSpec", &["minReadySeconds"]),
    ("apps.v1.DeploymentSpec", &["minReadySeconds", "paused"]),
    ("apps.v1.ReplicaSetSpec", &["minReadySeconds"]),
    (
        "apps.v1.StatefulSetSpec",
        &["minReadySeconds", "podManagementPolicy"],
    ),
    ("core.v1.ConfigMapVolumeSource", &["name"]),
    (
        "core.v1.Container",
        &[
            "image",
            "imagePullPolicy",
            "stdin",
            "stdinOnce",
            "terminationMessagePath",
            "terminationMessagePolicy",
            "tty",
            "workingDir",
        ],
    ),
    (
        "core.v1.ContainerPort",
        &["hostIP", "hostPort", "name", "protocol"],
    ),
    ("core.v1.EnvVar", &["value"]),
    ("core.v1.EnvFromSource", &["prefix"]),
    ("core.v1.HTTPGetAction", &["host", "path", "scheme"]),
    (
        "core.v1.NodeSpec",
        &[
            "configSource",
            "externalID",
            "podCIDR",
            "providerID",
            "unschedulable",
        ],
    ),
    (
        "core.v1.ObjectReference",
        &[
            "apiVersion",
            "fieldPath",
            "kind",
            "name",
            "namespace",
            "resourceVersion",
            "uid",
        ],
    ),
    (
        "core.v1.PodSpec",
        &[
            "dnsPolicy",
            "hostIPC",
            "hostNetwork",
            "hostPID",
            "hostname",
            "nodeName",
            "priorityClassName",
            "restartPolicy",
            "schedulerName",
            "serviceAccount",
            "serviceAccountName",
            "subdomain",
        ],
    ),
    (
        "core.v1.Probe",
        &[
            "failureThreshold",
            "initialDelaySeconds",
            "periodSeconds",
            "successThreshold",
            "timeoutSeconds",
        ],
    ),
    ("core.v1.Secret", &["type"]),
    ("core.v1.SecretVolumeSource", &["secretName"]),
    ("core.v1.ServicePort", &["name", "nodePort", "protocol"]),
    (
        "core.v1.ServiceSpec",
        &[
            "clusterIP",
            "externalName",
            "externalTrafficPolicy",
            "healthCheckNodePort",
            "loadBalancerIP",
            "publishNotReadyAddresses",
            "sessionAffinity",
            "type",
        ],
    ),
    (
        "core.v1.Toleration",
        &["effect", "key", "operator", "value"],
    ),
    (
        "core.v1.VolumeMount",
        &["readOnly", "subPath", "subPathExpr"],
    ),
];
/// Fields that Go writes even when nothing is in them: structs that are not pointers, lists without `omitempty`.
const ALWAYS_WRITTEN: [(&str, &[&str]); 8] = [
    ("core.v1.Container", &["resources"]),
    ("core.v1.ContainerStatus", &["lastState", "state"]),
    ("core.v1.EphemeralContainer", &["resources"]),
    ("core.v1.PersistentVolumeClaimSpec", &["resources"]),
    ("core.v1.PodTemplateSpec", &["metadata"]),
    ("core.v1.ServiceStatus", &["loadBalancer"]),
    ("rbac.v1.ClusterRole", &["rules"]),
    ("rbac.v1.Role", &["rules"]),
];

/// What Go's encoder does with zero values. Required numbers and booleans are always written.
pub(super) fn encoding_flags(owner: &str, field: &str, spec: &Value) -> u16 {
    let listed = |table: &[(&str, &[&str])]| {
        table
            .iter()
            .any(|(name, fields)| owner.ends_with(&format!(".{name}")) && fields.contains(&field))
    };
    let number = matches!(
        spec["t"].as_str(),
        Some("boolean" | "integer:int32" | "integer:int64")
    );
    let always = listed(&ALWAYS_WRITTEN) || (spec["req"] == 1 && number);
    u16::from(listed(&OMIT_ZERO)) << 8 | u16::from(always) << 9
}
