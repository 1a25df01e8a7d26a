//! `kubectl get clusterrolebindings`.

use jiff::Timestamp;
use serde_json::Value;

use crate::column::Column;
use crate::print;
use crate::rbac::subjects;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Role",
        "RoleRef can reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error. This field is immutable.",
    ),
    Column::AGE,
    Column::text("Users", "Users in the clusterRoleBinding").wide(),
    Column::text("Groups", "Groups in the clusterRoleBinding").wide(),
    Column::text(
        "ServiceAccounts",
        "ServiceAccounts in the clusterRoleBinding",
    )
    .wide(),
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        subjects::role(object).into(),
        print::age(object, now),
        subjects::names(object, "User").into(),
        subjects::names(object, "Group").into(),
        subjects::names(object, "ServiceAccount").into(),
    ]
}
