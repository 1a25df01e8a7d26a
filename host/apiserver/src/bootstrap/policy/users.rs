//! Roles for people: cluster-admin, and the parts of admin, edit and view.

use super::{Binding, Paths, PolicyRule, READ, READ_WRITE, Resources, Role, Subject, WRITE, bind};

/// What a workload is made of, and where it is seen.
const VIEW: &[PolicyRule] = &[
    Resources(
        "",
        "configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status",
        READ,
    ),
    Resources(
        "",
        "bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status",
        READ,
    ),
    Resources("", "namespaces", READ),
    Resources("discovery.k8s.io", "endpointslices", READ),
    Resources(
        "apps",
        "controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status",
        READ,
    ),
    Resources(
        "autoscaling",
        "horizontalpodautoscalers,horizontalpodautoscalers/status",
        READ,
    ),
    Resources("batch", "cronjobs,cronjobs/status,jobs,jobs/status", READ),
    Resources(
        "extensions",
        "daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale",
        READ,
    ),
    Resources(
        "policy",
        "poddisruptionbudgets,poddisruptionbudgets/status",
        READ,
    ),
    Resources(
        "networking.k8s.io",
        "ingresses,ingresses/status,networkpolicies",
        READ,
    ),
    Resources(
        "resource.k8s.io",
        "resourceclaims,resourceclaims/status,resourceclaimtemplates",
        READ,
    ),
];

const EDIT: &[PolicyRule] = &[
    Resources(
        "",
        "pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy",
        READ,
    ),
    Resources("", "serviceaccounts", "impersonate"),
    Resources(
        "",
        "pods,pods/attach,pods/exec,pods/portforward,pods/proxy",
        WRITE,
    ),
    Resources("", "pods/eviction", "create"),
    Resources(
        "",
        "configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy",
        WRITE,
    ),
    Resources("", "serviceaccounts/token", "create"),
    Resources(
        "apps",
        "daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale",
        WRITE,
    ),
    Resources("autoscaling", "horizontalpodautoscalers", WRITE),
    Resources("batch", "cronjobs,jobs", WRITE),
    Resources(
        "extensions",
        "daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale",
        WRITE,
    ),
    Resources("policy", "poddisruptionbudgets", WRITE),
    Resources("networking.k8s.io", "ingresses,networkpolicies", WRITE),
    Resources("coordination.k8s.io", "leases", READ_WRITE),
    Resources(
        "resource.k8s.io",
        "resourceclaims,resourceclaimtemplates",
        WRITE,
    ),
];

const ADMIN: &[PolicyRule] = &[
    Resources(
        "authorization.k8s.io",
        "localsubjectaccessreviews",
        "create",
    ),
    Resources(
        "rbac.authorization.k8s.io",
        "rolebindings,roles",
        READ_WRITE,
    ),
];

pub(super) const ROLES: &[Role] = &[
    Role::new(
        "cluster-admin",
        &[Resources("*", "*", "*"), Paths("*", "*")],
    ),
    Role::part("system:aggregate-to-view", &["view"], VIEW),
    Role::part("system:aggregate-to-edit", &["edit"], EDIT),
    Role::part("system:aggregate-to-admin", &["admin"], ADMIN),
];

pub(super) fn bindings() -> Vec<Binding> {
    vec![bind("cluster-admin", &[Subject::Group("system:masters")])]
}
