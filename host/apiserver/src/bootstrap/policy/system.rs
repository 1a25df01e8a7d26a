//! The control plane's own components.

use super::{Binding, EVENTS, Named, On, READ, Role, Subject, bind};

pub(super) const ROLES: &[Role] = &[
    Role::new(
        "system:auth-delegator",
        &[
            On("authentication.k8s.io", "tokenreviews", "create"),
            On("authorization.k8s.io", "subjectaccessreviews", "create"),
        ],
    ),
    Role::new(
        "system:kube-aggregator",
        &[On("", "endpoints,services", READ)],
    ),
    Role::new(
        "system:kube-controller-manager",
        &[
            EVENTS,
            On("coordination.k8s.io", "leases", "create"),
            Named(
                "coordination.k8s.io",
                "leases",
                "kube-controller-manager",
                "get,update",
            ),
            On("", "secrets,serviceaccounts", "create"),
            On("", "secrets", "delete"),
            On("", "configmaps,namespaces,secrets,serviceaccounts", "get"),
            On("", "secrets,serviceaccounts", "update"),
            On("authentication.k8s.io", "tokenreviews", "create"),
            On("authorization.k8s.io", "subjectaccessreviews", "create"),
            // Informers are shared by all controllers.
            On("*", "*", "list,watch"),
            On("", "serviceaccounts/token", "create"),
        ],
    ),
    Role::new(
        "system:kube-dns",
        &[On("", "endpoints,services", "list,watch")],
    ),
    Role::new(
        "system:kube-scheduler",
        &[
            EVENTS,
            On("coordination.k8s.io", "leases", "create"),
            Named(
                "coordination.k8s.io",
                "leases",
                "kube-scheduler",
                "get,update",
            ),
            On(
                "coordination.k8s.io",
                "leasecandidates",
                "create,delete,deletecollection,get,list,patch,update,watch",
            ),
            On("", "nodes", READ),
            On("", "pods", "delete,get,list,watch"),
            On("", "bindings,pods/binding", "create"),
            On("", "pods/status", "patch,update"),
            On("", "replicationcontrollers,services", READ),
            On("apps,extensions", "replicasets", READ),
            On("apps", "statefulsets", READ),
            On("policy", "poddisruptionbudgets", READ),
            On(
                "",
                "persistentvolumeclaims,persistentvolumes",
                "get,list,patch,update,watch",
            ),
            On("authentication.k8s.io", "tokenreviews", "create"),
            On("authorization.k8s.io", "subjectaccessreviews", "create"),
            On("storage.k8s.io", "csinodes", READ),
            On("", "namespaces", READ),
            On(
                "storage.k8s.io",
                "csidrivers,csistoragecapacities,storageclasses,volumeattachments",
                READ,
            ),
            On(
                "resource.k8s.io",
                "deviceclasses,resourceclaims,resourceslices",
                READ,
            ),
            On("resource.k8s.io", "resourceclaims", "patch,update"),
            On("resource.k8s.io", "resourceclaims/status", "patch,update"),
        ],
    ),
    Role::new(
        "system:volume-scheduler",
        &[
            On("", "persistentvolumes", "get,list,patch,update,watch"),
            On("storage.k8s.io", "storageclasses", READ),
            On("", "persistentvolumeclaims", "get,list,patch,update,watch"),
        ],
    ),
    Role::new(
        "system:persistent-volume-provisioner",
        &[
            On("", "persistentvolumes", "create,delete,get,list,watch"),
            On("", "persistentvolumeclaims", "get,list,update,watch"),
            On("storage.k8s.io", "storageclasses", READ),
            On("", "events", "watch"),
            EVENTS,
        ],
    ),
    Role::new(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        &[Named(
            "certificates.k8s.io",
            "signers",
            "kubernetes.io/kube-apiserver-client",
            "approve",
        )],
    ),
    Role::new(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        &[Named(
            "certificates.k8s.io",
            "signers",
            "kubernetes.io/kube-apiserver-client-kubelet",
            "approve",
        )],
    ),
    Role::new(
        "system:certificates.k8s.io:kubelet-serving-approver",
        &[Named(
            "certificates.k8s.io",
            "signers",
            "kubernetes.io/kubelet-serving",
            "approve",
        )],
    ),
    Role::new(
        "system:certificates.k8s.io:legacy-unknown-approver",
        &[Named(
            "certificates.k8s.io",
            "signers",
            "kubernetes.io/legacy-unknown",
            "approve",
        )],
    ),
];

pub(super) fn bindings() -> Vec<Binding> {
    vec![
        bind(
            "system:kube-controller-manager",
            &[Subject::User("system:kube-controller-manager")],
        ),
        bind(
            "system:kube-dns",
            &[
                Subject::Account("kube-system", "kube-dns"),
                Subject::User("system:kube-dns"),
            ],
        ),
        bind(
            "system:kube-scheduler",
            &[Subject::User("system:kube-scheduler")],
        ),
        bind(
            "system:volume-scheduler",
            &[Subject::User("system:kube-scheduler")],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::Url;
    use super::*;

    #[test]
    fn no_component_may_do_everything() {
        assert!(
            ROLES
                .iter()
                .flat_map(|role| role.lines)
                .all(|line| !matches!(line, On("*", "*", "*") | Url("*", _)))
        );
    }
}
