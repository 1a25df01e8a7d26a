//! Custom resource definitions.

pub(crate) mod customresourcedefinition;

pub use customresourcedefinition::{definition_schema_errors, is_protected_group};
