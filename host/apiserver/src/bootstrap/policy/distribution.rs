//! Roles that K3s adds for its own components (`manifests/rolebindings.yaml`, `ccm.yaml`).

use super::{Binding, EVENTS, READ, Resources, Role, Subject};

pub(super) const ROLES: &[Role] = &[
    Role::new(
        "system:coredns",
        &[
            Resources("", "endpoints,services,pods,namespaces,nodes", "list,watch"),
            Resources("discovery.k8s.io", "endpointslices", "list,watch"),
        ],
    ),
    Role::new(
        "system:k3s-controller",
        &[
            Resources("", "nodes", "get,list,watch"),
            Resources("networking.k8s.io", "networkpolicies", "list,watch"),
            Resources("", "endpoints,namespaces,pods,services", READ),
            Resources("discovery.k8s.io", "endpointslices", READ),
            Resources("", "nodes", "patch,update"),
            EVENTS,
        ],
    ),
    // Secrets are read by name, as objects name them.
    Role::new(
        "system:traefik",
        &[
            Resources("networking.k8s.io", "ingresses", READ),
            Resources("networking.k8s.io", "ingresses/status", "patch,update"),
            Resources("networking.k8s.io", "ingressclasses", READ),
            Resources("apiextensions.k8s.io", "customresourcedefinitions", READ),
            Resources("traefik.io", "*", READ),
            Resources("", "services", READ),
            Resources("", "secrets", READ),
            Resources("discovery.k8s.io", "endpointslices", READ),
            EVENTS,
        ],
    ),
    Role::new(
        "local-path-provisioner-role",
        &[
            Resources("", "configmaps,nodes,persistentvolumeclaims", READ),
            // A claim that cannot be served on its node is returned to the scheduler; one that grew
            // says so in its status.
            Resources(
                "",
                "persistentvolumeclaims,persistentvolumeclaims/status",
                "patch",
            ),
            Resources(
                "",
                "persistentvolumes",
                "create,delete,get,list,patch,watch",
            ),
            Resources("storage.k8s.io", "storageclasses", READ),
            EVENTS,
        ],
    ),
    Role::new(
        "k3s-cloud-controller-manager",
        &[
            Resources("coordination.k8s.io", "leases", "create,get,update"),
            Resources("", "events", "create,patch,update"),
            Resources("events.k8s.io", "events", "create,patch,update"),
            Resources("", "nodes", "*"),
            Resources("", "nodes/status", "patch,update"),
            Resources(
                "",
                "services,services/status",
                "get,list,patch,update,watch",
            ),
            Resources(
                "",
                "serviceaccounts,secrets,configmaps",
                "create,get,list,update,watch",
            ),
            Resources("", "namespaces,pods", "create,get,list,watch"),
            Resources("", "endpoints", "create,get,list,update,watch"),
            Resources("discovery.k8s.io", "endpointslices", READ),
            Resources(
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
        // Applies all that the administrator puts into the manifests directory, roles included. Who can
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
