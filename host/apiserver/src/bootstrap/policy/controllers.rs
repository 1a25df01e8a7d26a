//! One role per controller, each bound to the controller's own service account in `kube-system`
//! (`bootstrappolicy/controller_policy.go`).

use super::{Binding, EVENTS, Named, PolicyRule, READ, Resources, Role, Subject};

/// Controller, role name, rules.
struct Controller(&'static str, &'static str, &'static [PolicyRule]);

const ALL: &[Controller] = &[
    Controller(
        "attachdetach-controller",
        "system:controller:attachdetach-controller",
        &[
            Resources("", "persistentvolumeclaims,persistentvolumes", "list,watch"),
            Resources("", "nodes", READ),
            Resources("", "nodes/status", "patch,update"),
            Resources("", "pods", "list,watch"),
            EVENTS,
            Resources(
                "storage.k8s.io",
                "volumeattachments",
                "create,delete,get,list,watch",
            ),
            Resources("storage.k8s.io", "csidrivers,csinodes", READ),
        ],
    ),
    Controller(
        "clusterrole-aggregation-controller",
        "system:controller:clusterrole-aggregation-controller",
        &[Resources(
            "rbac.authorization.k8s.io",
            "clusterroles",
            "escalate,get,list,patch,update,watch",
        )],
    ),
    Controller(
        "cronjob-controller",
        "system:controller:cronjob-controller",
        &[
            Resources("batch", "cronjobs", "get,list,update,watch"),
            Resources("batch", "jobs", "create,delete,get,list,patch,update,watch"),
            Resources("batch", "cronjobs/status", "update"),
            Resources("batch", "cronjobs/finalizers", "update"),
            Resources("", "pods", "delete,list"),
            EVENTS,
        ],
    ),
    Controller(
        "daemon-set-controller",
        "system:controller:daemon-set-controller",
        &[
            Resources("apps,extensions", "daemonsets", READ),
            Resources("apps,extensions", "daemonsets/status", "patch,update"),
            Resources("apps,extensions", "daemonsets/finalizers", "update"),
            Resources("", "nodes", "list,watch"),
            Resources("", "pods", "create,delete,list,patch,watch"),
            Resources("", "pods/binding", "create"),
            Resources(
                "apps",
                "controllerrevisions",
                "create,delete,get,list,patch,update,watch",
            ),
            EVENTS,
        ],
    ),
    Controller(
        "deployment-controller",
        "system:controller:deployment-controller",
        &[
            Resources("apps,extensions", "deployments", "get,list,update,watch"),
            Resources("apps,extensions", "deployments/status", "patch,update"),
            Resources("apps,extensions", "deployments/finalizers", "update"),
            Resources(
                "apps,extensions",
                "replicasets",
                "create,delete,get,list,patch,update,watch",
            ),
            Resources("", "pods", "get,list,update,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "disruption-controller",
        "system:controller:disruption-controller",
        &[
            Resources("apps,extensions", "deployments", READ),
            Resources("apps,extensions", "replicasets", READ),
            Resources("", "replicationcontrollers", READ),
            Resources("policy", "poddisruptionbudgets", READ),
            Resources("apps", "statefulsets", READ),
            Resources("policy", "poddisruptionbudgets/status", "patch,update"),
            Resources("", "pods/status", "patch,update"),
            Resources("*", "*/scale", "get"),
            EVENTS,
        ],
    ),
    Controller(
        "endpoint-controller",
        "system:controller:endpoint-controller",
        &[
            Resources("", "pods,services", READ),
            Resources("", "endpoints", "create,delete,get,list,update"),
            Resources("", "endpoints/restricted", "create"),
            EVENTS,
        ],
    ),
    Controller(
        "endpointslice-controller",
        "system:controller:endpointslice-controller",
        &[
            Resources("", "nodes,pods,services", READ),
            Resources("", "services/finalizers", "update"),
            Resources(
                "discovery.k8s.io",
                "endpointslices",
                "create,delete,get,list,update",
            ),
            Resources("discovery.k8s.io", "endpointslices/restricted", "create"),
            EVENTS,
        ],
    ),
    Controller(
        "endpointslicemirroring-controller",
        "system:controller:endpointslicemirroring-controller",
        &[
            Resources("", "endpoints,services", READ),
            Resources("", "services/finalizers", "update"),
            Resources("", "endpoints/finalizers", "update"),
            Resources(
                "discovery.k8s.io",
                "endpointslices",
                "create,delete,get,list,update",
            ),
            Resources("discovery.k8s.io", "endpointslices/restricted", "create"),
            EVENTS,
        ],
    ),
    Controller(
        "ephemeral-volume-controller",
        "system:controller:ephemeral-volume-controller",
        &[
            Resources("", "pods/finalizers", "update"),
            Resources("", "pods", READ),
            Resources("", "persistentvolumeclaims", "create,get,list,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "expand-controller",
        "system:controller:expand-controller",
        &[
            Resources("", "persistentvolumes", "get,list,patch,update,watch"),
            Resources("", "persistentvolumeclaims/status", "patch,update"),
            Resources("", "persistentvolumeclaims", READ),
            EVENTS,
        ],
    ),
    Controller(
        "generic-garbage-collector",
        "system:controller:generic-garbage-collector",
        &[
            Resources("*", "*", "delete,get,list,patch,update,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "horizontal-pod-autoscaler",
        "system:controller:horizontal-pod-autoscaler",
        &[
            Resources("autoscaling", "horizontalpodautoscalers", READ),
            Resources("autoscaling", "horizontalpodautoscalers/status", "update"),
            Resources("*", "*/scale", "get,update"),
            Resources("", "pods", "list"),
            Resources("metrics.k8s.io", "pods", "list"),
            Resources(
                "custom.metrics.k8s.io,external.metrics.k8s.io",
                "*",
                "get,list",
            ),
            EVENTS,
        ],
    ),
    Controller(
        "job-controller",
        "system:controller:job-controller",
        &[
            Resources("batch", "jobs", "get,list,patch,update,watch"),
            Resources("batch", "jobs/status", "patch,update"),
            Resources("batch", "jobs/finalizers", "update"),
            Resources("", "pods", "create,delete,get,list,patch,watch"),
            Resources("", "pods/status", "patch"),
            EVENTS,
        ],
    ),
    Controller(
        "namespace-controller",
        "system:controller:namespace-controller",
        &[
            Resources("", "namespaces", "delete,get,list,watch"),
            Resources("", "namespaces/finalize,namespaces/status", "update"),
            Resources("*", "*", "delete,deletecollection,get,list"),
        ],
    ),
    Controller(
        "node-controller",
        "system:controller:node-controller",
        &[
            Resources("", "nodes", "delete,get,list,patch,update,watch"),
            Resources("", "nodes/status", "patch,update"),
            Resources("", "pods/status", "patch,update"),
            Resources("", "pods", "delete,get,list,watch"),
            Resources("coordination.k8s.io", "leases", READ),
            EVENTS,
        ],
    ),
    Controller(
        "persistent-volume-binder",
        "system:controller:persistent-volume-binder",
        &[
            Resources(
                "",
                "persistentvolumes",
                "create,delete,get,list,update,watch",
            ),
            Resources("", "persistentvolumes/status", "update"),
            Resources("", "persistentvolumeclaims", "get,list,update,watch"),
            Resources("", "persistentvolumeclaims/status", "update"),
            Resources("", "pods", "create,delete,get,list,watch"),
            Resources("storage.k8s.io", "storageclasses", READ),
            Resources("", "endpoints,services", "create,delete,get,update"),
            Resources("", "secrets", "get,list"),
            Resources("", "nodes", "get,list"),
            Resources("", "events", "watch"),
            EVENTS,
        ],
    ),
    Controller(
        "pod-garbage-collector",
        "system:controller:pod-garbage-collector",
        &[
            Resources("", "pods", "delete,list,watch"),
            Resources("", "nodes", "get,list"),
            Resources("", "pods/status", "patch"),
        ],
    ),
    Controller(
        "pv-protection-controller",
        "system:controller:pv-protection-controller",
        &[
            Resources("", "persistentvolumes", "get,list,update,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "pvc-protection-controller",
        "system:controller:pvc-protection-controller",
        &[
            Resources("", "persistentvolumeclaims", "get,list,update,watch"),
            Resources("", "pods", READ),
            EVENTS,
        ],
    ),
    Controller(
        "replicaset-controller",
        "system:controller:replicaset-controller",
        &[
            Resources("apps,extensions", "replicasets", "get,list,update,watch"),
            Resources("apps,extensions", "replicasets/status", "patch,update"),
            Resources("apps,extensions", "replicasets/finalizers", "update"),
            Resources("", "pods", "create,delete,list,patch,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "replication-controller",
        "system:controller:replication-controller",
        &[
            Resources("", "replicationcontrollers", "get,list,update,watch"),
            Resources("", "replicationcontrollers/status", "patch,update"),
            Resources("", "replicationcontrollers/finalizers", "update"),
            Resources("", "pods", "create,delete,list,patch,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "resourcequota-controller",
        "system:controller:resourcequota-controller",
        &[
            Resources("*", "*", "list,watch"),
            Resources("", "resourcequotas/status", "update"),
            EVENTS,
        ],
    ),
    Controller(
        "root-ca-cert-publisher",
        "system:controller:root-ca-cert-publisher",
        &[Resources("", "configmaps", "create,get,update"), EVENTS],
    ),
    Controller(
        "service-account-controller",
        "system:controller:service-account-controller",
        &[Resources("", "serviceaccounts", "create"), EVENTS],
    ),
    Controller(
        "service-controller",
        "system:controller:service-controller",
        &[
            Resources("", "services", READ),
            Resources("", "services/status", "patch,update"),
            Resources("", "nodes", "list,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "statefulset-controller",
        "system:controller:statefulset-controller",
        &[
            Resources("", "pods", "list,watch"),
            Resources("apps", "statefulsets", READ),
            Resources("apps", "statefulsets/status", "patch,update"),
            Resources("apps", "statefulsets/finalizers", "update"),
            Resources("", "pods", "create,delete,get,patch,update"),
            Resources(
                "apps",
                "controllerrevisions",
                "create,delete,get,list,patch,update,watch",
            ),
            Resources(
                "",
                "persistentvolumeclaims",
                "create,delete,get,list,patch,update,watch",
            ),
            EVENTS,
        ],
    ),
    Controller(
        "ttl-after-finished-controller",
        "system:controller:ttl-after-finished-controller",
        &[Resources("batch", "jobs", "delete,get,list,watch"), EVENTS],
    ),
    Controller(
        "ttl-controller",
        "system:controller:ttl-controller",
        &[Resources("", "nodes", "list,patch,update,watch"), EVENTS],
    ),
    Controller(
        "certificate-controller",
        "system:controller:certificate-controller",
        &[
            Resources(
                "certificates.k8s.io",
                "certificatesigningrequests",
                "delete,get,list,watch",
            ),
            Resources(
                "certificates.k8s.io",
                "certificatesigningrequests/approval,certificatesigningrequests/status",
                "update",
            ),
            Named(
                "certificates.k8s.io",
                "signers",
                "kubernetes.io/kube-apiserver-client-kubelet",
                "approve",
            ),
            Named(
                "certificates.k8s.io",
                "signers",
                "kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown",
                "sign",
            ),
            Resources("authorization.k8s.io", "subjectaccessreviews", "create"),
            EVENTS,
        ],
    ),
    Controller(
        "validatingadmissionpolicy-status-controller",
        "system:controller:validatingadmissionpolicy-status-controller",
        &[
            Resources(
                "admissionregistration.k8s.io",
                "validatingadmissionpolicies",
                READ,
            ),
            Resources(
                "admissionregistration.k8s.io",
                "validatingadmissionpolicies/status",
                "get,patch,update",
            ),
            EVENTS,
        ],
    ),
];

pub(super) fn roles() -> impl Iterator<Item = Role> {
    ALL.iter()
        .map(|Controller(_, role, lines)| Role::new(role, lines))
}

pub(super) fn bindings() -> impl Iterator<Item = Binding> {
    ALL.iter().map(|Controller(account, role, _)| Binding {
        name: role,
        role,
        subjects: vec![Subject::Account("kube-system", account)],
    })
}
