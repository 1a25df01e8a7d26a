//! Roles and their bindings.

pub(crate) mod clusterrole;
pub(crate) mod clusterrolebinding;
mod policy_rule;
pub(crate) mod role;
pub(crate) mod rolebinding;
mod subjects;
