//! Nodes and what runs on them. The Node authorizer decides for nodes; `system:node` exists for
//! those who bind it themselves, so nobody has it by default.

use super::{Binding, EVENTS, On, READ, Role, Subject, Url, bind};

pub(super) const ROLES: &[Role] = &[
    Role::new(
        "system:node",
        &[
            On("authentication.k8s.io", "tokenreviews", "create"),
            On(
                "authorization.k8s.io",
                "localsubjectaccessreviews,subjectaccessreviews",
                "create",
            ),
            On("", "services", READ),
            On("", "nodes", "create,get,list,watch"),
            On("", "nodes/status", "patch,update"),
            On("", "nodes", "patch,update"),
            EVENTS,
            On("", "pods", READ),
            On("", "pods", "create,delete"),
            On("", "pods/status", "patch,update"),
            On("", "pods/eviction", "create"),
            On("", "configmaps,secrets", READ),
            On("", "persistentvolumeclaims,persistentvolumes", "get"),
            On("", "endpoints", "get"),
            On(
                "certificates.k8s.io",
                "certificatesigningrequests",
                "create,get,list,watch",
            ),
            On(
                "coordination.k8s.io",
                "leases",
                "create,delete,get,patch,update",
            ),
            On("storage.k8s.io", "volumeattachments", "get"),
            On("", "serviceaccounts/token", "create"),
            On("", "persistentvolumeclaims/status", "get,patch,update"),
            On("storage.k8s.io", "csidrivers", READ),
            On(
                "storage.k8s.io",
                "csinodes",
                "create,delete,get,patch,update",
            ),
            On("node.k8s.io", "runtimeclasses", READ),
        ],
    ),
    Role::new(
        "system:node-bootstrapper",
        &[On(
            "certificates.k8s.io",
            "certificatesigningrequests",
            "create,get,list,watch",
        )],
    ),
    Role::new(
        "system:node-problem-detector",
        &[
            On("", "nodes", "get"),
            On("", "nodes/status", "patch"),
            EVENTS,
        ],
    ),
    Role::new(
        "system:node-proxier",
        &[
            On("", "endpoints,services", "list,watch"),
            On("", "nodes", READ),
            EVENTS,
            On("discovery.k8s.io", "endpointslices", "list,watch"),
            On("networking.k8s.io", "servicecidrs", "list,watch"),
        ],
    ),
    Role::new(
        "system:kubelet-api-admin",
        &[
            On("", "nodes", READ),
            On("", "nodes", "proxy"),
            On(
                "",
                "nodes/configz,nodes/healthz,nodes/log,nodes/metrics,nodes/pods,nodes/proxy,nodes/stats",
                "*",
            ),
        ],
    ),
    Role::new(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[On(
            "certificates.k8s.io",
            "certificatesigningrequests/nodeclient",
            "create",
        )],
    ),
    Role::new(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[On(
            "certificates.k8s.io",
            "certificatesigningrequests/selfnodeclient",
            "create",
        )],
    ),
    Role::new(
        "system:heapster",
        &[
            On("", "events,namespaces,nodes,pods", READ),
            On("extensions", "deployments", READ),
            Url("/metrics", "get"),
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
