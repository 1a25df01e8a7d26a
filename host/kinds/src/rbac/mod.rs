//! Roles and their bindings.

mod clusterrole;
mod clusterrolebinding;
mod policy_rule;
mod role;
mod rolebinding;
mod subjects;

use crate::rules::KindRules;

/// Rules of a kind of the group `rbac.authorization.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "ClusterRole" => &clusterrole::ClusterRole,
        "ClusterRoleBinding" => &clusterrolebinding::ClusterRoleBinding,
        "Role" => &role::Role,
        "RoleBinding" => &rolebinding::RoleBinding,
        _ => return None,
    })
}
