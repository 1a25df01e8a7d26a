//! What admission asks about a namespace.

use k3s_meta::{object, tree};
use k3s_registry::mirror::Decode;
use serde_json::Value;

use crate::admission::pod_security::Policies;

/// The label that lets claims ask for devices that others use.
const ADMIN_ACCESS: &str = "resource.kubernetes.io/admin-access";

pub(in crate::admission) struct Namespace {
    /// It is being deleted, or its content is.
    pub(in crate::admission) is_terminating: bool,
    /// The Pod Security Standards that its labels ask for.
    pub(in crate::admission) pod_security: Policies,
    /// Its claims may ask for devices that others use.
    pub(in crate::admission) gives_admin_access: bool,
}

impl Decode for Namespace {
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "namespaces";

    fn decode(namespace: &Value) -> Self {
        let phase = tree::text(namespace, "status.phase");
        let is_deleted = object::deletion_timestamp(namespace).is_some();
        Self {
            is_terminating: phase == "Terminating" || is_deleted,
            pod_security: Policies::of(namespace),
            gives_admin_access: object::label(namespace, ADMIN_ACCESS) == Some("true"),
        }
    }
}
