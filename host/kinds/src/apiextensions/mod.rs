//! Custom resource definitions.

mod customresourcedefinition;

pub use customresourcedefinition::{definition_schema_errors, is_protected_group};

use crate::rules::KindRules;

/// Rules of a kind of the group `apiextensions.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "CustomResourceDefinition" => &customresourcedefinition::CustomResourceDefinition,
        _ => return None,
    })
}
