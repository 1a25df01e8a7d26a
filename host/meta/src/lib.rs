//! What every Kubernetes object and every answer of the API has in common, as pure functions over
//! dynamic trees: names of groups, versions and kinds, metadata access, `Status`, field errors,
//! selectors, quantities, masks and the patch algorithms.
//!
//! Nothing here does I/O and nothing here knows a particular kind. An object is a
//! [`serde_json::Value`]; its maps are sorted by key, so `serde_json::to_vec` gives canonical JSON.
//! Wording of errors follows upstream's `apimachinery`, because clients and tests match on it.

pub mod address;
pub mod base64;
pub mod condition;
pub mod field;
pub mod gvk;
pub mod json_syntax;
pub mod mask;
pub mod names;
pub mod object;
pub mod patch;
pub mod plain;
pub mod quantity;
pub mod quote;
pub mod selector;
pub mod status;
pub mod strconv;
pub mod tree;
pub mod user;
pub mod yaml;

pub use field::{ErrorList, ErrorType, FieldError, Path};
pub use gvk::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
pub use object::OwnerReference;
pub use patch::{PatchError, PatchSchema};
pub use quantity::Quantity;
pub use selector::{FieldSelector, LabelSelector};
pub use status::{Cause, CauseType, Details, Reason, Status};
pub use user::{AssertedUser, UserInfo};
