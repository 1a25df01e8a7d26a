//! Roles that K3s adds for its own components (`manifests/rolebindings.yaml`, `ccm.yaml`).

use super::{Binding, EVENTS, On, READ, Role, Subject};

pub(super) const ROLES: &[Role] = &[
    Role::new(
        "system:coredns",
        &[
            On("", "endpoints,services,pods,namespaces,nodes", "list,watch"),
            On("discovery.k8s.io", "endpointslices", "list,watch"),
        ],
    ),
    Role::new(
        "system:k3s-controller",
        &[
            On("", "nodes", "get,list,watch"),
            On("networking.k8s.io", "networkpolicies", "list,watch"),
            On("", "endpoints,namespaces,pods,services", READ),
            On("discovery.k8s.io", "endpointslices", READ),
            On("", "nodes", "patch,update"),
            EVENTS,
        ],
    ),
    // Secrets are read by name, as objects name them.
    Role::new(
        "system:traefik",
        &[
            On("networking.k8s.io", "ingresses", READ),
            On("networking.k8s.io", "ingresses/status", "patch,update"),
            On("networking.k8s.io", "ingressclasses", READ),
            On("apiextensions.k8s.io", "customresourcedefinitions", READ),
            On("traefik.io", "*", READ),
            On("", "services", READ),
            On("", "secrets", READ),
            On("discovery.k8s.io", "endpointslices", READ),
            EVENTS,
        ],
    ),
    Role::new(
        "local-path-provisioner-role",
        &[
            On("", "configmaps,nodes,persistentvolumeclaims", READ),
            // A claim that cannot be served on its node goes back to the scheduler; one that grew
            // says so in its status.
            On(
                "",
                "persistentvolumeclaims,persistentvolumeclaims/status",
                "patch",
            ),
            On(
                "",
                "persistentvolumes",
                "create,delete,get,list,patch,watch",
            ),
            On("storage.k8s.io", "storageclasses", READ),
            EVENTS,
        ],
    ),
    Role::new(
        "k3s-cloud-controller-manager",
        &[
            On("coordination.k8s.io", "leases", "create,get,update"),
            On("", "events", "create,patch,update"),
            On("events.k8s.io", "events", "create,patch,update"),
            On("", "nodes", "*"),
            On("", "nodes/status", "patch,update"),
            On(
                "",
                "services,services/status",
                "get,list,patch,update,watch",
            ),
            On(
                "",
                "serviceaccounts,secrets,configmaps",
                "create,get,list,update,watch",
            ),
            On("", "namespaces,pods", "create,get,list,watch"),
            On("", "endpoints", "create,get,list,update,watch"),
            On("discovery.k8s.io", "endpointslices", READ),
            On(
                "apps",
                "daemonsets",
                "create,delete,get,list,patch,update,watch",
            ),
        ],
    ),
];

pub(super) fn bindings() -> Vec<Binding> {
    vec![
        Binding {
            name: "system:coredns",
            role: "system:coredns",
            subjects: vec![Subject::Account("kube-system", "coredns")],
        },
        Binding {
            name: "kube-apiserver-kubelet-admin",
            role: "system:kubelet-api-admin",
            subjects: vec![
                Subject::User("kube-apiserver"),
                Subject::User("system:apiserver"),
            ],
        },
        // Applies whatever the administrator puts into the manifests directory, roles included. Who can
        // write there owns the machine already.
        Binding {
            name: "system:k3s-deploy",
            role: "cluster-admin",
            subjects: vec![Subject::User("system:k3s-deploy")],
        },
        Binding {
            name: "system:k3s-controller",
            role: "system:k3s-controller",
            subjects: vec![Subject::User("system:k3s-controller")],
        },
        Binding {
            name: "local-path-provisioner-bind",
            role: "local-path-provisioner-role",
            subjects: vec![Subject::Account(
                "kube-system",
                "local-path-provisioner-service-account",
            )],
        },
        Binding {
            name: "system:traefik",
            role: "system:traefik",
            subjects: vec![Subject::Account("kube-system", "traefik")],
        },
        Binding {
            name: "k3s-cloud-controller-manager",
            role: "k3s-cloud-controller-manager",
            subjects: vec![
                Subject::User("k3s-cloud-controller-manager"),
                Subject::Account("kube-system", "k3s-cloud-controller-manager"),
            ],
        },
    ]
}
