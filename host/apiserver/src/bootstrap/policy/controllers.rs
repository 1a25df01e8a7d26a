//! One role per controller, each bound to the controller's own service account in `kube-system`
//! (`bootstrappolicy/controller_policy.go`).

use super::{Binding, EVENTS, Line, Named, On, READ, Role, Subject};

/// Controller, role name, rules.
struct Controller(&'static str, &'static str, &'static [Line]);

const ALL: &[Controller] = &[
    Controller(
        "attachdetach-controller",
        "system:controller:attachdetach-controller",
        &[
            On("", "persistentvolumeclaims,persistentvolumes", "list,watch"),
            On("", "nodes", READ),
            On("", "nodes/status", "patch,update"),
            On("", "pods", "list,watch"),
            EVENTS,
            On(
                "storage.k8s.io",
                "volumeattachments",
                "create,delete,get,list,watch",
            ),
            On("storage.k8s.io", "csidrivers,csinodes", READ),
        ],
    ),
    Controller(
        "clusterrole-aggregation-controller",
        "system:controller:clusterrole-aggregation-controller",
        &[On(
            "rbac.authorization.k8s.io",
            "clusterroles",
            "escalate,get,list,patch,update,watch",
        )],
    ),
    Controller(
        "cronjob-controller",
        "system:controller:cronjob-controller",
        &[
            On("batch", "cronjobs", "get,list,update,watch"),
            On("batch", "jobs", "create,delete,get,list,patch,update,watch"),
            On("batch", "cronjobs/status", "update"),
            On("batch", "cronjobs/finalizers", "update"),
            On("", "pods", "delete,list"),
            EVENTS,
        ],
    ),
    Controller(
        "daemon-set-controller",
        "system:controller:daemon-set-controller",
        &[
            On("apps,extensions", "daemonsets", READ),
            On("apps,extensions", "daemonsets/status", "patch,update"),
            On("apps,extensions", "daemonsets/finalizers", "update"),
            On("", "nodes", "list,watch"),
            On("", "pods", "create,delete,list,patch,watch"),
            On("", "pods/binding", "create"),
            On(
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
            On("apps,extensions", "deployments", "get,list,update,watch"),
            On("apps,extensions", "deployments/status", "patch,update"),
            On("apps,extensions", "deployments/finalizers", "update"),
            On(
                "apps,extensions",
                "replicasets",
                "create,delete,get,list,patch,update,watch",
            ),
            On("", "pods", "get,list,update,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "disruption-controller",
        "system:controller:disruption-controller",
        &[
            On("apps,extensions", "deployments", READ),
            On("apps,extensions", "replicasets", READ),
            On("", "replicationcontrollers", READ),
            On("policy", "poddisruptionbudgets", READ),
            On("apps", "statefulsets", READ),
            On("policy", "poddisruptionbudgets/status", "patch,update"),
            On("", "pods/status", "patch,update"),
            On("*", "*/scale", "get"),
            EVENTS,
        ],
    ),
    Controller(
        "endpoint-controller",
        "system:controller:endpoint-controller",
        &[
            On("", "pods,services", READ),
            On("", "endpoints", "create,delete,get,list,update"),
            On("", "endpoints/restricted", "create"),
            EVENTS,
        ],
    ),
    Controller(
        "endpointslice-controller",
        "system:controller:endpointslice-controller",
        &[
            On("", "nodes,pods,services", READ),
            On("", "services/finalizers", "update"),
            On(
                "discovery.k8s.io",
                "endpointslices",
                "create,delete,get,list,update",
            ),
            On("discovery.k8s.io", "endpointslices/restricted", "create"),
            EVENTS,
        ],
    ),
    Controller(
        "endpointslicemirroring-controller",
        "system:controller:endpointslicemirroring-controller",
        &[
            On("", "endpoints,services", READ),
            On("", "services/finalizers", "update"),
            On("", "endpoints/finalizers", "update"),
            On(
                "discovery.k8s.io",
                "endpointslices",
                "create,delete,get,list,update",
            ),
            On("discovery.k8s.io", "endpointslices/restricted", "create"),
            EVENTS,
        ],
    ),
    Controller(
        "ephemeral-volume-controller",
        "system:controller:ephemeral-volume-controller",
        &[
            On("", "pods/finalizers", "update"),
            On("", "pods", READ),
            On("", "persistentvolumeclaims", "create,get,list,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "expand-controller",
        "system:controller:expand-controller",
        &[
            On("", "persistentvolumes", "get,list,patch,update,watch"),
            On("", "persistentvolumeclaims/status", "patch,update"),
            On("", "persistentvolumeclaims", READ),
            EVENTS,
        ],
    ),
    Controller(
        "generic-garbage-collector",
        "system:controller:generic-garbage-collector",
        &[On("*", "*", "delete,get,list,patch,update,watch"), EVENTS],
    ),
    Controller(
        "horizontal-pod-autoscaler",
        "system:controller:horizontal-pod-autoscaler",
        &[
            On("autoscaling", "horizontalpodautoscalers", READ),
            On("autoscaling", "horizontalpodautoscalers/status", "update"),
            On("*", "*/scale", "get,update"),
            On("", "pods", "list"),
            On("metrics.k8s.io", "pods", "list"),
            On(
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
            On("batch", "jobs", "get,list,patch,update,watch"),
            On("batch", "jobs/status", "patch,update"),
            On("batch", "jobs/finalizers", "update"),
            On("", "pods", "create,delete,get,list,patch,watch"),
            On("", "pods/status", "patch"),
            EVENTS,
        ],
    ),
    Controller(
        "namespace-controller",
        "system:controller:namespace-controller",
        &[
            On("", "namespaces", "delete,get,list,watch"),
            On("", "namespaces/finalize,namespaces/status", "update"),
            On("*", "*", "delete,deletecollection,get,list"),
        ],
    ),
    Controller(
        "node-controller",
        "system:controller:node-controller",
        &[
            On("", "nodes", "delete,get,list,patch,update,watch"),
            On("", "nodes/status", "patch,update"),
            On("", "pods/status", "patch,update"),
            On("", "pods", "delete,get,list,watch"),
            On("coordination.k8s.io", "leases", READ),
            EVENTS,
        ],
    ),
    Controller(
        "persistent-volume-binder",
        "system:controller:persistent-volume-binder",
        &[
            On(
                "",
                "persistentvolumes",
                "create,delete,get,list,update,watch",
            ),
            On("", "persistentvolumes/status", "update"),
            On("", "persistentvolumeclaims", "get,list,update,watch"),
            On("", "persistentvolumeclaims/status", "update"),
            On("", "pods", "create,delete,get,list,watch"),
            On("storage.k8s.io", "storageclasses", READ),
            On("", "endpoints,services", "create,delete,get,update"),
            On("", "secrets", "get,list"),
            On("", "nodes", "get,list"),
            On("", "events", "watch"),
            EVENTS,
        ],
    ),
    Controller(
        "pod-garbage-collector",
        "system:controller:pod-garbage-collector",
        &[
            On("", "pods", "delete,list,watch"),
            On("", "nodes", "get,list"),
            On("", "pods/status", "patch"),
        ],
    ),
    Controller(
        "pv-protection-controller",
        "system:controller:pv-protection-controller",
        &[On("", "persistentvolumes", "get,list,update,watch"), EVENTS],
    ),
    Controller(
        "pvc-protection-controller",
        "system:controller:pvc-protection-controller",
        &[
            On("", "persistentvolumeclaims", "get,list,update,watch"),
            On("", "pods", READ),
            EVENTS,
        ],
    ),
    Controller(
        "replicaset-controller",
        "system:controller:replicaset-controller",
        &[
            On("apps,extensions", "replicasets", "get,list,update,watch"),
            On("apps,extensions", "replicasets/status", "patch,update"),
            On("apps,extensions", "replicasets/finalizers", "update"),
            On("", "pods", "create,delete,list,patch,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "replication-controller",
        "system:controller:replication-controller",
        &[
            On("", "replicationcontrollers", "get,list,update,watch"),
            On("", "replicationcontrollers/status", "patch,update"),
            On("", "replicationcontrollers/finalizers", "update"),
            On("", "pods", "create,delete,list,patch,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "resourcequota-controller",
        "system:controller:resourcequota-controller",
        &[
            On("*", "*", "list,watch"),
            On("", "resourcequotas/status", "update"),
            EVENTS,
        ],
    ),
    Controller(
        "root-ca-cert-publisher",
        "system:controller:root-ca-cert-publisher",
        &[On("", "configmaps", "create,get,update"), EVENTS],
    ),
    Controller(
        "service-account-controller",
        "system:controller:service-account-controller",
        &[On("", "serviceaccounts", "create"), EVENTS],
    ),
    Controller(
        "service-controller",
        "system:controller:service-controller",
        &[
            On("", "services", READ),
            On("", "services/status", "patch,update"),
            On("", "nodes", "list,watch"),
            EVENTS,
        ],
    ),
    Controller(
        "statefulset-controller",
        "system:controller:statefulset-controller",
        &[
            On("", "pods", "list,watch"),
            On("apps", "statefulsets", READ),
            On("apps", "statefulsets/status", "patch,update"),
            On("apps", "statefulsets/finalizers", "update"),
            On("", "pods", "create,delete,get,patch,update"),
            On(
                "apps",
                "controllerrevisions",
                "create,delete,get,list,patch,update,watch",
            ),
            On(
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
        &[On("batch", "jobs", "delete,get,list,watch"), EVENTS],
    ),
    Controller(
        "ttl-controller",
        "system:controller:ttl-controller",
        &[On("", "nodes", "list,patch,update,watch"), EVENTS],
    ),
    Controller(
        "certificate-controller",
        "system:controller:certificate-controller",
        &[
            On(
                "certificates.k8s.io",
                "certificatesigningrequests",
                "delete,get,list,watch",
            ),
            On(
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
            On("authorization.k8s.io", "subjectaccessreviews", "create"),
            EVENTS,
        ],
    ),
    Controller(
        "validatingadmissionpolicy-status-controller",
        "system:controller:validatingadmissionpolicy-status-controller",
        &[
            On(
                "admissionregistration.k8s.io",
                "validatingadmissionpolicies",
                READ,
            ),
            On(
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
