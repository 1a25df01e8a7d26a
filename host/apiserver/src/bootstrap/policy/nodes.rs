//! Nodes and what runs on them. The Node authorizer decides for nodes; `system:node` exists for
//! those who bind it themselves, so no user has it by default.

use super::{Binding, EVENTS, Paths, READ, Resources, Role, Subject, bind};

pub(super) const ROLES: &[Role] = &[
    Role::new(
        "system:node",
        &[
            Resources("authentication.k8s.io", "tokenreviews", "create"),
            Resources(
                "authorization.k8s.io",
                "localsubjectaccessreviews,subjectaccessreviews",
                "create",
            ),
            Resources("", "services", READ),
            Resources("", "nodes", "create,get,list,watch"),
            Resources("", "nodes/status", "patch,update"),
            Resources("", "nodes", "patch,update"),
            EVENTS,
            Resources("", "pods", READ),
            Resources("", "pods", "create,delete"),
            Resources("", "pods/status", "patch,update"),
            Resources("", "pods/eviction", "create"),
            Resources("", "configmaps,secrets", READ),
            Resources("", "persistentvolumeclaims,persistentvolumes", "get"),
            Resources("", "endpoints", "get"),
            Resources(
                "certificates.k8s.io",
                "certificatesigningrequests",
                "create,get,list,watch",
            ),
            Resources(
                "coordination.k8s.io",
                "leases",
                "create,delete,get,patch,update",
            ),
            Resources("storage.k8s.io", "volumeattachments", "get"),
            Resources("", "serviceaccounts/token", "create"),
            Resources("", "persistentvolumeclaims/status", "get,patch,update"),
            Resources("storage.k8s.io", "csidrivers", READ),
            Resources(
                "storage.k8s.io",
                "csinodes",
                "create,delete,get,patch,update",
            ),
            Resources("node.k8s.io", "runtimeclasses", READ),
        ],
    ),
    Role::new(
        "system:node-bootstrapper",
        &[Resources(
            "certificates.k8s.io",
            "certificatesigningrequests",
            "create,get,list,watch",
        )],
    ),
    Role::new(
        "system:node-problem-detector",
        &[
            Resources("", "nodes", "get"),
            Resources("", "nodes/status", "patch"),
            EVENTS,
        ],
    ),
    Role::new(
        "system:node-proxier",
        &[
            Resources("", "endpoints,services", "list,watch"),
            Resources("", "nodes", READ),
            EVENTS,
            Resources("discovery.k8s.io", "endpointslices", "list,watch"),
            Resources("networking.k8s.io", "servicecidrs", "list,watch"),
        ],
    ),
    Role::new(
        "system:kubelet-api-admin",
        &[
            Resources("", "nodes", READ),
            Resources("", "nodes", "proxy"),
            Resources(
                "",
                "nodes/configz,nodes/healthz,nodes/log,nodes/metrics,nodes/pods,nodes/proxy,nodes/stats",
                "*",
            ),
        ],
    ),
    Role::new(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[Resources(
            "certificates.k8s.io",
            "certificatesigningrequests/nodeclient",
            "create",
        )],
    ),
    Role::new(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[Resources(
            "certificates.k8s.io",
            "certificatesigningrequests/selfnodeclient",
            "create",
        )],
    ),
    Role::new(
        "system:heapster",
        &[
            Resources("", "events,namespaces,nodes,pods", READ),
            Resources("extensions", "deployments", READ),
            Paths("/metrics", "get"),
        ],
    ),
];

pub(super) fn bindings() -> Vec<Binding> {
    vec![
        Binding {
            name: "system:node",
            role: "system:node",
            subjects: Vec::new(),
        },
        bind("system:node-proxier", &[Subject::User("system:kube-proxy")]),
    ]
}
