//! Roles for people: cluster-admin, and the parts of admin, edit and view.

use super::{Binding, Line, On, READ, READ_WRITE, Role, Subject, Url, WRITE, bind};

/// What a workload is made of, and where it is seen.
const VIEW: &[Line] = &[
    On(
        "",
        "configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status",
        READ,
    ),
    On(
        "",
        "bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status",
        READ,
    ),
    On("", "namespaces", READ),
    On("discovery.k8s.io", "endpointslices", READ),
    On(
        "apps",
        "controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status",
        READ,
    ),
    On(
        "autoscaling",
        "horizontalpodautoscalers,horizontalpodautoscalers/status",
        READ,
    ),
    On("batch", "cronjobs,cronjobs/status,jobs,jobs/status", READ),
    On(
        "extensions",
        "daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale",
        READ,
    ),
    On(
        "policy",
        "poddisruptionbudgets,poddisruptionbudgets/status",
        READ,
    ),
    On(
        "networking.k8s.io",
        "ingresses,ingresses/status,networkpolicies",
        READ,
    ),
    On(
        "resource.k8s.io",
        "resourceclaims,resourceclaims/status,resourceclaimtemplates",
        READ,
    ),
];

const EDIT: &[Line] = &[
    On(
        "",
        "pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy",
        READ,
    ),
    On("", "serviceaccounts", "impersonate"),
    On(
        "",
        "pods,pods/attach,pods/exec,pods/portforward,pods/proxy",
        WRITE,
    ),
    On("", "pods/eviction", "create"),
    On(
        "",
        "configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy",
        WRITE,
    ),
    On("", "serviceaccounts/token", "create"),
    On(
        "apps",
        "daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale",
        WRITE,
    ),
    On("autoscaling", "horizontalpodautoscalers", WRITE),
    On("batch", "cronjobs,jobs", WRITE),
    On(
        "extensions",
        "daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale",
        WRITE,
    ),
    On("policy", "poddisruptionbudgets", WRITE),
    On("networking.k8s.io", "ingresses,networkpolicies", WRITE),
    On("coordination.k8s.io", "leases", READ_WRITE),
    On(
        "resource.k8s.io",
        "resourceclaims,resourceclaimtemplates",
        WRITE,
    ),
];

const ADMIN: &[Line] = &[
    On(
        "authorization.k8s.io",
        "localsubjectaccessreviews",
        "create",
    ),
    On(
        "rbac.authorization.k8s.io",
        "rolebindings,roles",
        READ_WRITE,
    ),
];

pub(super) const ROLES: &[Role] = &[
    Role::new("cluster-admin", &[On("*", "*", "*"), Url("*", "*")]),
    Role::part("system:aggregate-to-view", &["view"], VIEW),
    Role::part("system:aggregate-to-edit", &["edit"], EDIT),
    Role::part("system:aggregate-to-admin", &["admin"], ADMIN),
];

pub(super) fn bindings() -> Vec<Binding> {
    vec![bind("cluster-admin", &[Subject::Group("system:masters")])]
}
