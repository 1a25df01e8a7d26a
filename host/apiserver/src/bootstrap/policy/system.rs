//! The control plane's own components.

use super::{Binding, EVENTS, Named, READ, Resources, Role, Subject, bind};

pub(super) const ROLES: &[Role] = &[
    Role::new(
        "system:auth-delegator",
        &[
            Resources("authentication.k8s.io", "tokenreviews", "create"),
            Resources("authorization.k8s.io", "subjectaccessreviews", "create"),
        ],
    ),
    Role::new(
        "system:kube-aggregator",
        &[Resources("", "endpoints,services", READ)],
    ),
    Role::new(
        "system:kube-controller-manager",
        &[
            EVENTS,
            Resources("coordination.k8s.io", "leases", "create"),
            Named(
                "coordination.k8s.io",
                "leases",
                "kube-controller-manager",
                "get,update",
            ),
            Resources("", "secrets,serviceaccounts", "create"),
            Resources("", "secrets", "delete"),
            Resources("", "configmaps,namespaces,secrets,serviceaccounts", "get"),
            Resources("", "secrets,serviceaccounts", "update"),
            Resources("authentication.k8s.io", "tokenreviews", "create"),
            Resources("authorization.k8s.io", "subjectaccessreviews", "create"),
            // Informers are shared by all controllers.
            Resources("*", "*", "list,watch"),
            Resources("", "serviceaccounts/token", "create"),
        ],
    ),
    Role::new(
        "system:kube-dns",
        &[Resources("", "endpoints,services", "list,watch")],
    ),
    Role::new(
        "system:kube-scheduler",
        &[
            EVENTS,
            Resources("coordination.k8s.io", "leases", "create"),
            Named(
                "coordination.k8s.io",
                "leases",
                "kube-scheduler",
                "get,update",
            ),
            Resources(
                "coordination.k8s.io",
                "leasecandidates",
                "create,delete,deletecollection,get,list,patch,update,watch",
            ),
            Resources("", "nodes", READ),
            Resources("", "pods", "delete,get,list,watch"),
            Resources("", "bindings,pods/binding", "create"),
            Resources("", "pods/status", "patch,update"),
            Resources("", "replicationcontrollers,services", READ),
            Resources("apps,extensions", "replicasets", READ),
            Resources("apps", "statefulsets", READ),
            Resources("policy", "poddisruptionbudgets", READ),
            Resources(
                "",
                "persistentvolumeclaims,persistentvolumes",
                "get,list,patch,update,watch",
            ),
            Resources("authentication.k8s.io", "tokenreviews", "create"),
            Resources("authorization.k8s.io", "subjectaccessreviews", "create"),
            Resources("storage.k8s.io", "csinodes", READ),
            Resources("", "namespaces", READ),
            Resources(
                "storage.k8s.io",
                "csidrivers,csistoragecapacities,storageclasses,volumeattachments",
                READ,
            ),
            Resources(
                "resource.k8s.io",
                "deviceclasses,resourceclaims,resourceslices",
                READ,
            ),
            Resources("resource.k8s.io", "resourceclaims", "patch,update"),
            Resources("resource.k8s.io", "resourceclaims/status", "patch,update"),
        ],
    ),
    Role::new(
        "system:volume-scheduler",
        &[
            Resources("", "persistentvolumes", "get,list,patch,update,watch"),
            Resources("storage.k8s.io", "storageclasses", READ),
            Resources("", "persistentvolumeclaims", "get,list,patch,update,watch"),
        ],
    ),
    Role::new(
        "system:persistent-volume-provisioner",
        &[
            Resources("", "persistentvolumes", "create,delete,get,list,watch"),
            Resources("", "persistentvolumeclaims", "get,list,update,watch"),
            Resources("storage.k8s.io", "storageclasses", READ),
            Resources("", "events", "watch"),
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
    use super::super::Paths;
    use super::*;

    #[test]
    fn no_component_may_do_everything() {
        assert!(
            ROLES
                .iter()
                .flat_map(|role| role.rules)
                .all(|line| !matches!(line, Resources("*", "*", "*") | Paths("*", _)))
        );
    }
}
